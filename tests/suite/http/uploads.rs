//! Blobs that arrive over several requests.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use larder::config::{Config, Size, Token};
use larder::domain::Digest;
use larder::domain::Permission;
use reqwest::{Method, RequestBuilder};

use crate::support::raw::Raw;
use crate::support::server::{Answer, TestServer, send};

const PART: usize = 5 << 20;

fn small_parts(config: &mut Config) {
    config.limits.upload_part = Size::from_bytes(PART as u64);
}

async fn server() -> TestServer {
    TestServer::with(small_parts).await
}

/// Bytes in three parts, the last one short.
fn three_parts() -> Vec<u8> {
    (0..2 * PART + 1000).map(|at| u8::try_from((at ^ (at >> 8) ^ (at >> 16)) & 0xff).unwrap()).collect()
}

fn create(server: &TestServer, bytes: &[u8]) -> RequestBuilder {
    let path = format!("/uploads?digest={}", Digest::of(bytes));
    server.request(Method::POST, &path).header("upload-complete", "?0").header("upload-length", bytes.len())
}

/// Begins an upload; returns its address.
async fn begin(server: &TestServer, bytes: &[u8]) -> String {
    let answer = send(create(server, bytes)).await.expect(201);
    assert_eq!((answer.header("upload-offset"), answer.header("upload-complete")), ("0", "?0"));
    answer.header("location").to_owned()
}

fn patch(server: &TestServer, path: &str, offset: usize, complete: bool) -> RequestBuilder {
    let request = server.request(Method::PATCH, path).header("content-type", "application/partial-upload");
    request.header("upload-offset", offset).header("upload-complete", if complete { "?1" } else { "?0" })
}

async fn append(server: &TestServer, path: &str, bytes: &[u8], from: usize, to: usize) -> Answer {
    send(patch(server, path, from, to == bytes.len()).body(bytes[from..to].to_vec())).await
}

async fn show(server: &TestServer, path: &str) -> Answer {
    send(server.request(Method::HEAD, path)).await
}

async fn assert_stored(server: &TestServer, bytes: &[u8]) {
    let blob = server.get(&format!("/blobs/{}", Digest::of(bytes))).await.expect(200);
    assert!(blob.body == bytes, "{} bytes", blob.body.len());
}

#[tokio::test]
async fn create_append_complete() {
    let (server, bytes) = (server().await, three_parts());
    let path = begin(&server, &bytes).await;
    server.get(&format!("/blobs/{}", Digest::of(&bytes))).await.expect(404);
    let answer = append(&server, &path, &bytes, 0, PART).await.expect(204);
    assert_eq!((answer.header("upload-offset"), answer.header("upload-complete")), ("5242880", "?0"));
    let shown = show(&server, &path).await.expect(204);
    assert_eq!((shown.header("upload-offset"), shown.header("upload-length")), ("5242880", "10486760"));
    assert_eq!((shown.header("upload-complete"), shown.header("cache-control")), ("?0", "no-store"));
    let limit = "max-size=68719476736, min-append-size=5242880, max-age=86400";
    assert_eq!(shown.header("upload-limit"), limit);

    let answer = append(&server, &path, &bytes, PART, bytes.len()).await.expect(201);
    assert_eq!(answer.header("upload-complete"), "?1");
    assert_eq!(answer.header("location"), format!("/blobs/{}", Digest::of(&bytes)));
    assert_stored(&server, &bytes).await;
    let shown = show(&server, &path).await.expect(204);
    assert_eq!((shown.header("upload-complete"), shown.header("upload-offset")), ("?1", "10486760"));
    assert_eq!(shown.header("location"), format!("/blobs/{}", Digest::of(&bytes)));
    let problem = append(&server, &path, &bytes, 10_486_760, 10_486_760).await.problem(400, "UPLOAD_COMPLETE");
    assert_eq!(problem["type"], "https://iana.org/assignments/http-problem-types#completed-upload");
}

#[tokio::test]
async fn a_creation_may_bring_bytes_along() {
    let (server, bytes) = (server().await, three_parts());
    let answer = send(create(&server, &bytes).body(bytes[..PART].to_vec())).await.expect(201);
    assert_eq!(answer.header("upload-offset"), "5242880");
    append(&server, answer.header("location"), &bytes, PART, bytes.len()).await.expect(201);
    assert_stored(&server, &bytes).await;

    let whole = b"all of it";
    let stated = format!("sha-256=:{}:", STANDARD.encode(Digest::of(whole).bytes()));
    let request = |path: &str| {
        let request = server.request(Method::POST, path).header("upload-complete", "?1");
        request.header("repr-digest", &stated).body(whole.to_vec())
    };
    let other = format!("/uploads?digest={}", Digest::of(b"other"));
    send(request(&other)).await.problem(400, "DIGEST_INVALID");
    let answer = send(request("/uploads")).await.expect(201);
    assert_eq!(answer.header("location"), format!("/blobs/{}", Digest::of(whole)));
    assert_stored(&server, whole).await;
}

