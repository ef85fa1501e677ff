//! Connections that break in the middle of large blobs.

use std::time::Duration;

use bytes::Bytes;
use larder::store::s3::S3Settings;

use super::*;
use crate::support::collecting::{collect, greedy};
use crate::support::raw::Raw;
use crate::support::s3::Op;
use crate::support::store::pattern;

const MIB: usize = 1 << 20;

fn large() -> Bytes {
    pattern(24 * MIB + 7)
}

fn in_parts(settings: &mut S3Settings) {
    settings.part_size = 5 << 20;
}

/// A server on a model that has one large blob.
async fn serving(model: &S3Model, tweak: impl FnOnce(&mut S3Settings)) -> (TestServer, String) {
    let store = model.store_with(tweak).await;
    let server = Replicas::new().start(&store).await;
    let digest = server.put_blob(&large()).await;
    model.requests();
    (server, format!("/blobs/{digest}"))
}

/// What a client gets of a body, and whether it was told that this is all.
async fn download(server: &TestServer, path: &str) -> (u16, Vec<u8>, bool) {
    let mut response = server.anonymous(Method::GET, path).send().await.unwrap();
    let (status, mut received) = (response.status().as_u16(), Vec::new());
    loop {
        match response.chunk().await {
            Ok(Some(bytes)) => received.extend_from_slice(&bytes),
            Ok(None) => return (status, received, true),
            Err(_) => return (status, received, false),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_goes_on_where_the_connection_to_the_engine_broke() {
    let model = S3Model::start().await;
    let (server, path) = serving(&model, in_parts).await;
    for fault in [Fault::Truncate(10 * MIB), Fault::Truncate(0), Fault::Truncate(24 * MIB)] {
        model.fail(Op::GetObject, 1, fault);
        let (status, bytes, whole) = download(&server, &path).await;
        assert!(status == 200 && whole && bytes == large(), "{fault:?}: {} bytes", bytes.len());
        assert_eq!(model.requests()[&Op::GetObject], 2, "{fault:?}");
        model.heal();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_goes_on_when_the_engine_falls_silent_in_the_middle() {
    let model = S3Model::start().await;
    let quick = |settings: &mut S3Settings| settings.timeouts.attempt = Duration::from_secs(1);
    let (server, path) = serving(&model, quick).await;
    model.fail(Op::GetObject, 1, Fault::Stall(10 * MIB));
    let (status, bytes, whole) = download(&server, &path).await;
    assert!(status == 200 && whole && bytes == large(), "{} bytes", bytes.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_breaks_again_and_again_is_broken_for_the_client_and_never_short() {
    let model = S3Model::start().await;
    let (server, path) = serving(&model, in_parts).await;
    model.fail_from(Op::GetObject, 1, Fault::Truncate(MIB));
    let (status, bytes, whole) = download(&server, &path).await;
    assert!(status == 200 && !whole && bytes.len() < large().len(), "{} bytes", bytes.len());
    assert!(large().starts_with(&bytes), "what came was right");
    model.heal();
    model.fail_from(Op::GetObject, 2, Fault::Answer(403, "ExpiredToken"));
    model.fail(Op::GetObject, 1, Fault::Truncate(MIB));
    let (status, bytes, whole) = download(&server, &path).await;
    assert!(status == 200 && !whole && bytes.len() == MIB, "{} bytes", bytes.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_goes_on_and_breaks_like_a_whole_blob() {
    let model = S3Model::start().await;
    let (server, path) = serving(&model, in_parts).await;
    let ask = || server.anonymous(Method::GET, &path).header("range", "bytes=1000000-21000000");
    model.fail(Op::GetObject, 1, Fault::Truncate(10 * MIB));
    assert!(send(ask()).await.expect(206).body == large()[1_000_000..=21_000_000]);
    model.heal();
    model.fail_from(Op::GetObject, 1, Fault::Truncate(MIB));
    ask().send().await.unwrap().bytes().await.unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_client_gets_the_whole_blob_from_a_server_whose_downloads_break() {
    let model = S3Model::start().await;
    let store = model.store().await;
    let server = Replicas::new().start(&store).await;
    server.publish("main", &[("large", &large())]).await;
    model.requests();
    // Six of these are one broken download of a client.
    for nth in 1..=14 {
        model.fail(Op::GetObject, nth, Fault::Truncate(MIB));
    }
    let (folder, url) = (TempDir::new().unwrap(), server.url(""));
    let fetching = move || {
        larder("fetch main").env("LARDER_SERVER", url).within(&folder).ok().says("trying again");
        assert!(std::fs::read(folder.path().join("large")).unwrap() == large());
    };
    tokio::task::spawn_blocking(fetching).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_in_the_middle_of_an_upload_leaves_nothing() {
    let model = S3Model::start().await;
    let store = model.store_with(in_parts).await;
    let server = Replicas::new().start(&store).await;
    let keys = model.keys();
    let (bytes, digest) = (large(), Digest::of(&large()));
    let mut client = Raw::connect(server.address).await;
    let (token, length) = (&server.token, bytes.len());
    client
        .send(format!(
            "PUT /blobs/{digest} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-length: {length}\r\n\r\n"
        ))
        .await;
    client.send(&bytes[..17 * MIB]).await;
    until("parts are sent", || model.open_uploads() == 1);
    drop(client);
    until("they are given up", || model.open_uploads() == 0);
    server.get(&format!("/blobs/{digest}")).await.problem(404, "BLOB_UNKNOWN");
    assert_eq!(model.keys(), keys);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_survives_connections_to_the_engine_that_break() {
    let model = S3Model::start().await;
    let server = Replicas::new().start(&model.store_with(in_parts).await).await;
    for (nth, fault) in [(1, Fault::Reset), (3, Fault::LostReply), (6, Fault::Reset)] {
        model.fail(Op::UploadPart, nth, fault);
    }
    model.fail(Op::CompleteMultipart, 1, Fault::LostReply);
    let digest = server.put_blob(&large()).await;
    model.heal();
    assert!(server.get(&format!("/blobs/{digest}")).await.expect(200).body == large());
    assert_eq!(model.open_uploads(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_the_engine_does_not_take_is_given_up_at_once_or_by_the_collector() {
    let model = S3Model::start().await;
    let store = model.store_with(hasty).await;
    let server = Replicas::new().start(&store).await;
    server.publish("main", &[("f", b"bytes")]).await;
    let path = format!("/blobs/{}", Digest::of(&large()));
    model.fail_from(Op::UploadPart, 2, Fault::Reset);
    server.put(&path, large()).await.problem(503, "UNAVAILABLE");
    until("the engine is told", || model.open_uploads() == 0);
    model.fail_from(Op::AbortMultipart, 1, Fault::Reset);
    server.put(&path, large()).await.problem(503, "UNAVAILABLE");
    tokio::time::sleep(Duration::from_secs(1)).await;
    model.heal();
    assert_eq!(model.open_uploads(), 1, "the engine could not be told");
    server.get(&path).await.problem(404, "BLOB_UNKNOWN");
    collect(&store, greedy()).await.unwrap();
    assert_eq!(model.open_uploads(), 0);
    assert_sound(&store, "main").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resumable_upload_goes_on_after_the_engine_was_away() {
    let model = std::sync::Arc::new(S3Model::start().await);
    let mut settings = model.settings();
    settings.timeouts.give_up = Duration::from_millis(200);
    let deployment =
        Deployment::with(&settings, "", "[collector]\nenabled = false\n[limits]\nupload_part = \"5MiB\"\n");
    let (port, shared) = (free_port(), std::sync::Arc::clone(&model));
    let publishing = move || {
        let _server = deployment.serve(port);
        let files = TempDir::new().unwrap();
        std::fs::write(files.path().join("large"), large()).unwrap();
        shared.requests();
        for nth in 3..=9 {
            shared.fail(Op::UploadPart, nth, Fault::Answer(503, "SlowDown"));
        }
        let output = client(&url(port), "publish main . --resumable-from 6MiB").within(&files).ok();
        assert!(output.stderr.contains("trying again"), "{output:#?}");
        deployment.larder("verify").ok();
    };
    tokio::task::spawn_blocking(publishing).await.unwrap();
    let requests = model.requests();
    let (begun, parts) = (requests[&Op::CreateMultipart], requests[&Op::UploadPart]);
    assert_eq!(begun, 1, "the same upload went on");
    // Parts behind a failed one are not recorded, even if they were stored: up to three for each of two breaks.
    assert!((5 + 7..=5 + 7 + 2 * 3).contains(&parts), "{parts} parts");
    assert_eq!(model.open_uploads(), 0);
}
