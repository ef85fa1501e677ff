//! Nothing of a draft lives outside the store: each file may go through another server, any of which may be gone, and the
//! collector takes nothing of it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use larder::layout::{AreaPath, LayoutKey};
use larder::store::List;
use larder::upkeep::collect::Settings;

use super::*;
use crate::support::collecting::{collect, findings, greedy, marked, patient};
use crate::support::replicas::Replicas;
use crate::support::services::assert_sound;
use crate::support::store::Store;

fn configured(config: &mut Config) {
    flat(config);
    admin(config);
    // So that each server shows at once what another one did.
    config.heads.max_staleness = larder::config::Duration::from_secs(0);
}

async fn two(stores: &[Store; 2]) -> (Replicas, [TestServer; 2]) {
    let replicas = Replicas::new();
    let servers = [replicas.with(&stores[0], configured).await, replicas.with(&stores[1], configured).await];
    (replicas, servers)
}

/// Puts until it is taken, as `curl --retry` does.
async fn put_retrying(server: &TestServer, path: &str, bytes: &[u8]) {
    for _ in 0..5 {
        let answer = put(server, path, bytes).await;
        match answer.status.as_u16() {
            200 | 201 => return,
            503 => tokio::time::sleep(Duration::from_millis(50)).await,
            status => panic!("{path}: {status} {}", answer.text()),
        }
    }
    panic!("{path} was never taken");
}

/// Four workers put these files at once, each request through another server. The first attempt of one of them ends in the
/// middle of its form.
async fn put_by_four(servers: [&TestServer; 2], work: &[(String, Vec<u8>)]) {
    let next = AtomicUsize::new(0);
    let worker = async || {
        while let Some((at, (path, bytes))) = work.iter().enumerate().nth(next.fetch_add(1, Ordering::SeqCst)) {
            let server = servers[at % 2];
            if at == 5 {
                let mut body = form("x", "f", bytes);
                body.truncate(body.len() / 2);
                let request = server.anonymous(Method::PUT, path).bearer_auth(TOKEN);
                let request = request.header("content-type", "multipart/form-data; boundary=x");
                send(request.body(body)).await.expect(400);
            }
            put_retrying(server, path, bytes).await;
        }
    };
    tokio::join!(worker(), worker(), worker(), worker());
}

/// The files of a release through servers of which one ends in between.
async fn survives(stores: [Store; 2]) {
    let (replicas, [one, other]) = two(&stores).await;
    let files = build("v1.0.0");
    let puts = puts(&["v1.0.0", "latest"], "v1.0.0", &files);
    put_by_four([&one, &other], &puts[..14]).await;
    other.shutdown.hard.cancel();
    other.stop().await.unwrap();
    let third = replicas.with(&stores[1], configured).await;
    put_by_four([&one, &third], &puts[14..28]).await;
    put_retrying(&third, &puts[28].0, &puts[28].1).await;
    put_retrying(&one, &puts[29].0, &puts[29].1).await;
    for server in [&one, &third] {
        for channel in ["v1.0.0", "latest"] {
            for (name, bytes) in &files {
                assert_eq!(upgrade(server, channel, name).await.1, *bytes, "{channel} {name}");
            }
        }
    }
    assert_sound(&stores[0], "miren/v1.0.0").await;
    assert_sound(&stores[1], "miren/latest").await;
}

mod servers {
    use super::*;
    use crate::support::s3::S3Model;
    use crate::support::store::FsBackend;

    #[tokio::test(flavor = "multi_thread")]
    async fn four_workers_and_a_server_that_ends_publish_one_release_fs() {
        let backend = FsBackend::quick();
        survives([backend.store(), backend.store()]).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn four_workers_and_a_server_that_ends_publish_one_release_s3() {
        let model = S3Model::start().await;
        survives([model.store().await, model.store().await]).await;
        model.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_collector_takes_nothing_of_a_draft() {
    let backend = marked();
    let store = backend.store();
    let (_replicas, [one, other]) = two(&[backend.store(), backend.store()]).await;
    let files = build("main:1");
    for (number, (path, bytes)) in puts(&["main"], "main:1", &files).iter().enumerate() {
        put_retrying([&one, &other][number % 2], path, bytes).await;
        collect(&store, patient()).await.unwrap();
    }
    collect(&store, greedy()).await.unwrap();
    for (name, bytes) in &files {
        assert_eq!(upgrade(&other, "main", name).await.1, *bytes, "{name}");
    }
    assert!(findings(&store).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_that_nobody_fills_any_more_ends_and_the_rerun_is_whole() {
    let backend = marked();
    let store = backend.store();
    let (_replicas, [one, _other]) = two(&[backend.store(), backend.store()]).await;
    for (path, bytes) in &puts(&["main"], "main:1", &build("main:1"))[..9] {
        put_retrying(&one, path, bytes).await;
    }
    // The job died, and its time is over.
    collect(&store, greedy()).await.unwrap();
    let files = build("main:1");
    let version = "/assets/release/miren/main/version.json";
    let problem = put(&one, version, listing("main:1", &files).as_bytes()).await.problem(409, "MANIFEST_BLOB_UNKNOWN");
    assert_eq!(problem["absent"].as_array().unwrap().len(), 6);
    publish(&one, "main", "main:1").await;
    upgrade(&one, "main", "docker-compose.yml").await;
    assert_sound(&store, "miren/main").await;
}

#[tokio::test]
async fn received_bytes_that_a_crash_left_are_deleted_in_time() {
    let backend = marked();
    let store = backend.store();
    let key = LayoutKey::Tmp(AreaPath::of_incoming(7)).key();
    backend.plant(&key, b"half of something");
    let daily = || Settings { uploads_for: jiff::SignedDuration::from_hours(24), ..greedy() };
    collect(&store, daily()).await.unwrap();
    assert!(store.head(&key).await.unwrap().is_some(), "somebody may be about to copy it");
    backend.age("tmp/", Duration::from_secs(25 * 3600));
    collect(&store, daily()).await.unwrap();
    assert!(store.head(&key).await.unwrap().is_none());
}

#[tokio::test]
async fn a_release_leaves_nothing_in_tmp() {
    use futures_util::TryStreamExt as _;
    let backend = marked();
    let store = backend.store();
    let (_replicas, [one, _other]) = two(&[backend.store(), backend.store()]).await;
    publish(&one, "main", "main:1").await;
    put(&one, "/assets/install.sh", b"script").await.expect(201);
    let prefix = larder::layout::incoming();
    let left: Vec<_> = store.list(&prefix, List::default()).try_collect().await.unwrap();
    assert!(left.is_empty(), "{left:?}");
}