#[tokio::test]
async fn a_blob_that_is_there_needs_no_upload() {
    let server = server().await;
    server.put_blob(b"there").await;
    let answer = send(create(&server, b"there")).await.expect(200);
    assert_eq!(answer.header("upload-complete"), "?1");
    assert_eq!(answer.header("location"), format!("/blobs/{}", Digest::of(b"there")));
}

#[tokio::test]
async fn bytes_go_on_where_the_server_is() {
    let (server, bytes) = (server().await, three_parts());
    let path = begin(&server, &bytes).await;
    append(&server, &path, &bytes, 0, PART).await.expect(204);
    let answer = append(&server, &path, &bytes, 0, PART).await;
    assert_eq!(answer.header("upload-offset"), "5242880");
    let problem = answer.problem(409, "UPLOAD_OFFSET");
    assert_eq!(problem["type"], "https://iana.org/assignments/http-problem-types#mismatching-upload-offset");
    assert_eq!((&problem["expected-offset"], &problem["provided-offset"]), (&PART.into(), &0.into()));
    let problem = append(&server, &path, &bytes, PART, PART + 1000).await.problem(400, "SIZE_INVALID");
    assert_eq!(problem["expected-offset"], PART, "that is no multiple of a part");
    append(&server, &path, &bytes, PART, bytes.len()).await.expect(201);
    assert_stored(&server, &bytes).await;
}

#[tokio::test]
async fn of_two_appends_at_once_one_is_refused() {
    let (server, bytes) = (server().await, three_parts());
    for _ in 0..5 {
        let path = begin(&server, &bytes).await;
        let one = append(&server, &path, &bytes, 0, PART);
        let two = append(&server, &path, &bytes, 0, PART);
        let (one, two) = tokio::join!(one, two);
        let mut statuses = [one.status.as_u16(), two.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [204, 409]);
        assert_eq!(show(&server, &path).await.header("upload-offset"), "5242880");
    }
}

