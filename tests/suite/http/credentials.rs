//! Credentials that are not meant for this server: what anybody may read is read, and nothing else is.

use larder::config::{NameRule, Token};
use larder::domain::{Digest, Permission, Reads};
use reqwest::Method;
use reqwest::header::HeaderValue;
use serde_json::json;

use crate::support::process::{ServerProcess, exchange};
use crate::support::server::{Answer, TestServer, send};

/// Fields that clients send for other reasons, and a word of the reason that a refusal must give.
const STRAY: [(&[u8], &str); 12] = [
    (b"Basic bmV0cmM6bmV0cmMtcGFzc3dvcmQ=", "Bearer TOKEN"),
    (b"Basic ????", "Bearer TOKEN"),
    (b"Basic", "Bearer TOKEN"),
    (b"Bearer", "Bearer TOKEN"),
    (b"Bearer left-over-from-elsewhere", "not known"),
    (b"bearer eyJhbGciOiJub25lIn0.e30.", "not known"),
    (b"Bearer secret of old", "is over"),
    (b"Digest username=\"netrc\", realm=\"x\"", "Bearer TOKEN"),
    (b"Negotiate YII=", "Bearer TOKEN"),
    (b"AWS4-HMAC-SHA256 Credential=AKIA/x, Signature=00", "Bearer TOKEN"),
    (b"\xff\xfe", "Bearer TOKEN"),
    (b"token", "Bearer TOKEN"),
];

fn token(id: &str, until: Option<&str>) -> Token {
    Token {
        id: id.into(),
        sha256: Digest::of(format!("secret of {id}").as_bytes()).hex(),
        actions: vec![Permission::Admin],
        names: vec!["**".parse().unwrap()],
        surfaces: None,
        until: until.map(|time| time.parse().unwrap()),
    }
}

/// A server with a public and a private name, each with two versions.
async fn server(blob_reads: Reads) -> TestServer {
    let mut server = TestServer::with(|config| {
        config.access.blob_reads = blob_reads;
        config.access.tokens = vec![token("me", None), token("old", Some("2001-01-01T00:00:00Z"))];
        let private = vec!["private/**".parse().unwrap()];
        config.names = vec![NameRule { matches: private, read: Some(Reads::Token), ..NameRule::default() }];
    })
    .await;
    server.token = "secret of me".into();
    for name in ["open", "private/x"] {
        server.publish(name, &[("file", b"first")]).await;
        server.publish(name, &[("file", b"second")]).await;
    }
    server
}

async fn with(server: &TestServer, method: Method, path: &str, authorization: &[u8]) -> Answer {
    let value = HeaderValue::from_bytes(authorization).unwrap();
    send(server.anonymous(method, path).header("authorization", value)).await
}

/// What must not differ between two answers.
fn essence(answer: &Answer) -> impl PartialEq + std::fmt::Debug + use<> {
    let headers = ["etag", "location", "content-type", "cache-control", "larder-version", "repr-digest"];
    let headers = headers.map(|name| answer.headers.get(name).cloned());
    (answer.status, headers, answer.body.clone())
}

fn varies(answer: &Answer) -> bool {
    answer.headers.get_all("vary").iter().any(|value| value.to_str().unwrap().contains("Authorization"))
}

#[tokio::test]
async fn what_anybody_may_read_is_answered_as_to_anybody() {
    let server = server(Reads::Public).await;
    let blob = format!("/blobs/{}?name=file", Digest::of(b"first"));
    for path in [
        "/",
        "/manifests",
        "/manifests/open",
        "/manifests/open@1",
        "/manifests/open@previous",
        "/manifests/never",
        "/refs/open/file",
        "/refs/open@1/file",
        "/refs/open/none",
        "/versions/open",
        "/versions/open@2",
        "/openapi.json",
        "/livez",
        &blob,
    ] {
        let (anybody, head) = (server.get(path).await, server.head(path).await);
        for (stray, _) in STRAY {
            let answer = with(&server, Method::GET, path, stray).await;
            if answer.status.is_success() || answer.status.is_redirection() {
                assert_eq!(essence(&answer), essence(&anybody), "{path} with {}", stray.escape_ascii());
            }
            assert_eq!(answer.status, anybody.status, "{path} with {}", stray.escape_ascii());
            assert!(varies(&answer), "{path}: {answer:?}");
            assert_eq!(with(&server, Method::HEAD, path, stray).await.status, head.status, "{path}");
        }
        // A cached answer is still given to those who send nothing.
        assert_eq!(server.get(path).await.status, anybody.status);
    }
}

