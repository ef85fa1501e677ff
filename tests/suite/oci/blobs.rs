//! Reading blobs through a repository: who may, and that HEAD and GET say the same.

use std::time::Duration;

use larder::config::{Config, NameRule};
use larder::domain::{Digest, Permission, Reads};
use reqwest::header::HeaderMap;

use super::access::token;
use super::registry::{Registry, refused};
use crate::support::replicas::Replicas;
use crate::support::server::TestServer;
use crate::support::store::{CHUNK, FsBackend, all_keys, pattern};

const HOUR: Duration = Duration::from_secs(3600);

/// What is a public repository, one that needs a token, and one with a private tag.
const PUBLIC: &str = "open/app";
const PRIVATE: &str = "private/app";
const MIXED: &str = "mixed/app";

fn guarded(config: &mut Config, blobs: Reads) {
    config.access.tokens = vec![
        token("admin", &[Permission::Admin], &["**"]),
        token("reader", &[Permission::Read], &["private/**"]),
        token("publisher", &[Permission::Publish], &["private/**"]),
        token("stranger", &[Permission::Read], &["elsewhere/**"]),
    ];
    config.access.blob_reads = blobs;
    let rule = |pattern: &str| {
        let matches = vec![pattern.parse().unwrap()];
        NameRule { matches, read: Some(Reads::Token), ..NameRule::default() }
    };
    config.names = vec![rule("private/**"), rule("mixed/app/secret")];
}

/// Without what differs between any two answers.
fn comparable(mut headers: HeaderMap) -> HeaderMap {
    for name in ["x-request-id", "date", "connection"] {
        headers.remove(name);
    }
    headers
}

#[tokio::test]
async fn head_and_get_say_the_same_of_blobs_of_every_size() {
    let server = TestServer::start().await;
    let registry = Registry::of(&server);
    for size in [0, 1, 255, CHUNK - 1, CHUNK, CHUNK + 1, 3 << 20] {
        let bytes = pattern(size);
        let digest = registry.push_blob(PUBLIC, &bytes).await;
        let path = format!("/v2/{PUBLIC}/blobs/{digest}");
        for client in [&registry, &registry.anonymous()] {
            // More than once: the second answer may come from memory.
            for _ in 0..3 {
                let (head, get) = (client.head(&path).await.expect(200), client.get(&path).await.expect(200));
                assert!(head.body.is_empty() && get.body == bytes, "{size}");
                assert_eq!(comparable(head.headers), comparable(get.headers.clone()), "{size}");
                assert_eq!(get.header("content-type"), "application/octet-stream");
                assert_eq!(get.header("accept-ranges"), "bytes");
                assert_eq!(get.header("etag"), format!("\"{digest}\""));
            }
            let etag = format!("\"{digest}\"");
            for method in ["HEAD", "GET"] {
                let answer = client.ask(method, &path, &[("if-none-match", etag.as_str())], "").await.expect(304);
                assert_eq!(answer.header("docker-content-digest"), digest.to_string());
            }
        }
        // The same bytes are there for those who know nothing of repositories.
        assert!(server.get(&format!("/blobs/{digest}")).await.expect(200).body == bytes);
    }
}

#[tokio::test]
async fn only_one_range_is_answered() {
    let server = TestServer::start().await;
    let registry = Registry::of(&server);
    let bytes = pattern(1000);
    let path = format!("/v2/{PUBLIC}/blobs/{}", registry.push_blob(PUBLIC, &bytes).await);
    for range in ["bytes=0-1,5-6", "items=0-1", "bytes=x-1"] {
        assert!(registry.ask("GET", &path, &[("range", range)], "").await.expect(200).body == bytes, "{range}");
    }
    let answer = refused(registry.ask("GET", &path, &[("range", "bytes=1000-")], "").await, 416, "BLOB_UPLOAD_INVALID");
    assert_eq!(answer["detail"]["size"], 1000);
    registry.ask("HEAD", &path, &[("range", "bytes=5-6")], "").await.expect(200);
}

