//! Addresses of blobs that carry a file name and a media type: what they are saved as, and what they are.

use larder::domain::Digest;
use reqwest::Method;
use serde_json::json;

use super::cached::open_below;
use crate::support::server::{TestServer, send};
use crate::support::store::pattern;

/// Publishes files with their media types.
async fn publish(server: &TestServer, name: &str, files: &[(&str, Option<&str>)]) {
    let mut artifacts = Vec::new();
    for (file, media_type) in files {
        let bytes = file.as_bytes();
        server.put_blob(bytes).await;
        let mut artifact = json!({"name": file, "blob": Digest::of(bytes), "size": bytes.len()});
        if let Some(media_type) = media_type {
            artifact["media_type"] = json!(media_type);
        }
        artifacts.push(artifact);
    }
    server.put(&format!("/manifests/{name}"), json!({"artifacts": artifacts}).to_string()).await.expect(201);
}

#[tokio::test]
async fn the_name_is_in_the_address_that_a_ref_leads_to() {
    let server = TestServer::start().await;
    for (file, asked, end) in [
        ("a.tgz", "a.tgz", "a.tgz"),
        ("dist/a.tgz", "dist/a.tgz", "a.tgz"),
        ("pkg_1:2.0+b1@x~rc,=.deb", "pkg_1:2.0+b1@x~rc,=.deb", "pkg_1:2.0+b1@x~rc,=.deb"),
        ("a b%?#&\"'.txt", "a%20b%25%3F%23&%22'.txt", "a%20b%25%3F%23%26%22%27.txt"),
        ("naïve.zip", "na%C3%AFve.zip", "na%C3%AFve.zip"),
        ("missing", "missing", "missing"),
    ] {
        publish(&server, "main", &[(file, None)]).await;
        let answer = server.get(&format!("/refs/main@active/{asked}")).await.expect(307);
        let wanted = format!("/blobs/{}/{end}", Digest::of(file.as_bytes()));
        assert_eq!((answer.header("location"), answer.text()), (wanted.as_str(), format!("{wanted}\n")));
        let blob = server.get(&wanted).await.expect(200);
        assert_eq!(blob.text(), file);
        let last = file.rsplit('/').next().unwrap();
        let disposition = blob.header("content-disposition").to_owned();
        if last.is_ascii() && !last.contains(['"', '%']) {
            assert_eq!(disposition, format!("attachment; filename=\"{last}\""));
        } else {
            assert!(disposition.contains("filename*=UTF-8''"), "{disposition}");
        }
        let old = server.get(&format!("/blobs/{}?name={end}", Digest::of(file.as_bytes())).replace('+', "%2B")).await;
        assert_eq!(old.expect(200).header("content-disposition"), disposition, "the older form says the same");
    }
}

#[tokio::test]
async fn what_follows_a_digest_is_one_file_name_and_nothing_else() {
    let server = TestServer::start().await;
    let digest = server.put_blob(b"bytes").await;
    let blob = format!("/blobs/{digest}");
    for good in ["a", "a@b:c", "...", "sha256:x", "missing", "%E2%9C%93", "a;b=c", "promote"] {
        let path = format!("{blob}/{good}");
        for _ in 0..2 {
            assert_eq!(server.get(&path).await.expect(200).body, b"bytes", "{good}");
        }
        server.head(&path).await.expect(200);
    }
    for bad in ["/", "/a/", "/a/b", "/a%2Fb", "//a", "/a%00", "/a%0d%0ax", "/a%5Cb", "/%7F"] {
        server.get(&format!("{blob}{bad}")).await.problem(400, "NAME_INVALID");
        server.head(&format!("{blob}{bad}")).await.expect(400);
        // Nor once the bytes are in memory.
        server.get(&blob).await.expect(200);
        server.get(&format!("{blob}{bad}")).await.problem(400, "NAME_INVALID");
    }
    server.get(&format!("{blob}/%FF")).await.problem(400, "NAME_INVALID");
    server.get(&format!("{blob}0/a")).await.problem(400, "DIGEST_INVALID");
    server.get(&format!("/blobs/{}/a", Digest::of(b"other"))).await.problem(404, "BLOB_UNKNOWN");
    let put = server.put(&format!("{blob}/a"), "bytes").await;
    assert_eq!(put.header("allow"), "GET,HEAD,OPTIONS");
    let problem = put.problem(405, "METHOD_NOT_ALLOWED");
    assert!(problem["detail"].as_str().unwrap().contains(&blob), "{problem}");
    server.get("/blobs/missing").await.expect(405);
}

