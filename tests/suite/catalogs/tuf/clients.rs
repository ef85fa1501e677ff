//! A catalog read by clients that nobody here wrote, from its first release to the server's operator who takes it back.

use std::thread;
use std::time::Duration;

use larder::clock::{Clock as _, SystemClock};
use larder::domain::Digest;

use super::*;
use crate::cli::fake::{Act, Fake, answer};

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
    next_minute();
    old.gets("v1.1/tool", "v1.1");
    old.gets("v1.0/notes", "read me");

    // The server's key is replaced: by its operator, then by the author.
    larder(&format!("key rotate --data {}", server.data.display())).ok();
    next_minute();
    old.gets("v1.1/tool", "v1.1");
    author.catalog(&server, &format!("rotate {NAME} -k new.key --new new.key --tuf")).ok();
    next_minute();
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

    // The operator goes back, without the author.
    server.larder(&format!("rollback {NAME}/_catalog")).ok();
    next_minute();
    for reader in [&old, &new] {
        reader.refuses("v1.0/tool", 0, &["BadVersionNumberError", "BadVersionError"]);
    }
}
