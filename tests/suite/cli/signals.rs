//! Publishes that are told to stop.

use rustix::process::Signal;

use super::fake::{Act, Fake};
use super::{folder, publish};
use crate::support::process::{ServerProcess, until};

/// Passes everything on but uploads, which never end.
fn stuck(server: &ServerProcess) -> Fake {
    let address = server.address;
    Fake::start(
        move |request, _| {
            if request.is("PUT", "/blobs/") { Act::Silence } else { Act::Answer(request.pass_on(address)) }
        },
    )
}

#[test]
fn a_publish_that_is_stopped_gives_its_session_back() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let server = ServerProcess::start();
        publish(&server, "main", &[("f", b"old")]);
        let (way, files) = (stuck(&server), folder(&[("f", b"new")]));
        let running = server.larder("publish main f --json").env("LARDER_SERVER", way.url()).within(&files).start();
        until("an upload begins", || !way.requests_of("PUT", "/blobs/").is_empty());
        assert_eq!(server.states("main"), ["prepared", "active"]);
        running.signal(signal);
        let output = running.wait();
        assert_eq!(output.code(), Some(code), "{output:#?}");
        assert_eq!(output.error()["exit_code"], code);
        assert!(!server.states("main").contains(&"prepared".to_owned()), "{:?}", server.states("main"));
        assert_eq!(server.larder("get main f").ok().stdout, "old");
    }
}

#[test]
fn a_publish_that_is_killed_changes_nothing_for_readers() {
    let server = ServerProcess::start();
    publish(&server, "main", &[("f", b"old")]);
    let (way, files) = (stuck(&server), folder(&[("f", b"new")]));
    let running = server.larder("publish main f").env("LARDER_SERVER", way.url()).within(&files).start();
    until("an upload begins", || !way.requests_of("PUT", "/blobs/").is_empty());
    running.signal(Signal::KILL);
    running.wait();
    assert_eq!(server.larder("get main f").ok().stdout, "old");
    server.larder("publish main f").within(&files).ok();
    assert_eq!(server.larder("get main f").ok().stdout, "new");
}