#[tokio::test]
async fn the_media_type_of_the_manifest_is_that_of_the_bytes() {
    let server = TestServer::start().await;
    publish(
        &server,
        "main",
        &[
            ("a.bin", Some("application/vnd.debian.binary-package")),
            ("b.txt", Some("image/svg+xml")),
            ("c", Some("Text/HTML; charset=utf-8")),
            ("d.js", Some("text/javascript")),
            ("e.xml", Some("application/xml")),
            ("f.zip", None),
        ],
    )
    .await;
    for (file, essence) in [
        ("a.bin", "application/vnd.debian.binary-package"),
        ("b.txt", "image/svg+xml"),
        ("c", "Text/HTML"),
        ("d.js", "text/javascript"),
        ("e.xml", "application/xml"),
        ("f.zip", "application/zip"),
    ] {
        let location = server.get(&format!("/refs/main/{file}")).await.expect(307).header("location").to_owned();
        assert_eq!(location.contains("?type="), file != "f.zip", "{location}");
        let part = send(server.anonymous(Method::GET, &location).header("range", "bytes=0-0")).await.expect(206);
        for answer in [server.get(&location).await, server.head(&location).await, server.get(&location).await, part] {
            assert_eq!(answer.header("content-type"), essence, "{location}");
            assert_eq!(answer.header("content-disposition"), format!("attachment; filename=\"{file}\""));
            assert_eq!(answer.header("content-security-policy"), "default-src 'none'; sandbox; frame-ancestors 'none'");
            assert_eq!(answer.header("x-content-type-options"), "nosniff");
        }
    }
}

#[tokio::test]
async fn a_media_type_in_an_address_is_exactly_one() {
    let server = TestServer::start().await;
    let blob = format!("/blobs/{}", server.put_blob(b"bytes").await);
    let long = format!("type=a/{}", "b".repeat(260));
    for bad in [
        "type=",
        "type=text",
        "type=text/",
        "type=/plain",
        "type=text/plain/x",
        "type=text/plain;charset=utf-8",
        "type=text/plain%0d%0aset-cookie:x",
        "type=text/pl%20ain",
        "type=t%C3%A9xt/plain",
        "type=*%2F%28",
        "type=text/plain&type=text/plain",
        "name=a&name=b",
        long.as_str(),
    ] {
        for path in [format!("{blob}?{bad}"), format!("{blob}/a.txt?{bad}")] {
            server.get(&blob).await.expect(200);
            server.get(&path).await.problem(400, "QUERY_INVALID");
        }
    }
    for (good, media_type) in [("text/plain", "text/plain"), ("image/svg%2Bxml", "image/svg+xml"), ("a%2Fb", "a/b")] {
        assert_eq!(
            server.get(&format!("{blob}/x.zip?type={good}")).await.expect(200).header("content-type"),
            media_type
        );
    }
}

#[tokio::test]
async fn a_blob_asked_for_under_any_number_of_names_is_open_once() {
    let server = TestServer::start().await;
    // One that is kept in memory, and one that is sent from its file.
    for size in [1000, 300_000] {
        let digest = server.put_blob(&pattern(size)).await;
        let file = server.data.join(format!("objects/blobs/sha256/{}/{}", &digest.hex()[..2], &digest.hex()[2..4]));
        let mut most = 0;
        for number in 0..50 {
            for path in [
                format!("/blobs/{digest}/{number}.zip"),
                format!("/blobs/{digest}?name={number}.zip"),
                format!("/blobs/{digest}/{number}.zip?type=application/zip&x={number}"),
                format!("/blobs/sha256%3A{}/{number}.zip", digest.hex()),
            ] {
                let answer = server.get(&path).await.expect(200);
                assert_eq!(answer.body.len(), size);
                assert_eq!(answer.header("content-disposition"), format!("attachment; filename=\"{number}.zip\""));
                assert_eq!(answer.header("content-type"), "application/zip");
                assert_eq!(answer.header("etag"), format!("\"{digest}\""));
            }
            most = most.max(open_below(&file));
        }
        assert!(most <= 2, "{most} times at once");
    }
}
