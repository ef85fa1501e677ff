//! JSON bodies: objects are objects, and all of a document is UTF-8.

use larder::domain::Digest;
use reqwest::Method;

use crate::support::server::{TestServer, send};

/// Sends a body that must be refused, and returns the sentence that says why.
async fn refused(server: &TestServer, path: &str, body: &[u8], code: &str) -> String {
    let problem = send(server.request(Method::POST, path).body(body.to_vec())).await.problem(400, code);
    problem["detail"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn bodies_that_are_no_objects_are_refused_everywhere() {
    let server = TestServer::start().await;
    server.publish("main", &[("file", b"content")]).await;
    let digest = Digest::of(b"x");
    let question = format!("[[\"{digest}\"]]");
    let places = [
        ("/versions/main@1/copy", r#"["stable"]"#.to_owned(), "NAME_INVALID"),
        ("/blobs/missing", question, "DIGEST_INVALID"),
    ];
    for (path, array, code) in places {
        for body in [array.as_str(), "[]", "null", "\"x\"", "1"] {
            let detail = refused(&server, path, body.as_bytes(), code).await;
            assert!(detail.starts_with("Send {") && detail.contains("expected an object"), "{path} {body}: {detail}");
        }
        for (body, reason) in [
            (&b"{\"x\":\"\xff\"}"[..], "it is not valid UTF-8 from byte 6 on"),
            (b"\xef\xbb\xbf{}", "byte order mark"),
            (b"{} {}", "missing field"),
            (b"", "EOF"),
        ] {
            let detail = refused(&server, path, body, code).await;
            assert!(detail.contains(reason), "{path}: {detail}");
        }
    }
    server.get("/manifests/stable").await.problem(404, "MANIFEST_UNKNOWN");
    let twice = br#"{"to":"stable","to":"other"}"#;
    assert!(refused(&server, "/versions/main@1/copy", twice, "NAME_INVALID").await.contains("duplicate field"));
    let behind = br#"{"to":"stable"}]"#;
    assert!(refused(&server, "/versions/main@1/copy", behind, "NAME_INVALID").await.contains("trailing characters"));
}
