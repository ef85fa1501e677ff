//! What goes wrong in pipelines: nothing of it is ever published, and the next run is not in its way.

use std::time::Duration;

use larder::domain::Digest;
use serde_json::json;

use super::*;
use crate::support::raw::Raw;

const MAIN: &str = "/assets/release/miren/main";

#[tokio::test]
async fn version_json_first_publishes_nothing_and_says_what_is_missing() {
    let server = start().await;
    let files = build("main:1");
    let document = listing("main:1", &files);
    let version = format!("{MAIN}/version.json");
    let problem = put(&server, &version, document.as_bytes()).await.problem(409, "MANIFEST_BLOB_UNKNOWN");
    assert_eq!(problem["absent"].as_array().unwrap().len(), 6, "{problem:#}");
    assert_eq!(problem["absent"][0]["name"], "miren-base-linux-amd64.tar.gz");
    assert!(problem["detail"].as_str().unwrap().contains("miren-base-linux-amd64.tar.gz"), "{problem:#}");
    server.get("/manifests/miren/main").await.expect(404);
    publish(&server, "main", "main:1").await;
    let again = put(&server, &version, document.as_bytes()).await.expect(200).json();
    assert_eq!(again["unchanged"], true, "twice is once");
    assert_eq!(again["version"], 2);
}

#[tokio::test]
async fn a_file_that_was_never_sent_or_is_another_one_stops_the_release() {
    let server = start().await;
    publish(&server, "main", "main:1").await;
    let mut files = build("main:2");
    for (name, bytes) in &files[..5] {
        put(&server, &format!("{MAIN}/{name}"), bytes).await.expect(201);
    }
    files[0].1 = Bytes::from_static(b"built once more");
    let answer = put(&server, &format!("{MAIN}/version.json"), listing("main:2", &files).as_bytes()).await;
    let problem = answer.problem(409, "MANIFEST_BLOB_UNKNOWN");
    assert_eq!(problem["absent"].as_array().unwrap().len(), 1, "{problem:#}");
    assert_eq!(problem["absent"][0]["name"], "miren-darwin-arm64.zip");
    assert_eq!(problem["differ"].as_array().unwrap().len(), 1, "{problem:#}");
    assert_eq!(problem["differ"][0]["expected"]["sha256"], Digest::of(b"built once more").hex());
    let (version, _) = upgrade(&server, "main", "miren-linux-amd64.zip").await;
    assert_eq!(version["version"], "main:1");
    // The rerun sends everything, and is not in the way of what the first run left.
    publish(&server, "main", "main:3").await;
    assert_eq!(upgrade(&server, "main", "miren-linux-amd64.zip").await.0["version"], "main:3");
}

#[tokio::test]
async fn a_size_that_is_wrong_stops_the_release() {
    let server = start().await;
    let files = publish(&server, "v1.0.0", "v1.0.0").await;
    let document = listing("v1.0.0", &files).replace(&format!("\"size\":{}", files[0].1.len()), "\"size\":7");
    let problem = put(&server, "/assets/release/miren/latest/version.json", document.as_bytes()).await;
    let problem = problem.problem(409, "MANIFEST_BLOB_UNKNOWN");
    assert_eq!(problem["differ"][0]["expected"]["size"], 7, "{problem:#}");
    assert_eq!(problem["differ"][0]["actual"]["size"], files[0].1.len());
    server.get("/manifests/miren/latest").await.expect(404);
}

