//! `SHA256SUMS` and `FILE.sha256` beside the files of a version.

use std::process::{Command, Stdio};

use larder::domain::Digest;
use reqwest::Method;
use serde_json::json;

use crate::support::server::{TestServer, manifest, send};

const FILES: [(&str, &[u8]); 3] = [("tool b.zip", b"two"), ("a.tar.gz", b"one"), ("dir/c", b"three")];

fn line(name: &str, bytes: &[u8]) -> String {
    format!("{}  {name}\n", Digest::of(bytes).hex())
}

#[tokio::test]
async fn digests_are_made_of_the_version_that_is_asked_for() {
    let server = TestServer::start().await;
    server.publish("main", &FILES).await;
    let sums = server.get("/refs/main/SHA256SUMS").await.expect(200);
    let expected = [line("a.tar.gz", b"one"), line("dir/c", b"three"), line("tool b.zip", b"two")].concat();
    assert_eq!(sums.text(), expected);
    assert_eq!(sums.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(sums.header("content-location"), "/refs/main@1/SHA256SUMS");
    assert_eq!(sums.header("cache-control"), "no-cache, no-transform");
    assert_eq!(sums.header("etag"), format!("\"{}\"", Digest::of(expected.as_bytes())));
    assert_eq!(sums.header("larder-version"), "1");
    for path in ["/refs/main@1/SHA256SUMS", "/refs/main@1/dir/c.sha256"] {
        assert!(server.get(path).await.expect(200).header("cache-control").contains("immutable"), "{path}");
    }
    assert_eq!(server.get("/refs/main@active/dir/c.sha256").await.expect(200).text(), line("dir/c", b"three"));
    assert_eq!(server.get("/refs/main/tool%20b.zip.sha256").await.expect(200).text(), line("tool b.zip", b"two"));
    let head = server.head("/refs/main/SHA256SUMS").await.expect(200);
    assert_eq!((head.header("content-length"), head.body.len()), (expected.len().to_string().as_str(), 0));
    let again = server.anonymous(Method::GET, "/refs/main/SHA256SUMS").header("if-none-match", sums.header("etag"));
    send(again).await.expect(304);
    server.publish("main", &[("a.tar.gz", b"new")]).await;
    assert_eq!(server.get("/refs/main/SHA256SUMS").await.expect(200).text(), line("a.tar.gz", b"new"));
    assert_eq!(server.get("/refs/main@1/SHA256SUMS").await.expect(200).text(), expected);
    server.get("/refs/main/dir/c.sha256").await.expect(404);
    server.get("/refs/main/other.sha256").await.problem(404, "FILE_UNKNOWN");
    server.get("/refs/main/sha256sums").await.problem(404, "FILE_UNKNOWN");
    server.get("/refs/none/SHA256SUMS").await.problem(404, "MANIFEST_UNKNOWN");
}

#[tokio::test]
async fn other_formats_are_asked_for() {
    let server = TestServer::start().await;
    server.publish("main", &FILES[1..2]).await;
    let hex = Digest::of(b"one").hex();
    let bsd = server.get("/refs/main/SHA256SUMS?format=bsd").await.expect(200);
    assert_eq!(bsd.text(), format!("SHA256 (a.tar.gz) = {hex}\n"));
    assert_eq!(bsd.header("content-location"), "/refs/main@1/SHA256SUMS?format=bsd");
    let sums = server.get("/refs/main/a.tar.gz.sha256?format=json").await.expect(200);
    assert_eq!(sums.header("content-type"), "application/json");
    assert_eq!(sums.json(), json!({"files": [{"name": "a.tar.gz", "sha256": hex, "size": 3}]}));
    server.get("/refs/main/SHA256SUMS?format=md5").await.problem(400, "QUERY_INVALID");
    server.get("/refs/main/a.tar.gz?format=md5").await.expect(307);
    server.get("/refs/main/none?format=md5").await.problem(404, "FILE_UNKNOWN");
}

#[tokio::test]
async fn files_of_these_names_come_first() {
    let server = TestServer::start().await;
    server.publish("main", &[("SHA256SUMS", b"signed"), ("a", b"one"), ("a.sha256", b"own")]).await;
    for name in ["SHA256SUMS", "a.sha256"] {
        server.get(&format!("/refs/main/{name}")).await.expect(307);
    }
    let sum = server.get("/refs/main/SHA256SUMS.sha256").await.expect(200);
    assert_eq!(sum.text(), line("SHA256SUMS", b"signed"));
}

#[tokio::test]
async fn digests_of_ten_thousand_files_are_one_answer() {
    let server = TestServer::start().await;
    let digest = server.put_blob(b"x").await;
    let artifacts: Vec<_> =
        (0..10_000).map(|n| json!({"name": format!("dir/file-{n:05}"), "blob": digest, "size": 1})).collect();
    server.put("/manifests/big", json!({ "artifacts": artifacts }).to_string()).await.expect(201);
    let sums = server.get("/refs/big/SHA256SUMS").await.expect(200).text();
    assert_eq!(sums.lines().count(), 10_000);
    assert_eq!(sums.lines().last(), Some(format!("{}  dir/file-09999", digest.hex()).as_str()));
}

#[tokio::test]
async fn no_answer_mixes_versions() {
    let server = TestServer::start().await;
    let names: Vec<String> = (0..20).map(|n| format!("file-{n:02}")).collect();
    let contents: [&[u8]; 2] = [b"even", b"odd"];
    let publish = async |round: usize| {
        let bytes = contents[round % 2];
        let files: Vec<_> = names.iter().map(|name| (name.as_str(), bytes)).collect();
        server.put_blob(bytes).await;
        let mut document = manifest(&files);
        document["version"] = json!(format!("r{round}"));
        server.put("/manifests/main", document.to_string()).await.expect(201);
    };
    publish(0).await;
    let publishing = async {
        for round in 1..40 {
            publish(round).await;
        }
    };
    let reading = async {
        for _ in 0..200 {
            let answer = server.get("/refs/main/SHA256SUMS").await.expect(200);
            let text = answer.text();
            let digests: std::collections::BTreeSet<_> = text.lines().map(|line| &line[..64]).collect();
            assert_eq!((digests.len(), text.lines().count()), (1, 20), "{text}");
            let exact = server.get(answer.header("content-location")).await.expect(200);
            assert_eq!(exact.text(), text);
        }
    };
    tokio::join!(publishing, reading);
}

#[tokio::test]
async fn a_private_name_keeps_its_digests() {
    let server = TestServer::with(|config| {
        let matches = vec!["main".parse().unwrap()];
        let read = Some(larder::domain::Reads::Token);
        config.names = vec![larder::config::NameRule { matches, read, ..Default::default() }];
    })
    .await;
    server.publish("main", &FILES).await;
    server.get("/refs/main/SHA256SUMS").await.expect(401);
    server.get("/refs/main?os=linux").await.expect(401);
    let own = send(server.request(Method::GET, "/refs/main/SHA256SUMS")).await.expect(200);
    assert!(own.header("cache-control").contains("private"));
}

#[tokio::test]
#[ignore = "needs sha256sum: .ci/run installs it and runs this; by hand: cargo test -- --ignored"]
async fn the_tools_check_what_is_served() {
    let server = TestServer::start().await;
    server.publish("main", &FILES).await;
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("dir")).unwrap();
    for (name, bytes) in &FILES[..2] {
        std::fs::write(directory.path().join(name), bytes).unwrap();
    }
    for format in ["gnu", "bsd"] {
        let sums = server.get(&format!("/refs/main/SHA256SUMS?format={format}")).await.expect(200);
        std::fs::write(directory.path().join("SHA256SUMS"), &sums.body).unwrap();
        let mut check = Command::new("sha256sum");
        check.args(["-c", "--strict", "--ignore-missing", "SHA256SUMS"]).current_dir(directory.path());
        let output = check.stdin(Stdio::null()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(text, "a.tar.gz: OK\ntool b.zip: OK\n");
    }
    std::fs::write(directory.path().join("a.tar.gz"), "other").unwrap();
    let mut check = Command::new("sha256sum");
    let status = check.args(["-c", "--ignore-missing", "SHA256SUMS"]).current_dir(directory.path()).status().unwrap();
    assert!(!status.success(), "a damaged file is found");
}