/// Whether a blob can be read through a repository: the policy of the repository and that of blobs, both.
#[tokio::test]
async fn a_blob_is_read_through_a_repository_by_those_who_may_read_both() {
    for blobs in [Reads::Public, Reads::Token] {
        let server = TestServer::with(|config| guarded(config, blobs)).await;
        let anonymous = Registry::of(&server).anonymous();
        let with = |id: &str| anonymous.with_token(&format!("secret of {id}"));
        let digest = with("admin").push_blob(PUBLIC, b"layer").await;
        let public = blobs == Reads::Public;
        for (repository, who, may) in [
            (PUBLIC, None, public),
            (PUBLIC, Some("stranger"), true),
            (PUBLIC, Some("reader"), true),
            (PRIVATE, None, false),
            (PRIVATE, Some("stranger"), false),
            (PRIVATE, Some("reader"), true),
            // Some of its tags are public, and their layers are among these.
            (MIXED, None, public),
            (MIXED, Some("admin"), true),
        ] {
            let client = who.map_or_else(|| anonymous.clone(), with);
            let path = format!("/v2/{repository}/blobs/{digest}");
            let (head, get) = (client.head(&path).await, client.get(&path).await);
            let expected = match (may, who) {
                (true, _) => 200,
                (false, None) => 401,
                (false, Some(_)) => 403,
            };
            assert_eq!((get.status.as_u16(), head.status.as_u16()), (expected, expected), "{repository} {who:?}");
            // Nobody learns by it what is there.
            let absent = format!("/v2/{repository}/blobs/{}", Digest::of(b"absent"));
            let status = client.get(&absent).await.status.as_u16();
            assert_eq!(status, if may { 404 } else { expected }, "{repository} {who:?}");
        }
        // Who pushes has to know what is lacking.
        with("publisher").head(&format!("/v2/{PRIVATE}/blobs/{digest}")).await.expect(200);
        with("publisher").head(&format!("/v2/{PRIVATE}/blobs/{}", Digest::of(b"absent"))).await.expect(404);
        refused(with("publisher").get(&format!("/v2/{PRIVATE}/blobs/{digest}")).await, 403, "DENIED");
    }
}

#[tokio::test]
async fn a_look_by_who_may_push_keeps_an_old_blob_and_a_look_by_others_does_not() {
    let backend = FsBackend::quick();
    let server = Replicas::new().start(&backend.store()).await;
    let registry = Registry::of(&server);
    let digest = registry.push_blob(PUBLIC, b"old").await;
    backend.age("blobs/", 20 * HOUR);
    let path = format!("/v2/{PUBLIC}/blobs/{digest}");
    let hints = async || all_keys(&backend.store()).await.iter().filter(|key| key.contains(".seen-")).count();
    registry.anonymous().head(&path).await.expect(200);
    registry.get(&path).await.expect(200);
    assert_eq!(hints().await, 0);
    registry.head(&path).await.expect(200);
    assert_eq!(hints().await, 1);
}

#[tokio::test]
async fn who_asks_for_what_is_not_there_is_told_so_by_a_code() {
    let server = TestServer::start().await;
    let registry = Registry::of(&server).anonymous();
    let path = format!("/v2/{PUBLIC}/blobs/{}", Digest::of(b"absent"));
    for _ in 0..3 {
        refused(registry.get(&path).await, 404, "BLOB_UNKNOWN");
        registry.head(&path).await.expect(404);
    }
    // It is there as soon as somebody pushed it, whatever was remembered.
    Registry::of(&server).push_blob(PUBLIC, b"absent").await;
    registry.assert_blob(PUBLIC, b"absent").await;
    for method in ["DELETE", "PUT", "POST", "PATCH"] {
        let answer = Registry::of(&server).ask(method, &path, &[], "").await;
        assert!(answer.header("allow").starts_with("GET,HEAD"), "{answer:?}");
        refused(answer, 405, "UNSUPPORTED");
    }
}