#[tokio::test]
async fn what_needs_a_grant_says_that_and_why_the_credentials_do_not_count() {
    let server = server(Reads::Token).await;
    let (blob, other) = (format!("/blobs/{}", Digest::of(b"first")), format!("/blobs/{}", Digest::of(b"other")));
    let reads = ["/manifests/private/x", "/refs/private/x/file", "/versions/private/x", &blob, "/collector/runs"];
    let writes = [
        (Method::PUT, other.as_str()),
        (Method::POST, "/blobs/missing"),
        (Method::PUT, "/manifests/open"),
        (Method::DELETE, "/manifests/open"),
        (Method::DELETE, "/manifests/open@1"),
        (Method::POST, "/sessions/open"),
        (Method::PUT, "/sessions/open@1"),
        (Method::DELETE, "/sessions/open@1"),
        (Method::POST, "/versions/open@1/promote"),
        (Method::POST, "/versions/open@1/copy"),
        (Method::PUT, "/versions/open@1/pin"),
        (Method::DELETE, "/versions/open@1/pin"),
        (Method::POST, "/uploads"),
        (Method::PATCH, "/uploads/none"),
        (Method::DELETE, "/uploads/none"),
    ];
    let reads = reads.map(|path| (Method::GET, path));
    for (method, path) in reads.into_iter().chain(writes).chain([(Method::GET, "/sessions/open@1")]) {
        for (stray, why) in STRAY {
            let answer = with(&server, method.clone(), path, stray).await;
            let about = format!("{method} {path} with {}", stray.escape_ascii());
            assert!(answer.header("www-authenticate").starts_with("Bearer realm"), "{about}");
            let invalid = answer.header("www-authenticate").contains("invalid_token");
            assert_eq!(invalid, why != "Bearer TOKEN", "{about}: {answer:?}");
            let text = answer.text();
            let detail = answer.problem(401, "UNAUTHORIZED")["detail"].as_str().unwrap().to_owned();
            assert!(detail.contains(why), "{about}: {detail}");
            for secret in ["netrc", "bmV0", "left-over", "eyJ", "secret", "YII", "AKIA"] {
                assert!(!text.contains(secret), "{about}: {text}");
            }
        }
    }
    assert_eq!(server.get("/manifests").await.json()["manifests"].as_array().unwrap().len(), 1, "only the public one");
    assert_eq!(server.get("/versions/open").await.json()["versions"].as_array().unwrap().len(), 2, "nothing changed");
    server.get("/manifests/private/x").await.problem(401, "UNAUTHORIZED");
}

#[tokio::test]
async fn a_token_that_counts_but_lacks_the_grant_is_still_told_so() {
    let mut server = TestServer::with(|config| {
        let reader = Token { actions: vec![Permission::Read], ..token("reader", None) };
        config.access.tokens = vec![token("me", None), reader];
    })
    .await;
    server.token = "secret of me".into();
    server.publish("open", &[("file", b"first")]).await;
    with(&server, Method::GET, "/manifests/open", b"Bearer secret of reader").await.expect(200);
    let refused = with(&server, Method::DELETE, "/manifests/open", b"Bearer secret of reader").await;
    assert!(refused.header("www-authenticate").contains("insufficient_scope"));
    refused.problem(403, "DENIED");
}

#[test]
fn credentials_appear_in_no_log() {
    let directory = tempfile::TempDir::new().unwrap();
    let config = directory.path().join("larder.toml");
    std::fs::write(&config, "[log]\nfilter = \"info,larder=trace\"\n").unwrap();
    let server = ServerProcess::with(&format!("--config {}", config.display()));
    let strays = ["Basic c3RyYXktdXNlcjpzdHJheS1wYXNzd29yZA==", "Bearer stray-token", "Digest username=\"stray-user\""];
    for stray in strays {
        for (path, status) in [("/manifests", 200), ("/collector/runs", 401)] {
            let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: {stray}\r\nconnection: close\r\n\r\n");
            assert_eq!(exchange(server.address, &head, b"").unwrap().status, status, "{stray} {path}");
        }
    }
    let log = server.log();
    assert!(log.contains("/collector/runs"), "{log}");
    assert!(!log.contains("stray") && !log.contains("c3RyYXkt"), "{log}");
    assert_eq!(json!(log.matches("\"status\":401").count()), json!(strays.len()));
}
