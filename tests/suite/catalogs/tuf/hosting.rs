//! A repository that another tool made, published as a name.

use super::*;
use crate::support::server::TestServer;

const HOSTED: &str = "example.org/app/_tuf";

/// What `docs/tuf.md` writes to this file.
fn script(name: &str) -> &str {
    let (_, rest) = DOCS.split_once(&format!("cat > {name} <<'END'\n")).unwrap();
    rest.split_once("\nEND\n").unwrap().0
}

/// Makes the next version of a repository in this directory, with the target `tool`.
fn release(home: &Path, version: u32, tool: &str) {
    fs::write(home.join("repository.py"), script("repository.py")).unwrap();
    fs::write(home.join("tool"), tool).unwrap();
    let mut python = Command::new("python3");
    python.args(["repository.py", &version.to_string(), "tool"]).current_dir(home);
    let output = python.output().expect("install python3");
    assert!(output.status.success(), "{output:?}");
}

fn publish(server: &ServerProcess, home: &Path) {
    server.larder(&format!("publish {HOSTED}")).arg(home.join("repository/")).ok();
}

#[tokio::test]
async fn what_is_not_there_is_404_and_what_is_there_is_asked_for_each_time() {
    let server = TestServer::start().await;
    server.publish(HOSTED, &[("metadata/1.root.json", b"{}"), ("metadata/timestamp.json", b"{}")]).await;
    let at = |file: &str| format!("/refs/{HOSTED}@active/metadata/{file}");
    let missing = server.get(&at("2.root.json")).await;
    assert_eq!(missing.header("cache-control"), "no-store");
    missing.problem(404, "FILE_UNKNOWN");
    for file in ["1.root.json", "timestamp.json"] {
        let redirect = server.get(&at(file)).await.expect(307);
        assert_eq!(redirect.header("cache-control"), "no-cache, no-transform");
        let blob = server.get(redirect.header("location")).await.expect(200);
        assert_eq!(blob.header("cache-control"), "public, max-age=31536000, immutable, no-transform");
    }
}

#[test]
#[ignore = "needs python3 with its package tuf, node and `npm ci` in tests/tuf: .ci/run installs them and runs this; by hand: cargo test -- --ignored"]
fn clients_update_and_refuse_a_rollback_and_a_target_that_was_changed() {
    let (server, author) = (ServerProcess::start(), TempDir::new().unwrap());
    let home = author.path();
    release(home, 1, "one");
    publish(&server, home);
    let root = fs::read(home.join("repository/metadata/1.root.json")).unwrap();
    let reader = TufReader::new(&root, &format!("{}/refs/{HOSTED}@active", server.url()));
    reader.gets("tool", "one");
    release(home, 2, "two");
    publish(&server, home);
    reader.gets("tool", "two");
    reader.refuses("tool", 2, &["ExpiredMetadataError"]);

    server.larder(&format!("rollback {HOSTED}")).ok();
    reader.refuses("tool", 0, &["BadVersionNumberError", "BadVersionError"]);

    // Other bytes under the address of the target, whose metadata is as it was signed.
    release(home, 3, "three");
    for entry in fs::read_dir(home.join("repository/targets")).unwrap() {
        fs::write(entry.unwrap().path(), "threw").unwrap();
    }
    publish(&server, home);
    reader.refuses("tool", 0, &["LengthOrHashMismatchError"]);
}
