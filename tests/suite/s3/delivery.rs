//! Clients that are sent to the bucket for the bytes, and many who want the same at once.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use larder::config::{self, Bucket, Config, Delivery, Token};
use larder::domain::Digest;
use larder::domain::{Permission, Reads};
use reqwest::Method;
use tempfile::TempDir;

use crate::oci::image::Image;
use crate::oci::registry::{Registry, refused};
use crate::support::ceph::Ceph;
use crate::support::deployment::TOKEN;
use crate::support::replicas::Replicas;
use crate::support::s3::{Fault, Op, S3Model};
use crate::support::server::{Answer, TestServer, send};
use crate::support::store::{Store, pattern};

fn redirecting(config: &mut Config) {
    let bucket = Bucket { delivery: Delivery::Redirect, redirect_for: "2s".parse().unwrap(), ..Bucket::default() };
    config.store = config::Store::S3(Box::new(bucket));
    let sha256 = Digest::of(TOKEN.as_bytes()).hex();
    let (actions, names) = (vec![Permission::Admin], vec!["**".parse().unwrap()]);
    config.access.tokens = vec![Token { id: "test".to_owned(), sha256, actions, names, surfaces: None, until: None }];
}

/// A server that sends its clients to the bucket.
async fn server(store: &Store, change: impl FnOnce(&mut Config)) -> TestServer {
    let both = |config: &mut Config| {
        redirecting(config);
        change(config);
    };
    let mut server = Replicas::new().with(store, both).await;
    TOKEN.clone_into(&mut server.token);
    server
}

/// Fetches what an answer sends to, without showing who asks.
async fn follow(server: &TestServer, answer: &Answer) -> reqwest::Response {
    server.http.get(answer.header("location")).send().await.unwrap()
}

/// A redirect that nobody may keep, to bytes that are right.
async fn is_sent_to_the_bucket(store: &Store) {
    let server = server(store, |_| {}).await;
    let bytes = pattern(1 << 20);
    server.publish("main", &[("larder-1.0.tar.gz", &bytes), ("empty", b"")]).await;
    let path = format!("/blobs/{}?name=larder-1.0.tar.gz", Digest::of(&bytes));

    let answer = server.get(&path).await.expect(307);
    assert_eq!(answer.header("cache-control"), "private, no-store");
    assert_eq!((answer.header("vary"), answer.header("referrer-policy")), ("Authorization", "no-referrer"));
    assert!(answer.header("location").contains("X-Amz-Signature"), "{answer:?}");
    let followed = follow(&server, &answer).await;
    assert_eq!(followed.status().as_u16(), 200);
    let header = |name: &str| followed.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), "application/gzip");
    assert_eq!(header("content-disposition"), "attachment; filename=\"larder-1.0.tar.gz\"");
    assert!(followed.bytes().await.unwrap() == bytes);
    let part = server.http.get(answer.header("location")).header("range", "bytes=1000-1999").send().await.unwrap();
    assert_eq!(part.status().as_u16(), 206);
    assert!(part.bytes().await.unwrap() == bytes[1000..2000]);

    // The address says what it is, also at the end of the redirect, which has another representation than the blob.
    assert!(!answer.headers.contains_key("digest") && !answer.headers.contains_key("repr-digest"), "{answer:?}");
    let typed =
        server.get(&format!("/blobs/{}/a%2B1.deb?type=application/x-deb", Digest::of(&bytes))).await.expect(307);
    let followed = follow(&server, &typed).await;
    assert_eq!(followed.headers()["content-type"], "application/x-deb");
    assert_eq!(followed.headers()["content-disposition"], "attachment; filename=\"a+1.deb\"");

    let empty = server.get(&format!("/blobs/{}", Digest::of(b""))).await.expect(307);
    assert_eq!(follow(&server, &empty).await.bytes().await.unwrap(), "");

    let known = send(server.request(Method::GET, &path)).await.expect(200);
    assert!(known.body == bytes, "who shows who they are gets the stream");
    let head = server.head(&path).await.expect(200);
    assert_eq!((head.header("content-length"), head.header("content-type")), ("1048576", "application/gzip"));
    let etag = format!("\"{}\"", Digest::of(&bytes));
    assert_eq!(head.header("etag"), etag);
    send(server.anonymous(Method::GET, &path).header("if-none-match", &etag)).await.expect(304);
    send(server.anonymous(Method::GET, &path).header("if-match", "\"other\"")).await.expect(412);
    server.get(&format!("/blobs/{}", Digest::of(b"unknown"))).await.problem(404, "BLOB_UNKNOWN");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_without_a_token_are_sent_to_the_bucket() {
    let model = S3Model::start().await;
    is_sent_to_the_bucket(&model.store().await).await;
}

