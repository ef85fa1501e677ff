//! Paths that try to reach somewhere else.

use reqwest::Method;

use crate::support::raw::Raw;
use crate::support::server::{Answer, TestServer, send};

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
    assert_eq!(allowed(&answer), ["DELETE", "GET", "HEAD", "OPTIONS", "PUT"]);
    answer.problem(405, "METHOD_NOT_ALLOWED");
}

fn allowed(answer: &Answer) -> Vec<&str> {
    let mut allowed: Vec<&str> = answer.header("allow").split(',').map(str::trim).collect();
    allowed.sort_unstable();
    allowed
}

#[tokio::test]
async fn options_and_refusals_of_methods_list_what_each_address_takes() {
    let server = TestServer::start().await;
    let digest = server.put_blob(b"x").await;
    for (path, methods) in [
        ("/", "GET HEAD"),
        ("/openapi.json", "GET HEAD"),
        ("/livez", "GET HEAD"),
        ("/metrics", "GET HEAD"),
        (&format!("/blobs/{digest}"), "GET HEAD PUT"),
        ("/blobs/missing", "POST"),
        ("/manifests", "GET HEAD"),
        ("/manifests/a/b", "DELETE GET HEAD PUT"),
        ("/manifests/a/b@1", "DELETE GET HEAD"),
        ("/refs/a/b", "GET HEAD"),
        ("/refs/a@active/b/c", "GET HEAD"),
        ("/versions/a", "GET HEAD"),
        ("/versions/a@1", "GET HEAD"),
        ("/versions/a@1/promote", "POST"),
        ("/versions/a@1/copy", "POST"),
        ("/versions/a@1/pin", "DELETE PUT"),
        ("/sessions/a", "POST"),
        ("/sessions/a@1", "DELETE GET HEAD PUT"),
        ("/uploads", "POST"),
        ("/uploads/1", "DELETE HEAD PATCH"),
        ("/collector/runs", "GET HEAD"),
        ("/collector/runs/1/plan", "GET HEAD"),
    ] {
        let mut wanted: Vec<&str> = methods.split(' ').chain(["OPTIONS"]).collect();
        wanted.sort_unstable();
        let answer = send(server.anonymous(Method::OPTIONS, path)).await.expect(204);
        assert_eq!(allowed(&answer), wanted, "OPTIONS {path}");
        let refused = send(server.request(Method::from_bytes(b"FROB").unwrap(), path)).await;
        assert_eq!(allowed(&refused), wanted, "FROB {path}");
        refused.problem(405, "METHOD_NOT_ALLOWED");
    }
    for path in ["/nothing", "/versions/a@1/frobnicate"] {
        send(server.anonymous(Method::OPTIONS, path)).await.problem(404, "NOT_FOUND");
    }
    let (status, head) = status_of(&server, &Method::OPTIONS, "*").await;
    assert!(status == 204 && head.to_ascii_lowercase().contains("\nallow: get,head,"), "{head}");
}

#[tokio::test]
async fn equivalent_spellings_of_a_path_are_one_address() {
    let server = TestServer::start().await;
    let content = b"Package: x\n";
    server.publish("apt/main", &[("Packages", content), ("A~b.deb", b"deb")]).await;
    let blob = larder::domain::Digest::of(content);
    let plain = server.get("/refs/apt/main/Packages").await.expect(307).header("location").to_owned();
    for path in [
        // As apt asks for the files of a flat repository.
        "/refs/apt/main/./Packages",
        "/./refs/apt/././main/Packages",
        "/refs/%61pt/main/Packages",
        "/refs/apt/main/%2e/Packages",
        "/refs/apt/main/%2E/%50ackages",
        "/%72efs/apt/main/Packages",
        "/refs/apt/main%40active/Packages",
    ] {
        // Twice: the second answer may come from memory.
        for _ in 0..2 {
            let (status, head) = status_of(&server, &Method::GET, path).await;
            assert!(status == 307 && head.contains(&plain), "{path}: {head}");
        }
    }
    for path in [
        "/manifests/./apt/main".to_owned(),
        "/manifests/apt/%6dain".into(),
        "/./manifests/apt/main".into(),
        "/versions/apt/./main".into(),
        format!("/blobs/./{blob}"),
        format!("/blobs/sha256%3A{}", blob.hex()),
        "/refs/apt/main/A%7Eb.deb".into(),
        "/refs/apt/main/A~b.deb".into(),
        "/./livez".into(),
        "/.".into(),
    ] {
        let (status, head) = status_of(&server, &Method::GET, &path).await;
        assert!(matches!(status, 200 | 307), "{path}: {head}");
    }
    let put = status_of(&server, &Method::PUT, "/manifests/./apt/main").await.0;
    assert_eq!(put, 400, "it reaches the handler, which finds no manifest in nothing");
    for (path, wanted) in [
        ("/refs/apt/main/../main/Packages", 400),
        ("/refs/apt/main/%2e%2e/main/Packages", 400),
        ("/refs/apt/main/.%2e/./Packages", 400),
        ("/manifests/../manifests/apt/main", 400),
        ("/refs/apt%2Fmain/.%2FPackages", 400),
        ("/refs/apt//main/Packages", 400),
        ("/refs/apt/main//Packages", 400),
        ("/manifests/apt/main/", 400),
        ("/manifests/apt/main/.", 400),
    ] {
        let (status, head) = status_of(&server, &Method::GET, path).await;
        assert_eq!(status, wanted, "{path}: {head}");
    }
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