#[tokio::test]
async fn a_digest_that_is_not_that_of_the_file_is_refused() {
    let server = start().await;
    put(&server, &format!("{MAIN}/a.zip"), b"a").await.expect(201);
    let problem = put(&server, &format!("{MAIN}/a.zip.sha256"), sum("a.zip", b"b").as_bytes()).await;
    let problem = problem.problem(409, "DIGEST_INVALID");
    assert_eq!((&problem["expected"], &problem["actual"]), (&json!(Digest::of(b"b")), &json!(Digest::of(b"a"))));
    put(&server, &format!("{MAIN}/a.zip.sha256"), b"nonsense").await.problem(400, "DIGEST_INVALID");
    put(&server, &format!("{MAIN}/a.zip.sha256"), &[b'a'; 5000]).await.problem(413, "SIZE_INVALID");
    // Before its file: it is kept, and compared in the end.
    put(&server, &format!("{MAIN}/b.zip.sha256"), sum("b.zip", b"b").as_bytes()).await.expect(200);
    put(&server, &format!("{MAIN}/b.zip"), b"other").await.expect(201);
    let files = [("b.zip".to_owned(), Bytes::from_static(b"other"))];
    let version = format!("{MAIN}/version.json");
    let problem = put(&server, &version, listing("x", &files).as_bytes()).await.problem(409, "MANIFEST_BLOB_UNKNOWN");
    assert_eq!(problem["differ"][0]["actual"]["sha256"], Digest::of(b"b").hex(), "{problem:#}");
    put(&server, &format!("{MAIN}/b.zip"), b"b").await.expect(201);
    let files = [("b.zip".to_owned(), Bytes::from_static(b"b"))];
    put(&server, &version, listing("x", &files).as_bytes()).await.expect(201);
}

#[tokio::test]
async fn a_version_json_that_clients_could_not_read_is_refused() {
    let server = start().await;
    let files = publish(&server, "main", "main:1").await;
    let good = listing("main:2", &files);
    for (bad, status) in [
        (good.replace("2026-05-27T10:00:00Z", "27.5.2026"), 422),
        (good.replace("\"main:2\"", "\"\""), 422),
        (good.replace("miren-linux-amd64.zip", "../miren-linux-amd64.zip"), 422),
        (good.replace("miren-linux-amd64.zip", "miren-linux-arm64.zip"), 422),
        (good.to_uppercase(), 400),
        ("<html>".to_owned(), 400),
        (String::new(), 400),
    ] {
        put(&server, &format!("{MAIN}/version.json"), bad.as_bytes()).await.problem(status, "MANIFEST_INVALID");
    }
    assert_eq!(upgrade(&server, "main", "miren-linux-amd64.zip").await.0["version"], "main:1");
}

/// A request with this body as a form.
async fn put_body(server: &TestServer, boundary: &str, body: Vec<u8>) -> Answer {
    let request = server.anonymous(Method::PUT, &format!("{MAIN}/a.zip")).bearer_auth(TOKEN);
    send(request.header("content-type", format!("multipart/form-data; boundary={boundary}")).body(body)).await
}

#[tokio::test]
async fn a_form_with_anything_but_one_file_is_refused() {
    let server = start().await;
    let one = form("x", "a.zip", b"bytes");
    let two = [&one[..one.len() - 4], b"\r\n", &one[..]].concat();
    let cut = one[..one.len() - 5].to_vec();
    let part = |head: &str| format!("--x\r\n{head}\r\n\r\nYnl0ZXM=\r\n--x--\r\n").into_bytes();
    let coded = part("Content-Disposition: form-data; name=\"file\"\r\nContent-Transfer-Encoding: base64");
    let long = part(&format!("Content-Disposition: form-data; name=\"{}\"", "n".repeat(2 << 20)));
    for (body, status, code) in [
        (two, 400, "REQUEST_INVALID"),
        (b"--x--\r\n".to_vec(), 400, "REQUEST_INVALID"),
        (cut, 400, "SIZE_INVALID"),
        (b"bytes".to_vec(), 400, "SIZE_INVALID"),
        (vec![], 400, "SIZE_INVALID"),
        (coded, 415, "UNSUPPORTED"),
        (long, 400, "SIZE_INVALID"),
    ] {
        let shown = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
        let answer = put_body(&server, "x", body).await;
        assert_eq!(answer.status, status, "{shown}: {}", answer.text());
        assert_eq!(answer.json()["code"], code, "{shown}");
    }
    for missing in ["", "\"\""] {
        put_body(&server, missing, one.clone()).await.problem(400, "REQUEST_INVALID");
    }
    server.get(&format!("/blobs/{}", Digest::of(b"bytes"))).await.expect(404);
}

