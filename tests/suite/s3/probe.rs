//! Trying a store out, and what servers and commands make of it.

use std::sync::Arc;

use larder::clock::{Clock, SystemClock};
use larder::layout::{LayoutKey, marker};
use larder::store::s3::S3Settings;
use larder::upkeep::probe::{Check, Findings, probe};
use tempfile::TempDir;

use super::commands::{configure, on_bucket, url_of};
use crate::support::ceph::Ceph;
use crate::support::faulty::{FaultyStore, Op as Call, Rule};
use crate::support::process::{exchange, larder};
use crate::support::s3::{Conditions, Fault, Op, S3Model};
use crate::support::store::*;

async fn tried(store: &Store) -> Findings {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    probe(store, &clock).await.expect("a store that can be reached")
}

fn broken(findings: &Findings) -> Vec<Check> {
    findings.0.iter().filter(|finding| finding.problem.is_some()).map(|finding| finding.check).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_wrong_with_a_directory_and_the_model() {
    let (backend, model) = (FsBackend::new(), S3Model::start().await);
    for store in [backend.store(), model.store().await] {
        assert_eq!(broken(&tried(&store).await), []);
        assert!(all_keys(&store).await.is_empty(), "it cleans up");
    }
    model.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Ceph: .ci/run installs it and runs this; by hand: cargo test -- --ignored"]
async fn nothing_is_wrong_with_a_real_engine() {
    let ceph = Ceph::start().await;
    let store = ceph.store().await;
    assert_eq!(broken(&tried(&store).await), []);
    assert!(all_keys(&store).await.is_empty(), "it cleans up");
    ceph.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn engines_without_an_atomic_create_are_found_out() {
    for conditions in [Conditions::Ignored, Conditions::Refused, Conditions::CheckedBefore] {
        let model = S3Model::start().await;
        model.quirks(|quirks| quirks.conditions = conditions);
        let findings = tried(&model.store().await).await;
        assert!(broken(&findings).contains(&Check::CreateIfAbsent), "{conditions:?}: {findings}");
        assert!(findings.vital_problems().next().is_some());
        let alone = model.store_with(|settings| settings.single_writer = true).await;
        assert_eq!(broken(&tried(&alone).await), [], "{conditions:?}: one process keeps order among its own writers");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_broken_promise_is_named() {
    for (op, check) in [
        (Call::Copy, Check::Copy),
        (Call::Delete, Check::Delete),
        (Call::WritePart, Check::Parts),
        (Call::List, Check::ListAfterWrite),
    ] {
        let backend = FsBackend::quick();
        let faulty = FaultyStore::over(&backend.store());
        faulty.script(Rule::on(op).fail());
        let findings = tried(&faulty.store()).await;
        assert!(broken(&findings).contains(&check), "{op:?}: {findings}");
        assert!(!broken(&findings).contains(&Check::CreateIfAbsent), "{op:?}: {findings}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_cannot_be_reached_is_no_finding() {
    let model = S3Model::start().await;
    model.fail_from(Op::Look, 1, Fault::Answer(403, "AccessDenied"));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    probe(&model.store().await, &clock).await.unwrap_err();
}

#[tokio::test]
async fn a_store_that_another_server_is_trying_out_is_still_empty() {
    let backend = FsBackend::quick();
    backend.plant(&LayoutKey::Probe(7, 1).key(), b"probe 1");
    marker::open(&*backend.store()).await.expect("a server starts beside it");
    let other = FsBackend::quick();
    other.plant(&key("strange"), b"");
    marker::open(&*other.store()).await.expect_err("somebody else's objects are not to be mixed with ours");
}

/// A server and `check-store` on this bucket, neither of which may go on.
fn refuse(settings: &S3Settings) {
    let directory = TempDir::new().unwrap();
    configure(directory.path(), settings);
    let on = |arguments: &str| on_bucket(directory.path(), settings, arguments);
    on("serve --listen 127.0.0.1:0").exits(1).says("create-if-absent: 8 writers raced").says("single_writer");
    let table = on("check-store").exits(1).says("create-if-absent failed").stdout;
    assert!(table.contains("FAILED") && table.contains("publishing from more than one process"), "{table}");
    let document = on("check-store --json").exits(1).json();
    assert_eq!(document["checks"][0]["check"], "create-if-absent");
    assert!(document["checks"][1]["problem"].is_null(), "{document}");
}

/// The body of what a server answers.
fn get(url: &str, path: &str) -> String {
    let address = url.strip_prefix("http://").unwrap().parse().unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nhost: larder\r\nconnection: close\r\n\r\n");
    String::from_utf8(exchange(address, &head, b"").unwrap().body).unwrap()
}

/// The same with the promise that nobody else writes.
fn go_on_alone(settings: &S3Settings) {
    let directory = TempDir::new().unwrap();
    configure(directory.path(), settings);
    let alone =
        |arguments: &str| on_bucket(directory.path(), settings, arguments).env("LARDER__STORE__SINGLE_WRITER", "true");
    let server = alone("serve --json --listen 127.0.0.1:0").start();
    let url = url_of(&server);
    let ready = get(&url, "/readyz?verbose");
    assert!(ready.contains("create-if-absent: ok") && ready.contains("the only process that writes"), "{ready}");
    assert_eq!(get(&url, "/readyz"), "ready\n");
    let metrics = get(&url, "/metrics");
    assert!(metrics.contains("larder_store_check{check=\"create-if-absent\"} 1"), "{metrics}");
    assert!(metrics.contains("larder_store_single_writer 1"), "{metrics}");
    alone("check-store").ok().says("only one process may write");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_ignores_conditions_is_refused_unless_one_process_writes() {
    let model = S3Model::start().await;
    model.quirks(|quirks| quirks.conditions = Conditions::Ignored);
    let settings = model.settings();
    let both = move || {
        refuse(&settings);
        go_on_alone(&settings);
    };
    tokio::task::spawn_blocking(both).await.unwrap();
}

#[test]
fn a_directory_can_be_tried_out_too() {
    let directory = TempDir::new().unwrap();
    larder("check-store --data").arg(directory.path()).exits(3).says("There is no store");
    larder("migrate --data").arg(directory.path()).run();
    let server = crate::support::process::ServerProcess::start();
    let table = larder("check-store --data").arg(&server.data).ok().stdout;
    assert_eq!(table.lines().count(), 9, "{table}");
    assert!(!table.contains("FAILED"), "{table}");
}

/// Each tries the bucket out, and finds what the others try it out with.
#[tokio::test(flavor = "multi_thread")]
async fn servers_that_start_at_once_on_an_empty_bucket_all_start() {
    let model = S3Model::start().await;
    model.plant(LayoutKey::Probe(7, 1).key().as_str(), "left by one that died");
    let store = model.store().await;
    let openings = (0..8).map(|_| async {
        tried(&store).await;
        marker::open(&*store).await
    });
    for opened in futures_util::future::join_all(openings).await {
        assert_eq!(opened.unwrap().layout, marker::CURRENT);
    }
    let other = S3Model::start().await;
    other.plant("something/else", "not ours");
    assert!(marker::open(&*other.store().await).await.is_err(), "a bucket of somebody else is not taken over");
}
