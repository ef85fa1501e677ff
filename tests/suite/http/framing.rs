//! Heads of requests that are ambiguous, malformed or too large: each is refused with a reason, and nothing hangs.

use std::time::Duration;

use serde_json::Value;
use tokio::time::timeout;

use crate::support::raw::{Answer, Raw};
use crate::support::server::TestServer;

/// Sends bytes on a connection of their own, and reads to its end if it ends.
async fn exchange(server: &TestServer, bytes: impl AsRef<[u8]>) -> (Answer, bool) {
    let mut client = Raw::connect(server.address).await;
    client.send(bytes).await;
    let mut answer = client.answer().await;
    let length: usize = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
    while answer.body.len() < length {
        let mut buffer = [0; 4096];
        let read = tokio::io::AsyncReadExt::read(&mut client.0, &mut buffer);
        let more = timeout(Duration::from_secs(20), read).await.expect("the body in time").unwrap();
        assert!(more > 0, "the body was cut: {answer:?}");
        answer.body.extend_from_slice(&buffer[..more]);
    }
    let closes = answer.header("connection") == Some("close");
    if closes {
        client.rest().await;
    }
    (answer, closes)
}

/// Asserts a problem after which the connection is closed.
async fn refused(server: &TestServer, bytes: impl AsRef<[u8]>, status: u16, code: &str) {
    let shown = String::from_utf8_lossy(&bytes.as_ref()[..bytes.as_ref().len().min(200)]).into_owned();
    let (answer, closes) = exchange(server, bytes).await;
    assert_eq!(answer.status, status, "{shown:?}: {answer:?}");
    assert!(closes, "{shown:?}: {answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{shown:?}: {answer:?}");
    assert!(answer.header("x-request-id").is_some(), "{shown:?}: {answer:?}");
    let problem: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((&problem["code"], &problem["status"]), (&code.into(), &status.into()), "{shown:?}: {problem}");
}

#[tokio::test]
async fn a_request_names_one_host() {
    let server = TestServer::start().await;
    for headers in [
        "",
        "host: a\r\nhost: a\r\n",
        "host: a\r\nhost: b\r\n",
        "host: a b\r\n",
        "host: user@a\r\n",
        "host: a/b\r\n",
        "host: a:x\r\n",
        "host: [::1\r\n",
    ] {
        for path in ["/livez", "/manifests", "/nowhere", "http://a/livez"] {
            refused(&server, format!("GET {path} HTTP/1.1\r\n{headers}\r\n"), 400, "REQUEST_INVALID").await;
        }
    }
    for head in [
        "GET /livez HTTP/1.0\r\n\r\n",
        "GET /livez HTTP/1.0\r\nhost: a\r\n\r\n",
        "GET /livez HTTP/1.1\r\nHOST:\ta.example:80 \r\n\r\n",
        "GET /livez HTTP/1.1\r\nhost: [::1]:80\r\n\r\n",
        "GET /livez HTTP/1.1\r\nhost:\r\n\r\n",
        "GET http://a.example/livez HTTP/1.1\r\nhost: b.example\r\n\r\n",
        "GET HTTP://A.EXAMPLE:80/livez HTTP/1.1\r\nhost: b.example\r\n\r\n",
    ] {
        assert_eq!(exchange(&server, head).await.0.status, 200, "{head:?}");
    }
}

