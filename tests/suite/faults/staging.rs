//! What dead writers leave in staging, and who may take it away.

use std::path::Path;
use std::time::{Duration, SystemTime};

use larder::clock::{Clock as _, SystemClock};
use larder::store::fs::STALE_AFTER;
use tokio::time::Instant;

use super::children::CHILD;
use crate::support::children::Running;
use crate::support::store::*;

/// Makes a file look as if it was last written so long ago.
pub fn age(path: &Path, by: Duration) {
    let file = std::fs::OpenOptions::new().write(true).open(path).expect("open a staged file");
    let then = SystemTime::from(SystemClock.now()).checked_sub(by).expect("a time since 1970");
    file.set_modified(then).expect("set the time of a staged file");
}

const OLD: Duration = STALE_AFTER.saturating_add(Duration::from_secs(60));
const YOUNG: Duration = STALE_AFTER.saturating_sub(Duration::from_secs(60));

/// Sweeps until one file is. Programs that other tests start at this moment hold the locks of this process for an instant.
async fn sweeps_one(backend: &FsBackend) {
    let is_swept = async || backend.open().sweep_staging().await.unwrap() == 1;
    let end = Instant::now() + Duration::from_secs(10);
    while !is_swept().await {
        assert!(Instant::now() < end, "nothing is swept");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn old_leftovers_are_swept_and_young_ones_stay() {
    let backend = FsBackend::new();
    let store = backend.open();
    for (leftover, by) in [("old", OLD), ("older", OLD * 100), ("young", YOUNG), ("new", Duration::ZERO)] {
        std::fs::write(backend.staging().join(leftover), "half").unwrap();
        age(&backend.staging().join(leftover), by);
    }
    assert_eq!(store.sweep_staging().await.unwrap(), 2);
    let mut left = backend.staged();
    left.sort();
    assert_eq!(left, ["new", "young"].map(|leftover| backend.staging().join(leftover)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_upload_of_a_live_writer_stays() {
    let backend = FsBackend::new();
    let (store, sweeper) = (backend.store(), backend.open());
    let upload = begin(&store, "a", &[pattern(SLOW)]).await;
    age(&backend.staged()[0], OLD);
    assert_eq!(sweeper.sweep_staging().await.unwrap(), 0);
    upload.commit().await.unwrap();
    assert!(read(&store, "a").await == Some(pattern(SLOW)));
    backend.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_upload_of_a_live_writer_in_another_process_stays() {
    let backend = FsBackend::new();
    let mut child = Running::start(CHILD, "hold", backend.root(), 1);
    assert_eq!(child.hear().as_deref(), Some("holding"));
    age(&backend.staged()[0], OLD);
    assert_eq!(backend.open().sweep_staging().await.unwrap(), 0);
    child.tell();
    assert!(child.end().success());
    assert!(read(&backend.store(), "held").await == Some(pattern(SLOW)));
    backend.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_upload_of_a_killed_process_is_swept() {
    let backend = FsBackend::new();
    let mut child = Running::start(CHILD, "hold", backend.root(), 1);
    assert_eq!(child.hear().as_deref(), Some("holding"));
    child.kill();
    assert_eq!(backend.open().sweep_staging().await.unwrap(), 0, "it is not old yet");
    age(&backend.staged()[0], OLD);
    assert_eq!(backend.open().sweep_staging().await.unwrap(), 1);
    assert_absent(&backend.store(), "held").await;
    backend.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sweeping_a_second_name_of_an_object_keeps_the_object() {
    let backend = FsBackend::new();
    let store = backend.store();
    put(&store, "a", "bytes").await;
    // What a process leaves that dies between linking an object and removing its staged name.
    let second = backend.staging().join("second-name");
    std::fs::hard_link(backend.root().join("objects/a"), &second).unwrap();
    age(&second, OLD);
    sweeps_one(&backend).await;
    assert_eq!(read(&store, "a").await.unwrap(), "bytes");
}
