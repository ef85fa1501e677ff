//! Requests exactly as installed clients send them.

use larder::domain::Digest;
use reqwest::Method;
use serde_json::{Value, json};

use super::*;
use crate::support::server::manifest;

#[tokio::test]
async fn an_installed_client_upgrades() {
    let server = start().await;
    let files = publish(&server, "main", "main:abc1234").await;
    let base = "/assets/release/miren/main";
    for (name, bytes) in &files {
        let request = server.anonymous(Method::GET, &format!("{base}/{name}")).header("accept-encoding", "gzip");
        let answer = send(request).await.expect(200);
        assert_eq!(answer.body, *bytes);
        assert_eq!(answer.header("content-length"), bytes.len().to_string());
        assert!(answer.headers.get("content-encoding").is_none() && answer.headers.get("location").is_none());
        assert_eq!(answer.header("etag"), format!("\"{}\"", Digest::of(bytes)));
        assert!(answer.header("cache-control").contains("no-cache"));
        let kind = if name.ends_with("gz") { "application/gzip" } else { "application/zip" };
        assert!(name.ends_with("yml") || answer.header("content-type") == kind, "{answer:?}");
        let sum = server.get(&format!("{base}/{name}.sha256")).await.expect(200);
        assert_eq!(sum.text(), format!("{}  {name}\n", Digest::of(bytes).hex()), "the name that it is published under");
        let head = server.head(&format!("{base}/{name}")).await.expect(200);
        assert_eq!(head.header("content-length"), bytes.len().to_string());
        assert!(head.body.is_empty());
    }
    let version = server.get(&format!("{base}/version.json")).await.expect(200);
    assert_eq!(version.text(), listing("main:abc1234", &files), "exactly as it was sent");
    assert_eq!(version.header("content-type"), "application/json");
    let head = server.head(&format!("{base}/x.sha256")).await;
    head.expect(404);
}

#[tokio::test]
async fn what_was_never_there_is_404_and_so_is_what_is_gone() {
    let server = start().await;
    publish(&server, "main", "main:1").await;
    for path in [
        "release/miren/main/other.zip",
        "release/miren/main/other.zip.sha256",
        "release/miren/main/version.json.asc",
        "release/miren/nothing/version.json",
        "release/miren/main:abc1234/version.json",
        "release/miren/main/miren-linux-amd64.zip/",
        "release/miren/Big/Branch/version.json",
        "release/other/main/version.json",
        "release/miren/version.json",
        "install.sh",
        "a/install.sh",
        "",
    ] {
        let path = format!("/assets/{path}");
        for answer in [server.get(&path).await, server.head(&path).await] {
            assert_eq!(answer.status, 404, "{path}");
        }
    }
    send(server.anonymous(Method::DELETE, "/manifests/miren/main").bearer_auth(ADMIN)).await.expect(200);
    server.get("/manifests/miren/main").await.expect(410);
    server.get("/assets/release/miren/main/version.json").await.problem(404, "MANIFEST_UNKNOWN");
    assert_eq!(server.get("/assets").await.status, 404);
    assert_eq!(send(server.anonymous(Method::DELETE, "/assets/install.sh").bearer_auth(ADMIN)).await.status, 405);
}