#[tokio::test]
async fn a_broken_connection_costs_only_what_does_not_fill_a_part() {
    let (server, bytes) = (server().await, three_parts());
    let path = begin(&server, &bytes).await;
    let mut raw = Raw::connect(server.address).await;
    raw.send(format!(
        "PATCH {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\nupload-offset: 0\r\n\
         upload-complete: ?1\r\ncontent-type: application/partial-upload\r\n\r\n",
        server.token,
        bytes.len()
    ))
    .await;
    raw.send(&bytes[..PART + 1000]).await;
    drop(raw);
    for _ in 0..1000 {
        if show(&server, &path).await.expect(204).header("upload-offset") == "5242880" {
            append(&server, &path, &bytes, PART, bytes.len()).await.expect(201);
            return assert_stored(&server, &bytes).await;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the first part never counted");
}

#[tokio::test]
async fn bytes_with_another_digest_are_refused_and_the_upload_is_gone() {
    let (server, bytes) = (server().await, three_parts());
    let path = begin(&server, &bytes).await;
    let wrong = vec![7; bytes.len()];
    let problem = append(&server, &path, &wrong, 0, wrong.len()).await.problem(400, "DIGEST_INVALID");
    assert_eq!(problem["expected"], Digest::of(&bytes).to_string());
    assert_eq!(problem["actual"], Digest::of(&wrong).to_string());
    show(&server, &path).await.expect(404);
    append(&server, &path, &bytes, 0, PART).await.problem(404, "UPLOAD_UNKNOWN");
    let path = begin(&server, &bytes).await;
    let shorter = patch(&server, &path, 0, true).body(vec![1; 10]);
    let problem = send(shorter).await.problem(400, "SIZE_INVALID");
    assert_eq!(problem["type"], "https://iana.org/assignments/http-problem-types#inconsistent-upload-length");
}

#[tokio::test]
async fn what_is_missing_in_a_request_is_said() {
    let (server, bytes) = (server().await, three_parts());
    let without = server.request(Method::POST, "/uploads").header("upload-complete", "?0");
    let problem = send(without).await.problem(400, "DIGEST_INVALID");
    assert!(problem["detail"].as_str().unwrap().contains("Repr-Digest"), "{problem}");
    for wrong in ["", "1", "true", "?2"] {
        let digest = Digest::of(b"x");
        let request =
            server.request(Method::POST, &format!("/uploads?digest={digest}")).header("upload-complete", wrong);
        assert_eq!(send(request).await.problem(400, "UPLOAD_INVALID")["header"], "upload-complete");
    }
    let path = begin(&server, &bytes).await;
    send(server.request(Method::PATCH, &path).header("upload-offset", 0)).await.problem(415, "UNSUPPORTED");
    for wrong in ["-1", "x", "+1", "99999999999999999999"] {
        let request = server.request(Method::PATCH, &path).header("content-type", "application/partial-upload");
        let request = request.header("upload-complete", "?0").header("upload-offset", wrong);
        assert_eq!(send(request).await.problem(400, "UPLOAD_INVALID")["header"], "upload-offset");
    }
    let other_length = patch(&server, &path, 0, false).header("upload-length", 7);
    send(other_length).await.problem(400, "SIZE_INVALID");
    for unknown in ["/uploads/x", "/uploads/00112233445566778899aabbccddeeff", "/uploads/../blobs"] {
        show(&server, unknown).await.expect(404);
    }
}

#[tokio::test]
async fn an_upload_belongs_to_the_token_that_began_it() {
    let token = |id: &str, action| Token {
        id: id.into(),
        sha256: Digest::of(format!("secret of {id}").as_bytes()).hex(),
        actions: vec![action],
        names: vec!["**".parse().unwrap()],
        surfaces: None,
        until: None,
    };
    let server = TestServer::with(|config| {
        small_parts(config);
        config.access.tokens = vec![
            token("one", Permission::Upload),
            token("two", Permission::Publish),
            token("reader", Permission::Read),
            token("admin", Permission::Admin),
        ];
    })
    .await;
    let request = |who: &str, method, path: &str| {
        server.anonymous(method, path).bearer_auth(format!("secret of {who}")).header("upload-complete", "?0")
    };
    let place = format!("/uploads?digest={}", Digest::of(b"x"));
    send(server.anonymous(Method::POST, &place)).await.problem(401, "UNAUTHORIZED");
    send(request("reader", Method::POST, &place)).await.problem(403, "DENIED");
    let path = send(request("one", Method::POST, &place)).await.expect(201).header("location").to_owned();
    send(request("one", Method::HEAD, &path)).await.expect(204);
    for method in [Method::PATCH, Method::DELETE] {
        send(server.anonymous(method.clone(), &path)).await.problem(401, "UNAUTHORIZED");
        send(request("two", method, &path)).await.problem(403, "DENIED");
    }
    send(request("admin", Method::HEAD, &path)).await.expect(204);
    send(request("admin", Method::DELETE, &path)).await.expect(204);
    send(request("one", Method::HEAD, &path)).await.expect(404);
}

#[tokio::test]
async fn an_upload_can_be_given_up() {
    let (server, bytes) = (server().await, three_parts());
    let path = begin(&server, &bytes).await;
    append(&server, &path, &bytes, 0, PART).await.expect(204);
    server.delete(&path).await.expect(204);
    server.delete(&path).await.problem(404, "UPLOAD_UNKNOWN");
    show(&server, &path).await.expect(404);
    assert_eq!(std::fs::read_dir(server.data.join("parts")).unwrap().count(), 0);
}

#[tokio::test]
async fn limits_are_told_and_kept() {
    let server = TestServer::with(|config| {
        small_parts(config);
        config.limits.blob_size = Size::from_bytes(6 << 20);
    })
    .await;
    for (path, allow) in [("/uploads", "POST,OPTIONS"), ("/uploads/x", "HEAD,PATCH,DELETE,OPTIONS")] {
        let answer = send(server.anonymous(Method::OPTIONS, path)).await.expect(204);
        assert_eq!(answer.header("allow"), allow);
        assert_eq!(answer.header("upload-limit"), "max-size=6291456, min-append-size=5242880, max-age=86400");
    }
    let bytes = three_parts();
    send(create(&server, &bytes)).await.problem(413, "SIZE_INVALID");
    let path = format!("/uploads?digest={}", Digest::of(&bytes));
    let unknown = send(server.request(Method::POST, &path).header("upload-complete", "?0")).await.expect(201);
    let path = unknown.header("location");
    append(&server, path, &bytes, 0, PART).await.expect(204);
    append(&server, path, &bytes, PART, bytes.len()).await.problem(413, "SIZE_INVALID");
}

#[tokio::test]
async fn another_server_on_the_same_store_goes_on() {
    let directory = tempfile::TempDir::new().unwrap();
    let bytes = three_parts();
    let one = TestServer::on(directory.path(), small_parts).await;
    let two = TestServer::on(directory.path(), small_parts).await;
    let path = begin(&one, &bytes).await;
    append(&one, &path, &bytes, 0, PART).await.expect(204);
    append(&two, &path, &bytes, PART, 2 * PART).await.expect(204);
    one.stop().await.unwrap();
    append(&two, &path, &bytes, 2 * PART, bytes.len()).await.expect(201);
    assert_stored(&two, &bytes).await;
}

#[tokio::test]
async fn many_uploads_at_once_share_the_memory_for_parts() {
    let server = TestServer::with(|config| {
        small_parts(config);
        config.limits.upload_memory = Size::from_bytes(PART as u64);
    })
    .await;
    let uploads = (0..4_u8).map(|number| {
        let server = &server;
        async move {
            let bytes = vec![number; PART + 10];
            let path = begin(server, &bytes).await;
            append(server, &path, &bytes, 0, bytes.len()).await.expect(201);
            assert_stored(server, &bytes).await;
        }
    });
    futures_util::future::join_all(uploads).await;
}
