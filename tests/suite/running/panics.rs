//! Background tasks that panic.

use std::sync::Arc;
use std::time::Duration;

use larder::clock::SystemClock;
use reqwest::Method;
use tempfile::TempDir;

use crate::support::faulty::{FaultyStore, Op, Rule};
use crate::support::server::{TestServer, send};
use crate::support::store::*;

#[tokio::test]
async fn a_collector_that_panics_is_counted_shown_and_started_again() {
    let (backend, directory) = (FsBackend::quick(), TempDir::new().unwrap());
    let faulty = FaultyStore::over(&backend.store());
    faulty.script(Rule::on(Op::List).key("collector/runs").nth(1).run(|| async { panic!("injected") }));
    let collecting = |config: &mut larder::config::Config| config.collector.interval = "20ms".parse().unwrap();
    let server = TestServer::over(directory.path(), faulty.store(), Arc::new(SystemClock), collecting).await;
    let completed = async {
        loop {
            let runs = send(server.request(Method::GET, "/collector/runs")).await;
            if runs.status == 200 && runs.json()["runs"][0]["outcome"] == "completed" {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    // Not before: the first listing of runs is to be the collector's.
    let panicked = async {
        while !server.get("/readyz").await.expect(200).text().contains("background task collector panicked") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), panicked).await.expect("readiness says so");
    tokio::time::timeout(Duration::from_secs(20), completed).await.expect("the collector runs again");
    let metrics = server.get("/metrics").await.text();
    assert!(metrics.contains("larder_task_panics_total{task=\"collector\"}"), "{metrics}");
    server.stop().await.unwrap();
}