#[tokio::test]
async fn a_release_that_was_published_by_manifest_looks_the_same() {
    let server = start().await;
    let files: [(&str, &[u8]); 2] = [("miren-linux-amd64.zip", b"zip"), ("dir/readme.txt", b"text")];
    for (_, bytes) in files {
        let request = server.anonymous(Method::PUT, &format!("/blobs/{}", Digest::of(bytes))).bearer_auth(ADMIN);
        send(request.body(bytes.to_vec())).await.expect(201);
    }
    let mut document = manifest(&files);
    document["version"] = json!("v1.2.3");
    document["commit"] = json!("abc");
    document["metadata"] = json!({"version": "not this"});
    let request = server.anonymous(Method::PUT, "/manifests/miren/v1.2.3").bearer_auth(ADMIN);
    send(request.body(document.to_string())).await.expect(201);
    let answer = server.get("/assets/release/miren/v1.2.3/version.json").await.expect(200);
    let text = answer.text();
    assert!(
        text.starts_with("{\"version\":\"v1.2.3\",\"commit\":\"abc\",\"branch\":\"\",\"build_date\":\"20"),
        "{text}"
    );
    let body: Value = answer.json();
    assert_eq!(
        body["artifacts"],
        json!([{"name": "miren-linux-amd64.zip", "sha256": Digest::of(b"zip").hex(), "size": 3}])
    );
    body["build_date"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert_eq!(answer.header("content-length"), text.len().to_string());
    assert_eq!(server.head("/assets/release/miren/v1.2.3/version.json").await.header("etag"), answer.header("etag"));
    let again = server.anonymous(Method::GET, "/assets/release/miren/v1.2.3/version.json");
    send(again.header("if-none-match", answer.header("etag"))).await.expect(304);
    let sum = server.get("/assets/release/miren/v1.2.3/miren-linux-amd64.zip.sha256").await.expect(200);
    assert_eq!(sum.text(), format!("{}  miren-linux-amd64.zip\n", Digest::of(b"zip").hex()));
}

#[tokio::test]
async fn the_paths_of_2025_lead_to_the_same_files() {
    let server = start().await;
    let files = publish(&server, "main", "main:1").await;
    for (old, today) in [
        ("release/runtime/main/runtime-base-linux-amd64.tar.gz", "miren-base-linux-amd64.tar.gz"),
        ("release/runtime/main/release-linux-arm64.tar.gz", "miren-base-linux-arm64.tar.gz"),
        ("release/runtime/main/runtime-darwin-arm64.zip", "miren-darwin-arm64.zip"),
        ("release/main/release-linux-amd64.tar.gz", "miren-base-linux-amd64.tar.gz"),
    ] {
        let bytes = &files.iter().find(|(name, _)| name == today).unwrap().1;
        assert_eq!(server.get(&format!("/assets/{old}")).await.expect(200).body, *bytes, "{old}");
        let name = old.rsplit('/').next().unwrap();
        let sum = server.get(&format!("/assets/{old}.sha256")).await.expect(200).text();
        assert_eq!(sum, format!("{}  {name}\n", Digest::of(bytes).hex()), "the name that the client knows");
    }
    server.get("/assets/release/runtime/main/version.json").await.expect(200);
}

#[tokio::test]
async fn answers_say_that_there_is_something_better_and_until_when_this_is_there() {
    let server = start().await;
    let files = publish(&server, "main", "main:1").await;
    let successors = [
        ("version.json".to_owned(), "/manifests/miren/main".to_owned()),
        (format!("{}.sha256", files[2].0), format!("/refs/miren/main/{}", files[2].0)),
        (files[2].0.clone(), format!("/refs/miren/main/{}", files[2].0)),
    ];
    for (file, successor) in successors {
        for _ in 0..2 {
            let answer = server.get(&format!("/assets/release/miren/main/{file}")).await.expect(200);
            assert_eq!(answer.header("deprecation"), "@1767225600");
            assert_eq!(answer.header("sunset"), "Fri, 01 Jan 2027 00:00:00 GMT");
            let link = answer.header("link").strip_prefix('<').unwrap().strip_suffix(">; rel=\"successor-version\"");
            let link = percent_encoding::percent_decode_str(link.unwrap()).decode_utf8().unwrap().into_owned();
            assert_eq!(link, successor);
            assert!(server.get(&link).await.status.as_u16() < 400, "{link}");
            assert_eq!(answer.header("larder-version"), "2", "the first number was the draft's");
        }
    }
}

#[tokio::test]
async fn a_part_of_a_file_and_dates_work_as_they_do_for_blobs() {
    let server = start().await;
    let files = publish(&server, "main", "main:1").await;
    let (name, bytes) = &files[0];
    let path = format!("/assets/release/miren/main/{name}");
    let part = send(server.anonymous(Method::GET, &path).header("range", "bytes=2-5")).await.expect(206);
    assert_eq!(part.body, bytes[2..6]);
    let etag = server.get(&path).await.header("etag").to_owned();
    send(server.anonymous(Method::GET, &path).header("if-none-match", &etag)).await.expect(304);
    let since = "Fri, 01 Jan 2100 00:00:00 GMT";
    tokio::time::sleep(std::time::Duration::from_millis(2500)).await;
    for _ in 0..2 {
        let answer = server.get(&path).await.expect(200);
        assert!(answer.header("last-modified").ends_with("GMT"));
        send(server.anonymous(Method::GET, &path).header("if-modified-since", since)).await.expect(304);
    }
}

#[tokio::test]
async fn a_name_that_needs_a_token_needs_one_here() {
    let server = TestServer::with(|config| {
        flat(config);
        admin(config);
        config.names.push(toml::from_str("match = ['miren/main']\nread = 'token'").unwrap());
    })
    .await;
    let files = publish(&server, "main", "main:1").await;
    let path = format!("/assets/release/miren/main/{}", files[0].0);
    for path in [&*path, "/assets/release/miren/main/version.json"] {
        server.get(path).await.problem(401, "UNAUTHORIZED");
        let answer = send(server.anonymous(Method::GET, path).bearer_auth(ADMIN)).await.expect(200);
        assert!(answer.header("cache-control").contains("private"));
        server.get(path).await.problem(401, "UNAUTHORIZED");
    }
}

#[tokio::test]
async fn a_rollback_shows_at_once_and_whole() {
    let server = start().await;
    let first = publish(&server, "main", "main:1").await;
    let second = publish(&server, "main", "main:2").await;
    assert_eq!(upgrade(&server, "main", "miren-linux-amd64.zip").await.1, second[2].1);
    let request = server.anonymous(Method::POST, "/versions/miren/main@active/rollback").bearer_auth(ADMIN);
    send(request).await.expect(200);
    let (version, bytes) = upgrade(&server, "main", "miren-linux-amd64.zip").await;
    assert_eq!((&version["version"], bytes), (&json!("main:1"), first[2].1.to_vec()));
}
