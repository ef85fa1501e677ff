//! Servers that cannot be reached, that are busy, and answers that get lost.

use std::net::TcpListener;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::fake::{Act, Fake, answer};
use super::{folder, publish};
use crate::support::process::{ServerProcess, larder};

#[test]
fn a_server_that_is_not_there_is_said_at_once() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let began = Instant::now();
    let output = larder(&format!("ls --json --retries 0 --server http://127.0.0.1:{port}")).exits(7);
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(output.error()["code"], "UNREACHABLE");
    larder("ls --retries 0 --server http://no-such-host.invalid").exits(7).says("no-such-host.invalid");
    larder("ls --retries 0 --server localhost:8080").exits(2).says("http://");
}

#[test]
fn a_server_that_is_another_one_is_recognised() {
    let other = Fake::start(|_, _| answer(200, &[("content-type", "text/html")], b"<html>hello</html>"));
    larder("ls --retries 0").env("LARDER_SERVER", other.url()).exits(1).says("is not one of a Larder server");
    larder("get main --retries 0").env("LARDER_SERVER", other.url()).exits(1).says("is not one of a Larder server");
}

#[test]
fn a_busy_server_is_asked_again() {
    let server = ServerProcess::start();
    publish(&server, "main", &[("f", b"1")]);
    let address = server.address;
    let busy = Fake::start(
        move |request, before| {
            if before < 2 { answer(503, &[], b"") } else { Act::Answer(request.pass_on(address)) }
        },
    );
    assert_eq!(server.larder("ls").env("LARDER_SERVER", busy.url()).ok().stdout, "main\n");
    assert_eq!(busy.requests().len(), 3);
}

#[test]
fn a_server_that_stays_busy_is_given_up() {
    let busy = Fake::start(|_, _| answer(503, &[], br#"{"code":"BUSY","detail":"The store is busy."}"#));
    let error = larder("ls --retries 1 --json").env("LARDER_SERVER", busy.url()).exits(7);
    assert!(error.stderr.contains("The store is busy."), "{error:#?}");
    assert_eq!(busy.requests().len(), 2);
}

#[test]
fn the_pause_that_a_server_asks_for_is_made() {
    let server = ServerProcess::start();
    let address = server.address;
    let busy = Fake::start(move |request, before| {
        if before == 0 { answer(503, &[("retry-after", "2")], b"") } else { Act::Answer(request.pass_on(address)) }
    });
    server.larder("ls").env("LARDER_SERVER", busy.url()).ok();
    let requests = busy.requests();
    assert_eq!(requests.len(), 2);
    // Left to itself the client waits for one second at most.
    assert!(requests[1].at - requests[0].at >= Duration::from_secs(2));
}

#[test]
fn a_pause_longer_than_anybody_waits_is_not_made() {
    let busy = Fake::start(|_, _| answer(503, &[("retry-after", "86400")], b""));
    let began = Instant::now();
    larder("ls").env("LARDER_SERVER", busy.url()).exits(7);
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(busy.requests().len(), 1);
}

#[test]
fn what_cannot_succeed_is_not_tried_again() {
    for (status, code) in [(400, 1), (401, 4), (404, 3), (410, 3), (412, 5), (422, 1), (507, 1)] {
        let fake = Fake::start(move |_, _| answer(status, &[], b""));
        larder("ls").env("LARDER_SERVER", fake.url()).exits(code);
        assert_eq!(fake.requests().len(), 1, "{status}");
    }
}

/// A way to `server` on which the first answer to a request of this method and path gets lost.
fn lossy(server: &ServerProcess, method: &'static str, path: &'static str) -> Fake {
    let address = server.address;
    let lost = std::sync::atomic::AtomicBool::new(false);
    Fake::start(move |request, _| {
        let reply = request.pass_on(address);
        let loses = request.is(method, path) && !lost.swap(true, std::sync::atomic::Ordering::SeqCst);
        if loses { Act::Close } else { Act::Answer(reply) }
    })
}

#[test]
fn a_commit_whose_answer_gets_lost_is_a_success() {
    let server = ServerProcess::start();
    let files = folder(&[("f", b"1")]);
    let way = lossy(&server, "PUT", "/sessions/");
    let publish = server.larder("publish main f --expect none --json").env("LARDER_SERVER", way.url());
    let receipt = publish.within(&files).ok().json();
    assert_eq!((&receipt["version"], &receipt["state"]), (&json!(1), &json!("active")));
    assert_eq!(receipt["unchanged"], json!(false), "it was this publish that changed the name");
    assert_eq!(server.states("main"), ["active"]);
}

#[test]
fn a_commit_whose_answer_gets_lost_is_a_success_also_when_somebody_else_came_next() {
    let server = ServerProcess::start();
    let (files, next) = (folder(&[("f", b"1")]), folder(&[("f", b"2")]));
    let (address, publish) = (server.address, server.larder("publish main f").within(&next));
    let publish = std::sync::Mutex::new(Some(publish));
    let way = Fake::start(move |request, _| {
        let reply = request.pass_on(address);
        if request.is("PUT", "/sessions/")
            && let Some(publish) = publish.lock().unwrap().take()
        {
            publish.ok();
            return Act::Close;
        }
        Act::Answer(reply)
    });
    let publish = server.larder("publish main f --expect none --json").env("LARDER_SERVER", way.url());
    assert_eq!(publish.within(&files).ok().json()["version"], json!(1));
    assert_eq!(server.states("main"), ["active", "archived"]);
}

#[test]
fn an_upload_whose_answer_gets_lost_is_not_made_twice() {
    let server = ServerProcess::start();
    let files = folder(&[("f", b"1")]);
    let way = lossy(&server, "PUT", "/blobs/");
    server.larder("publish main f").env("LARDER_SERVER", way.url()).within(&files).ok();
    assert_eq!(way.requests_of("PUT", "/blobs/").len(), 1);
    assert_eq!(server.uploads(), 1);
}

#[test]
fn a_session_whose_answer_gets_lost_harms_nobody() {
    let server = ServerProcess::start();
    let files = folder(&[("f", b"1")]);
    let way = lossy(&server, "POST", "/sessions/");
    server.larder("publish main f").env("LARDER_SERVER", way.url()).within(&files).ok();
    assert_eq!(server.states("main"), ["active"], "the second request took the first one's session up");
    assert_eq!(server.larder("get main f").ok().stdout, "1");
}

#[test]
fn a_rollback_whose_answer_gets_lost_is_made_once() {
    let server = ServerProcess::start();
    publish(&server, "main", &[("f", b"1")]);
    publish(&server, "main", &[("f", b"2")]);
    let way = lossy(&server, "POST", "/versions/");
    let receipt = server.larder("rollback main --json").env("LARDER_SERVER", way.url()).ok().json();
    assert_eq!(receipt["version"], json!(1));
    assert_eq!(server.larder("get main f").ok().stdout, "1");
    assert_eq!(way.requests_of("POST", "/versions/").len(), 2);
}

#[test]
fn a_deletion_whose_answer_gets_lost_is_a_success() {
    let server = ServerProcess::start();
    publish(&server, "main", &[("f", b"1")]);
    let way = lossy(&server, "DELETE", "/manifests/");
    server.larder("delete main --yes").env("LARDER_SERVER", way.url()).ok();
    server.larder("get main").exits(3);
    assert_eq!(server.states("main"), ["retired"]);
}
