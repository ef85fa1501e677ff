//! A catalog read by clients that nobody here wrote, from its first release to the server's operator who takes it back.

use std::thread;
use std::time::Duration;

use larder::domain::Digest;

use super::*;
use crate::cli::fake::{Act, Fake, answer};

fn reader(server: &ServerProcess, root: u32) -> TufReader {
    let base = format!("/tuf/{NAME}");
    let root = server.get(&format!("{base}/metadata/{root}.root.json")).unwrap();
    assert_eq!(root.status, 200);
    TufReader::new(&root.body, &format!("{}{base}", server.url()))
}

#[test]
#[ignore = "needs python3 with its package tuf, node and `npm ci` in tests/tuf: .ci/run installs them and runs this; by hand: cargo test -- --ignored"]
fn clients_follow_an_author_and_refuse_what_the_author_did_not_sign() {
    let (server, author) = shown();
    let old = reader(&server, 1);
    old.gets("v1.0/tool", "v1.0");
    old.gets("v1.1/tool", "there is no such target");
    // Whoever keeps the time from a client can do so for a day.
    old.refuses("v1.0/tool", 2, &["timestamp.json is expired"]);

    // An update and a new key.
    author.key("new");
    author.catalog(&server, &format!("rotate {NAME} -k author.key --new new.key")).ok();
    author.write("dist/tool", b"v1.1");
    author.catalog(&server, &format!("add {NAME} v1.1 dist -k new.key")).ok();
    let new = reader(&server, 2);
    new.gets("v1.1/tool", "v1.1");
    old.gets("v1.1/tool", "v1.1");
    old.gets("v1.0/notes", "read me");

    // The server's key is replaced: by its operator, then by the author.
    larder(&format!("key rotate --data {}", server.data.display())).ok();
    // Until the server knows it.
    thread::sleep(Duration::from_secs(6));
    old.gets("v1.1/tool", "v1.1");
    author.catalog(&server, &format!("rotate {NAME} -k new.key --new new.key --tuf")).ok();
    old.gets("v1.1/tool", "v1.1");
    new.gets("v1.0/tool", "v1.0");

    // A mirror that passes on everything but the target.
    let (address, blob) = (server.address, format!("/blobs/{}", Digest::of(b"v1.1")));
    let mirror = Fake::start(move |request, _| {
        if request.is("GET", &blob) { answer(200, &[], b"evil") } else { Act::Answer(request.pass_on(address)) }
    });
    let root = server.get(&format!("/tuf/{NAME}/metadata/2.root.json")).unwrap().body;
    let misled = TufReader::new(&root, &format!("{}/tuf/{NAME}", mirror.url()));
    misled.refuses("v1.1/tool", 0, &["LengthOrHashMismatchError"]);
    misled.gets("v1.0/tool", "v1.0");

    // The operator goes back, without the author: by several changes, for the versions of timestamps grow with time, too.
    let timestamp = server.get(&format!("/tuf/{NAME}/metadata/timestamp.json")).unwrap().json();
    let serial = &timestamp["signed"]["meta"]["snapshot.json"]["version"];
    for _ in 0..3 {
        author.catalog(&server, &format!("refresh {NAME} -k new.key")).ok();
    }
    for reader in [&old, &new] {
        reader.gets("v1.0/tool", "v1.0");
    }
    server.larder(&format!("promote {NAME}/_catalog@{serial}")).ok();
    for reader in [&old, &new] {
        reader.refuses("v1.0/tool", 0, &["BadVersionNumberError", "BadVersionError"]);
    }
}