/// Layers come from the bucket, manifests and everything that is asked by HEAD from the server, for those without a token.
#[tokio::test(flavor = "multi_thread")]
async fn container_clients_are_sent_to_the_bucket_for_layers() {
    let model = S3Model::start().await;
    let server = server(&model.store().await, |_| {}).await;
    let image = Image::of("in a bucket");
    Registry::of(&server).push("team/app", "v1", &image).await;
    let layer = image.blobs.last().unwrap();
    let (digest, length) = (Digest::of(layer), layer.len().to_string());
    let path = format!("/v2/team/app/blobs/{digest}");
    let answer = server.get(&path).await.expect(307);
    assert_eq!(answer.header("docker-content-digest"), digest.to_string());
    assert_eq!(answer.header("docker-distribution-api-version"), "registry/2.0");
    assert_eq!(answer.header("cache-control"), "private, no-store");
    assert!(follow(&server, &answer).await.bytes().await.unwrap() == layer);
    let head = server.head(&path).await.expect(200);
    assert_eq!((head.header("content-length"), head.header("docker-content-digest")), (&*length, &*digest.to_string()));
    let manifest = server.get("/v2/team/app/manifests/v1").await.expect(200);
    assert!(manifest.body == image.manifest);
    let nobody = server.http.get(server.url(&path)).bearer_auth("larder-anonymous");
    assert!(!send(nobody).await.expect(307).header("location").is_empty(), "who has the token of nobody is nobody");
    let known = send(server.request(Method::GET, &path)).await.expect(200);
    assert!(&known.body == layer, "who logged in gets the stream");
    let unknown = format!("/v2/team/app/blobs/{}", Digest::of(b"unknown"));
    refused(Registry::of(&server).anonymous().get(&unknown).await, 404, "BLOB_UNKNOWN");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Ceph: .ci/run installs it and runs this; by hand: cargo test -- --ignored"]
async fn clients_without_a_token_are_sent_to_a_real_engine() {
    let ceph = Ceph::start().await;
    is_sent_to_the_bucket(&ceph.store().await).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Ceph: .ci/run installs it and runs this; by hand: cargo test -- --ignored"]
async fn an_address_in_the_bucket_works_for_a_while_and_only_as_it_is() {
    let ceph = Ceph::start().await;
    let server = server(&ceph.store().await, |_| {}).await;
    let digest = server.put_blob(b"bytes").await;
    let answer = server.get(&format!("/blobs/{digest}?name=a.txt")).await.expect(307);
    assert_eq!(follow(&server, &answer).await.text().await.unwrap(), "bytes");
    let forged = answer.header("location").replace("a.txt", "b.txt");
    assert_eq!(server.http.get(forged).send().await.unwrap().status().as_u16(), 403);
    let written = server.http.put(answer.header("location")).body("other").send().await.unwrap();
    assert_eq!(written.status().as_u16(), 403, "it is for reading");
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(follow(&server, &answer).await.status().as_u16(), 403, "its time is up");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Ceph and curl: .ci/run installs them and runs this; by hand: cargo test -- --ignored"]
async fn curl_follows_a_file_of_a_name_to_the_bucket() {
    let ceph = Ceph::start().await;
    let server = server(&ceph.store().await, |_| {}).await;
    let bytes = pattern(300_000);
    server.publish("team/main", &[("larder.txt", &bytes)]).await;
    let folder = TempDir::new().unwrap();
    let mut curl = std::process::Command::new("curl");
    curl.args(["--silent", "--show-error", "--fail", "--location", "--remote-header-name", "--remote-name"]);
    curl.args(["--write-out", "%{num_redirects} %{content_type}"]).arg(server.url("/refs/team/main/larder.txt"));
    curl.current_dir(folder.path());
    let output = tokio::task::spawn_blocking(move || curl.output().expect("curl is installed")).await.unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "2 text/plain");
    assert!(std::fs::read(folder.path().join("larder.txt")).unwrap() == bytes, "under its own name");
}

#[tokio::test(flavor = "multi_thread")]
async fn blobs_that_are_not_public_are_not_handed_out() {
    let model = S3Model::start().await;
    let server = server(&model.store().await, |config| config.access.blob_reads = Reads::Token).await;
    let digest = server.put_blob(b"bytes").await;
    server.get(&format!("/blobs/{digest}")).await.problem(401, "UNAUTHORIZED");
    send(server.request(Method::GET, &format!("/blobs/{digest}"))).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_the_disk_cache_is_not_fetched_from_the_bucket() {
    let (model, cache) = (S3Model::start().await, TempDir::new().unwrap());
    let path = cache.path().to_owned();
    let server = server(&model.store().await, |config| config.cache.path = Some(path)).await;
    let digest = server.put_blob(b"bytes").await;
    let blob = format!("/blobs/{digest}");
    server.get(&blob).await.expect(307);
    send(server.request(Method::GET, &blob)).await.expect(200);
    let kept = cache.path().join(&digest.hex()[..2]).join(digest.hex());
    while !kept.is_file() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    model.requests();
    assert_eq!(server.get(&blob).await.expect(200).body, b"bytes");
    assert!(model.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_costs_one_look() {
    let model = S3Model::start().await;
    let server = server(&model.store().await, |_| {}).await;
    let path = format!("/blobs/{}", server.put_blob(b"bytes").await);
    model.requests();
    server.get(&path).await.expect(307);
    assert_eq!(model.requests().into_iter().collect::<Vec<_>>(), [(Op::Look, 1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_readers_of_a_cold_blob_in_a_bucket_are_one_request() {
    let (model, cache) = (S3Model::start().await, TempDir::new().unwrap());
    let path = cache.path().to_owned();
    let server = Replicas::new().with(&model.store().await, |config| config.cache.path = Some(path)).await;
    let bytes = pattern(200_000);
    let blob = format!("/blobs/{}", server.put_blob(&bytes).await);
    model.requests();
    model.fail_from(Op::GetObject, 1, Fault::Slow(Duration::from_millis(200)));
    for answers in join_all((0..1000).map(|_| server.get(&blob))).await {
        assert!(answers.expect(200).body == bytes);
    }
    assert_eq!(model.requests().into_iter().collect::<Vec<_>>(), [(Op::GetObject, 1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_readers_of_a_cold_name_in_a_bucket_are_one_request_of_each_kind() {
    let model = S3Model::start().await;
    let store = model.store().await;
    let replicas = Replicas::new();
    replicas.start(&store).await.publish("main", &[("f", b"bytes")]).await;
    let long = |config: &mut Config| config.heads.max_staleness = "1m".parse().unwrap();
    let server = Arc::new(replicas.with(&store, long).await);
    model.requests();
    model.fail_from(Op::ListObjects, 1, Fault::Slow(Duration::from_millis(200)));
    for answer in join_all((0..1000).map(|_| server.get("/refs/main/f"))).await {
        answer.expect(307);
    }
    let requests: Vec<_> = model.requests().into_iter().collect();
    assert_eq!(requests, [(Op::GetObject, 2), (Op::ListObjects, 1)], "the newest head, and its manifest");
}
