//! A catalog read by clients that nobody here wrote, from its first release to the server's operator who takes it back.

use std::thread;
use std::time::Duration;

use larder::clock::{Clock as _, SystemClock};
use larder::domain::Digest;

use super::*;

/// Waits for the minute after this one: clients keep what they have within one.
fn next_minute() {
    let now = SystemClock.now().as_millisecond();
    let left = 60_000 - now.rem_euclid(60_000);
    thread::sleep(Duration::from_millis(u64::try_from(left).unwrap() + 100));
}

fn reader(server: &ServerProcess, root: u32) -> TufReader {
    let base = format!("/tuf/{NAME}");
    let root = server.get(&format!("{base}/metadata/{root}.root.json")).unwrap();
    assert_eq!(root.status, 200);
    TufReader::new(&root.body, &format!("{}{base}", server.url()))
}

/// The file in a directory that holds a blob.
fn stored(directory: &Path, hex: &str) -> Option<PathBuf> {
    fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).find_map(|path| {
        if path.is_dir() { stored(&path, hex) } else { Some(path).filter(|path| path.to_string_lossy().contains(hex)) }
    })
}

#[test]
#[ignore = "needs python3 with its package tuf, node and `npm ci` in tests/tuf: .ci/run installs them and runs this; by hand: cargo test -- --ignored"]
fn clients_follow_an_author_and_refuse_what_the_author_did_not_sign() {
    let (server, author) = shown();
    let old = reader(&server, 1);
    old.gets("v1.0/tool", "v1.0");
    old.gets("v1.1/tool", "there is no such target");
    // Whoever keeps the time from a client can do so for a day.
    old.refuses("v1.0/tool", 2, &["ExpiredMetadataError"]);

    // An update and a new key.
    author.key("new");
    author.catalog(&server, &format!("rotate {NAME} -k author.key --new new.key")).ok();
    author.write("dist/tool", b"v1.1");
    author.catalog(&server, &format!("add {NAME} v1.1 dist -k new.key")).ok();
    let new = reader(&server, 2);
    new.gets("v1.1/tool", "v1.1");
    next_minute();
    old.gets("v1.1/tool", "v1.1");
    old.gets("v1.0/notes", "read me");

    // Other bytes under a digest.
    let blob = stored(&server.data, &Digest::of(b"v1.1").hex()).unwrap();
    let mut permissions = fs::metadata(&blob).unwrap().permissions();
    #[expect(clippy::permissions_set_readonly_false, reason = "it is the test's own file")]
    permissions.set_readonly(false);
    fs::set_permissions(&blob, permissions).unwrap();
    fs::write(&blob, b"evil").unwrap();
    let third = reader(&server, 2);
    third.refuses("v1.1/tool", 0, &["LengthOrHashMismatchError"]);

    // The operator goes back, without the author.
    server.larder(&format!("rollback {NAME}/_catalog")).ok();
    next_minute();
    for reader in [&old, &new] {
        reader.refuses("v1.0/tool", 0, &["BadVersionNumberError", "BadVersionError"]);
    }
}
