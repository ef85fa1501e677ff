//! `larder import manifest`

use larder::domain::Digest;
use serde_json::json;

use super::{actions, channel, names, site, troubles};
use crate::cli::everything;
use crate::support::process::ServerProcess;

#[test]
fn a_list_of_addresses_with_digests_becomes_names() {
    let server = ServerProcess::start();
    let (fake, _) =
        site(channel("/v1", "v1", &[("a%20b.zip", b"one"), ("b.zip", b"two"), ("c.zip", b"three")]), |_| None);
    let url = |file: &str| format!("{}/v1/{file}", fake.url());
    let hex = |bytes: &[u8]| Digest::of(bytes).hex();
    let list = json!({"releases": [
        {"name": "tool/v1", "version": "v1", "commit": "abc", "published_at": "2025-10-01T10:00:00Z", "artifacts": [
            {"url": url("a%20b.zip"), "sha256": hex(b"one"), "size": 3},
            {"url": url("b.zip"), "name": "renamed.zip", "blob": Digest::of(b"two"), "arch": "arm64"},
            {"url": url("c.zip"), "sha256": hex(b"other"), "size": 5},
            {"url": url("none.zip"), "sha256": hex(b"none")},
            {"url": url("c.zip"), "name": "nodigest.zip"},
        ]},
    ]});
    let run = || {
        let output = server.larder("import manifest - --json").input(list.to_string()).exits(8);
        serde_json::from_str::<serde_json::Value>(&output.stdout).unwrap()
    };
    let report = run();
    let mut found = troubles(&report);
    found.sort();
    assert_eq!(found, ["DIGEST_INVALID nodigest.zip", "FILE_MISSING none.zip", "TORN_PAIR c.zip"]);
    assert_eq!(names(&server, "tool/v1"), ["a b.zip", "renamed.zip"]);
    let manifest = server.larder("get tool/v1").ok().json();
    assert_eq!((&manifest["commit"], &manifest["artifacts"][1]["arch"]), (&json!("abc"), &json!("arm64")));
    let row = server.larder("versions tool/v1@active --json").ok().json();
    assert_eq!(row["from"], json!({"url": format!("{}/v1/", fake.url()), "published_at": "2025-10-01T10:00:00Z"}));
    let before = everything(&server.data.join("objects"));
    assert_eq!(actions(&run()), ["present"]);
    assert_eq!(before, everything(&server.data.join("objects")));
}

#[test]
fn a_list_that_is_none_is_refused_with_what_is_wrong() {
    let server = ServerProcess::start();
    for (list, said) in [
        ("", "is no list of releases"),
        (r#"{"releases":[{"name":"Bad/Name","artifacts":[]}]}"#, "is no list of releases"),
        (r#"{"releases":[{"name":"a","artifacts":[{"url":"nowhere"}]}]}"#, "is no address"),
        (r#"{"releases":[]}"#, "has no files"),
    ] {
        server.larder("import manifest -").input(list).exits(2).says(said);
    }
    let odd = r#"{"releases":[{"name":"a","artifacts":[{"url":"file:///etc/passwd","sha256":"00"},{"url":"http://h/../x","name":"../x","sha256":"00"}]}]}"#;
    let output = server.larder("import manifest - --json").input(odd).exits(8);
    let report = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(troubles(&report), ["ADDRESS_INVALID passwd", "NAME_INVALID ../x"]);
    server.larder("ls").ok().says("");
}