#[tokio::test]
async fn the_longest_boundary_and_any_filename_will_do() {
    let server = start().await;
    let boundary = "b".repeat(70);
    put_body(&server, &boundary, form(&boundary, "../../etc/passwd", b"one")).await.expect(201);
    let too_long = "b".repeat(71);
    put_body(&server, &too_long, form(&too_long, "a", b"one")).await.problem(400, "REQUEST_INVALID");
    // Bytes that look like the boundary, at every distance from the ends of frames.
    let tricky = format!("\r\n--{}", &boundary[..69]).repeat(3000);
    put_body(&server, &boundary, form(&boundary, "a", tricky.as_bytes())).await.expect(201);
    let files = [("a.zip".to_owned(), Bytes::from(tricky.clone()))];
    put(&server, &format!("{MAIN}/version.json"), listing("main:1", &files).as_bytes()).await.expect(201);
    assert!(server.get(&format!("{MAIN}/a.zip")).await.expect(200).body == tricky.as_bytes(), "the address names it");
}

#[tokio::test]
async fn a_client_that_is_cut_off_leaves_nothing() {
    let server = start().await;
    let body = form("x", "a.zip", &vec![7; 100_000]);
    for kind in ["multipart/form-data; boundary=x", "application/zip"] {
        let mut client = Raw::connect(server.address).await;
        let head = format!(
            "PUT {MAIN}/a.zip HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\ncontent-type: {kind}\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        );
        client.send(head).await;
        client.send(&body[..50_000]).await;
        drop(client);
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let sessions = send(server.anonymous(Method::GET, "/sessions/miren/main").bearer_auth(ADMIN)).await;
    assert_eq!(sessions.expect(200).json()["sessions"], json!([]));
    let left = std::fs::read_dir(server.data.join("staging")).unwrap().count();
    assert_eq!(left, 0, "left in staging");
    publish(&server, "main", "main:1").await;
}

#[tokio::test]
async fn a_client_that_waits_for_100_continue_is_refused_before_it_sends_the_body() {
    let server = start().await;
    for (path, token, status) in [
        (format!("{MAIN}/a.zip"), "wrong", 401),
        ("/assets/release/other/main/a.zip".to_owned(), TOKEN, 404),
        (format!("{MAIN}/~a.zip"), TOKEN, 400),
    ] {
        let mut client = Raw::connect(server.address).await;
        let head = format!(
            "PUT {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\nexpect: 100-continue\r\n\
             content-type: multipart/form-data; boundary=x\r\ncontent-length: 1000000\r\n\r\n"
        );
        client.send(head).await;
        assert_eq!(client.answer().await.status, status, "{path}");
    }
    let mut client = Raw::connect(server.address).await;
    let body = form("x", "a.zip", b"bytes");
    let head = format!(
        "PUT {MAIN}/a.zip HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\nexpect: 100-continue\r\n\
         content-type: multipart/form-data; boundary=x\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    client.send(head).await;
    assert_eq!(client.answer().await.status, 100);
    client.send(body).await;
    assert_eq!(client.answer().await.status, 201);
}

#[tokio::test]
async fn a_draft_cannot_be_published_as_if_it_were_a_release() {
    let server = start().await;
    put(&server, &format!("{MAIN}/a.zip"), b"a").await.expect(201);
    let request = |method, path: &str| server.anonymous(method, path).bearer_auth(ADMIN);
    let sessions = send(request(Method::GET, "/sessions/miren/main")).await.expect(200).json();
    assert_eq!(sessions["sessions"][0]["version"], 1, "{sessions:#}");
    send(request(Method::PUT, "/sessions/miren/main@1")).await.problem(409, "VERSION_STATE");
    server.get("/manifests/miren/main@1").await.expect(404);
    send(request(Method::DELETE, "/sessions/miren/main@1")).await.expect(204);
    // Whoever goes on begins a new one.
    put(&server, &format!("{MAIN}/a.zip"), b"a").await.expect(200);
    let files = [("a.zip".to_owned(), Bytes::from_static(b"a"))];
    put(&server, &format!("{MAIN}/version.json"), listing("main:1", &files).as_bytes()).await.expect(201);
}