#[tokio::test]
async fn a_cached_response_is_not_given_to_an_ambiguous_request() {
    let server = TestServer::start().await;
    server.publish("main", &[("a", b"a")]).await;
    for _ in 0..3 {
        server.get("/manifests/main").await.expect(200);
    }
    refused(&server, "GET /manifests/main HTTP/1.1\r\n\r\n", 400, "REQUEST_INVALID").await;
    refused(&server, "GET /manifests/main HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400, "REQUEST_INVALID").await;
}

#[tokio::test]
async fn credentials_are_sent_once() {
    let server = TestServer::start().await;
    let line = format!("authorization: Bearer {}\r\n", server.token);
    for other in [line.as_str(), "authorization: Basic eDp5\r\n"] {
        let head = format!("GET /manifests HTTP/1.1\r\nhost: a\r\n{line}{other}\r\n");
        refused(&server, head, 400, "REQUEST_INVALID").await;
    }
    let (answer, _) = exchange(&server, format!("GET /manifests HTTP/1.1\r\nhost: a\r\n{line}\r\n")).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn chunked_is_the_only_transfer_coding() {
    let server = TestServer::start().await;
    let put = |headers: &str, version: &str| {
        let token = &server.token;
        format!(
            "PUT /manifests/main HTTP/{version}\r\nhost: a\r\nauthorization: Bearer {token}\r\n{headers}\r\n0\r\n\r\n"
        )
    };
    for codings in ["gzip, chunked", "gzip,chunked", "gzip\r\ntransfer-encoding: chunked", "identity, chunked"] {
        let request = put(&format!("transfer-encoding: {codings}\r\n"), "1.1");
        refused(&server, request, 501, "UNSUPPORTED").await;
    }
    for codings in ["gzip", "identity", "xchunked", "chunked, gzip", "chunked\r\ntransfer-encoding: gzip"] {
        let request = put(&format!("transfer-encoding: {codings}\r\n"), "1.1");
        refused(&server, request, 501, "UNSUPPORTED").await;
    }
    let twice = put("transfer-encoding: chunked, chunked\r\n", "1.1");
    refused(&server, twice, 400, "REQUEST_INVALID").await;
    let old = put("transfer-encoding: chunked\r\n", "1.0");
    refused(&server, old, 400, "REQUEST_INVALID").await;
}

#[tokio::test]
async fn nothing_is_taken_for_a_request_after_a_body_with_two_lengths() {
    let server = TestServer::start().await;
    for headers in
        ["transfer-encoding: chunked\r\ncontent-length: 5\r\n", "content-length: 5\r\ntransfer-encoding: chunked\r\n"]
    {
        let mut client = Raw::connect(server.address).await;
        let next = "GET /livez HTTP/1.1\r\nhost: a\r\n\r\n";
        client.send(format!("GET /livez HTTP/1.1\r\nhost: a\r\n{headers}\r\n0\r\n\r\n{next}")).await;
        let answers = String::from_utf8(client.rest().await).unwrap();
        assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{answers}");
    }
}

#[tokio::test]
async fn heads_that_are_none_are_refused() {
    let server = TestServer::start().await;
    for head in [
        "GET /livez HTTP/1.1\r\nhost: a\r\nx: 1\r\n folded\r\n\r\n",
        "GET /livez HTTP/1.1\r\nhost : a\r\n\r\n",
        "GET /livez HTTP/1.1\r\nhost: a\r\nx: a\0b\r\n\r\n",
        "GET /livez HTTP/1.1\r\nhost: a\r\nx: a\rb\r\n\r\n",
        "GET /livez HTTP/1.1\r\nhost: a\r\nnocolon\r\n\r\n",
        "GET /livez HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        "GET /livez HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
        "GET /livez HTTP/1.1\r\nhost: a\r\ncontent-length: +1\r\n\r\n",
        "GET /livez HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999999999999999999\r\n\r\n",
        "G@T /livez HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET /li vez HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET /livez HTTP/3.7\r\nhost: a\r\n\r\n",
        "GET /livez\r\n\r\n",
        "\x16\x03\x01\x02\0\x01\0\x01\x7f\x03\x03",
    ] {
        refused(&server, head, 400, "REQUEST_INVALID").await;
    }
}

#[tokio::test]
async fn heads_that_are_too_large_are_refused() {
    let server = TestServer::start().await;
    let many = "x: y\r\n".repeat(200);
    let long = "y".repeat(1 << 20);
    refused(&server, format!("GET /livez HTTP/1.1\r\nhost: a\r\n{many}\r\n"), 431, "SIZE_INVALID").await;
    refused(&server, format!("GET /livez HTTP/1.1\r\nhost: a\r\nx: {long}\r\n\r\n"), 431, "SIZE_INVALID").await;
    for length in [20_000, 60_000, 65_535, 70_000, 1 << 20] {
        let target = format!("/{}", "a".repeat(length));
        refused(&server, format!("GET {target} HTTP/1.1\r\nhost: a\r\n\r\n"), 414, "SIZE_INVALID").await;
    }
}

#[tokio::test]
async fn unusual_requests_are_answered() {
    let server = TestServer::start().await;
    for (request, status) in [
        ("BREW /livez HTTP/1.1\r\nhost: a\r\n\r\n", 405),
        ("OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n", 204),
        ("CONNECT a:80 HTTP/1.1\r\nhost: a:80\r\n\r\n", 404),
        ("GET /livez HTTP/1.1\nhost: a\n\n", 200),
        ("\r\n\r\nGET /livez HTTP/1.1\r\nhost: a\r\n\r\n", 200),
        ("GET /livez HTTP/1.1\r\nhost: a\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n", 200),
    ] {
        assert_eq!(exchange(&server, request).await.0.status, status, "{request:?}");
    }
    let (_, closes) = exchange(&server, "GET /livez HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(closes);
    let mut client = Raw::connect(server.address).await;
    let pipelined = "GET /livez HTTP/1.1\r\nhost: a\r\n\r\n".repeat(2);
    client.send(pipelined + "GET /livez HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert_eq!(String::from_utf8(client.rest().await).unwrap().matches("HTTP/1.1 200").count(), 3);
}
