//! Paths that try to reach somewhere else.

use reqwest::Method;

use crate::support::raw::Raw;
use crate::support::server::{TestServer, send};

/// Sends the path as it is; well-behaved clients would tidy it up.
async fn status_of(server: &TestServer, method: &Method, path: &str) -> (u16, String) {
    let mut client = Raw::connect(server.address).await;
    let head = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n", server.token);
    client.send(format!("{head}content-length: 0\r\nconnection: close\r\n\r\n")).await;
    let answer = client.answer().await;
    (answer.status, answer.head)
}

#[tokio::test]
async fn tricks_with_paths_are_refused_and_touch_nothing() {
    let server = TestServer::start().await;
    let before = snapshot(&server.data);
    let long = format!("/manifests/{}", "a".repeat(10_000));
    let deep = format!("/refs/{}x", "a/".repeat(5_000));
    for path in [
        "/manifests/..",
        "/manifests/%2e%2e",
        "/manifests/../../etc/passwd",
        "/manifests/%2e%2e%2f%2e%2e%2fetc",
        "/manifests/a/%2e%2e/b",
        "/manifests/a%2f..%2fb",
        "/manifests/a//b",
        "/manifests//a",
        "/manifests/a%00b",
        "/manifests/%00",
        "/manifests/a%0ab",
        "/manifests/%ff%fe",
        "/manifests/a%5cb",
        "/manifests/.hidden",
        "/manifests/a@",
        "/manifests/@1",
        "/manifests/a@1@2",
        "/manifests/a@..",
        "/manifests/a%401%2f..%2fx",
        "/refs/main/%2e%2e",
        "/refs/main/..%2f..%2fx",
        "/refs/../main/x",
        "/refs/main@1/%2e%2e/x",
        "/refs/main@1//x",
        "/refs/main/a%00",
        "/versions/%2e%2e",
        "/versions/a//b",
        "/sessions/%2e%2e%2fx",
        "/blobs/%2e%2e%2fx",
        "/blobs/sha256:..%2f..%2fx",
        "/blobs/..",
        long.as_str(),
        deep.as_str(),
    ] {
        for method in [Method::GET, Method::PUT, Method::DELETE, Method::POST] {
            let (status, head) = status_of(&server, &method, path).await;
            assert!(matches!(status, 400 | 404 | 405), "{method} {path:.60}: {head}");
        }
    }
    assert_eq!(snapshot(&server.data), before);
}

fn snapshot(directory: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(snapshot(&path));
        }
        all.push(path);
    }
    all.sort();
    all
}

#[tokio::test]
async fn what_is_not_there_and_what_is_not_allowed() {
    let server = TestServer::start().await;
    server.get("/nothing").await.problem(404, "NOT_FOUND");
    server.get("/blobs").await.problem(404, "NOT_FOUND");
    let answer = send(server.request(Method::POST, "/manifests/main")).await;
    let mut allowed: Vec<&str> = answer.header("allow").split(',').collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["DELETE", "GET", "HEAD", "PUT"]);
    answer.problem(405, "METHOD_NOT_ALLOWED");
    let answer = send(server.anonymous(Method::OPTIONS, "/blobs/missing")).await.expect(204);
    assert_eq!(answer.header("allow"), "POST");
}

#[tokio::test]
async fn scripts_of_other_origins_may_read_and_only_read() {
    let server = TestServer::start().await;
    let digest = server.put_blob(b"x").await;
    let answer = server.get(&format!("/blobs/{digest}")).await;
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert!(answer.header("access-control-expose-headers").contains("Repr-Digest"));
    let preflight = |method: &'static str| {
        let request =
            server.anonymous(Method::OPTIONS, &format!("/blobs/{digest}")).header("origin", "https://a.example");
        send(request.header("access-control-request-method", method))
    };
    let answer = preflight("PUT").await.expect(204);
    assert_eq!(answer.header("access-control-allow-methods"), "GET, HEAD");
    assert!(answer.header("access-control-allow-headers").contains("If-None-Match"));
    let put = server.put(&format!("/blobs/{digest}"), "x").await.expect(200);
    assert!(!put.headers.contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn a_request_id_is_made_or_taken_over() {
    let server = TestServer::start().await;
    assert_eq!(server.get("/livez").await.header("x-request-id").len(), 24);
    let answer = send(server.anonymous(Method::GET, "/nothing").header("x-request-id", "mine-1")).await;
    assert_eq!(answer.header("x-request-id"), "mine-1");
    assert_eq!(answer.json()["instance"], "urn:larder:request:mine-1");
    for odd in ["a b", "x} request{id=fake", &"x".repeat(129)] {
        let answer = send(server.anonymous(Method::GET, "/livez").header("x-request-id", odd)).await;
        assert_eq!(answer.header("x-request-id").len(), 24, "{odd}");
    }
}
