//! Failing system calls.

use std::path::PathBuf;
use std::sync::Arc;
use std::{fs, io};

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use larder::store::fs::{Step, Steps};
use larder::store::{Created, List, ObjectStore as _, Result, StoreErrorKind};
use rustix::io::Errno;

use crate::support::steps::FaultySteps;
use crate::support::store::*;

/// Ways to make an object.
#[derive(Debug, Clone, Copy)]
enum Way {
    Create,
    Upload,
    Copy,
}

const SOURCE: &str = "source";

impl Way {
    async fn make(self, store: &Store, to: &str) -> Result<Created> {
        let to = key(to);
        match self {
            Self::Create => store.create(&to, pattern(SLOW)).await,
            Self::Upload => {
                let mut upload = store.begin(&to).await?;
                let bytes = pattern(SLOW);
                upload.write(bytes.slice(..4)).await?;
                upload.write(bytes.slice(4..)).await?;
                upload.commit().await
            }
            Self::Copy => Ok(store.copy(&key(SOURCE), &to).await?.expect("the source is there")),
        }
    }
}

/// Fails every step of making an object in turn. Whatever happens, there is nothing or the whole object, nothing
/// is left over, and the next attempt succeeds.
async fn fail_each_step(way: Way, errno: Errno, kind: StoreErrorKind) -> usize {
    let backend = FsBackend::new();
    let healthy = backend.store();
    put(&healthy, SOURCE, pattern(SLOW)).await;
    for nth in 1.. {
        let (steps, name) = (FaultySteps::fail_at(nth, errno), format!("to/{nth}/object"));
        let store: Store = Arc::new(backend.with_steps(steps.clone()));
        let made = way.make(&store, &name).await;
        let Some((failed, before)) = steps.failed() else {
            assert_eq!(made.unwrap(), Created::New);
            backend.finish().await;
            return nth - 1;
        };
        if failed == Step::Unstage {
            // The object is complete; only its staged name stays behind, for the sweep.
            assert_eq!(made.unwrap(), Created::New);
            for leftover in backend.staged() {
                fs::remove_file(leftover).unwrap();
            }
        } else {
            assert_eq!(made.unwrap_err().kind, kind, "{way:?} failing at {failed:?}");
            assert!(backend.staged().is_empty(), "{way:?} failing at {failed:?} left something over");
        }
        let linked = before.contains(&Step::Link);
        let left = read(&healthy, &name).await;
        assert!(left == linked.then(|| pattern(SLOW)), "{way:?} failing at {failed:?}");
        let again = way.make(&healthy, &name).await.unwrap();
        assert_eq!(again, if linked { Created::AlreadyExists } else { Created::New });
        assert!(read(&healthy, &name).await == Some(pattern(SLOW)));
    }
    unreachable!("the loop ends when no step fails");
}

async fn fail_every_way(errno: Errno, kind: StoreErrorKind) {
    for way in [Way::Create, Way::Upload, Way::Copy] {
        let steps = fail_each_step(way, errno, kind).await;
        assert!(steps >= 8, "{way:?} has only {steps} steps");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_reported_as_full_and_leaves_nothing() {
    fail_every_way(Errno::NOSPC, StoreErrorKind::Full).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_used_up_quota_is_reported_as_full_and_leaves_nothing() {
    fail_every_way(Errno::DQUOT, StoreErrorKind::Full).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_permissions_are_reported_as_denied_and_leave_nothing() {
    fail_every_way(Errno::ACCESS, StoreErrorKind::Denied).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_file_system_is_reported_as_such_and_leaves_nothing() {
    fail_every_way(Errno::ROFS, StoreErrorKind::ReadOnly).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_disk_is_reported_as_unavailable_and_leaves_nothing() {
    fail_every_way(Errno::IO, StoreErrorKind::Unavailable).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_whose_write_failed_cannot_be_committed() {
    let (backend, steps) = (FsBackend::new(), FaultySteps::new());
    let store: Store = Arc::new(backend.with_steps(steps.clone()));
    let mut upload = begin(&store, "a", &["one".into()]).await;
    steps.fail_next(2, Errno::NOSPC);
    // A piece is written while the next one is taken in, so what becomes of it shows with one of the next calls.
    let mut write = async || loop {
        if let Err(error) = upload.write(pattern(SLOW)).await {
            return error;
        }
    };
    assert_eq!(write().await.kind, StoreErrorKind::Full);
    assert_eq!(write().await.kind, StoreErrorKind::Internal, "an upload that failed takes nothing more");
    upload.commit().await.expect_err("the bytes in the middle are missing");
    assert_absent(&store, "a").await;
    backend.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_looked_at_is_an_error_and_not_absent() {
    let (backend, steps) = (FsBackend::new(), FaultySteps::new());
    let store: Store = Arc::new(backend.with_steps(steps.clone()));
    put(&store, "a", "bytes").await;
    for errno in [Errno::IO, Errno::ACCESS, Errno::MFILE] {
        steps.fail_next(1, errno);
        assert!(store.head(&key("a")).await.is_err(), "{errno}");
        steps.fail_next(1, errno);
        assert!(store.get(&key("a"), None).await.is_err(), "{errno}");
        steps.fail_next(1, errno);
        assert!(store.copy(&key("a"), &key("b")).await.is_err(), "{errno}");
        steps.fail_next(1, errno);
        assert!(store.create(&key("a"), "other".into()).await.is_err(), "{errno}");
    }
    assert_eq!(read(&store, "a").await.unwrap(), "bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_fails_half_way_ends_in_an_error() {
    let (backend, steps) = (FsBackend::new(), FaultySteps::new());
    let store: Store = Arc::new(backend.with_steps(steps.clone()));
    upload(&store, "a", &[pattern(5 * CHUNK)]).await;
    // The look at the file and its five reads: all but the first come after the object was opened.
    for nth in 3..=6 {
        steps.fail_next(nth, Errno::IO);
        let object = store.get(&key("a"), None).await.unwrap().unwrap();
        let read: Result<Vec<Bytes>> = object.body.try_collect().await;
        assert_eq!(read.unwrap_err().kind, StoreErrorKind::Unreadable, "step {nth}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_lost_bytes_ends_in_an_error() {
    let backend = FsBackend::new();
    let store = backend.store();
    upload(&store, "a", &[pattern(5 * CHUNK)]).await;
    let mut body = store.get(&key("a"), None).await.unwrap().unwrap().body;
    body.try_next().await.unwrap().expect("a first piece");
    let file = fs::OpenOptions::new().write(true).open(backend.root().join("objects/a")).unwrap();
    file.set_len(4 * CHUNK as u64).unwrap();
    let rest: Result<Vec<Bytes>> = body.try_collect().await;
    rest.expect_err("short of a piece");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_fails_half_way_ends_in_an_error_of_its_kind() {
    let (backend, steps) = (FsBackend::new(), FaultySteps::new());
    let store: Store = Arc::new(backend.with_steps(steps.clone()));
    for name in ["a/1", "b/2", "c/3"] {
        put(&store, name, "").await;
    }
    let table = [
        (Errno::IO, StoreErrorKind::Unavailable),
        (Errno::ACCESS, StoreErrorKind::Denied),
        (Errno::MFILE, StoreErrorKind::Unavailable),
    ];
    for (errno, kind) in table {
        for nth in 1..=4 {
            steps.fail_next(nth, errno);
            let listed: Result<Vec<_>> = store.list(&"".parse().unwrap(), List::default()).try_collect().await;
            assert_eq!(listed.unwrap_err().kind, kind, "directory {nth}");
        }
    }
    assert_eq!(all_keys(&store).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_deleted_stays_whole() {
    let (backend, steps) = (FsBackend::new(), FaultySteps::new());
    let store: Store = Arc::new(backend.with_steps(steps.clone()));
    put(&store, "a", "bytes").await;
    steps.fail_next(1, Errno::ROFS);
    assert_eq!(store.delete(&key("a")).await.unwrap_err().kind, StoreErrorKind::ReadOnly);
    assert_eq!(read(&store, "a").await.unwrap(), "bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_told_that_an_object_exists_before_it_is_durable() {
    let backend = FsBackend::new();
    put(&backend.store(), "deep/down/object", "bytes").await;
    // Another process made it, so this one cannot know how far that process got.
    let steps = FaultySteps::new();
    let store: Store = Arc::new(backend.with_steps(steps.clone()));
    assert_eq!(create(&store, "deep/down/object", "other").await, Created::AlreadyExists);
    let syncs = steps.taken().iter().filter(|step| **step == Step::SyncDirectory).count();
    assert_eq!(syncs, 3, "the directory of the object and the two above it: {:?}", steps.taken());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_object_is_synced_before_and_after_it_is_linked() {
    use Step::{Link, MakeDirectory, Open, Stage, SyncDirectory, SyncFile, Unstage, Write};

    let (backend, steps) = (FsBackend::new(), FaultySteps::new());
    let store: Store = Arc::new(backend.with_steps(steps.clone()));
    put(&store, "new/object", "bytes").await;
    let expected = [Open, Stage, Write, SyncFile, MakeDirectory, SyncDirectory, Link, SyncDirectory, Unstage];
    assert_eq!(steps.taken(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_in_the_way_is_not_taken_for_an_object() {
    let backend = FsBackend::new();
    let store = backend.store();
    put(&store, "a/b", "bytes").await;
    store.create(&key("a"), "bytes".into()).await.expect_err("nothing is stored under this key");
    let upload = begin(&store, "a", &["bytes".into()]).await;
    upload.commit().await.expect_err("nothing is stored under this key");
    store.create(&key("a/b/c"), "bytes".into()).await.expect_err("an object is in the way");
    assert_eq!(all_keys(&store).await, ["a/b"]);
    backend.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strange_file_ends_a_listing() {
    let backend = FsBackend::new();
    let store = backend.store();
    put(&store, "a/b", "bytes").await;
    fs::write(backend.root().join("objects/a/not a key"), "").unwrap();
    let listed: Result<Vec<_>> = store.list(&"a/".parse().unwrap(), List::default()).try_collect().await;
    listed.expect_err("a listing that leaves something out would look complete");
}

/// Deletes a file right before the first link.
#[derive(Debug)]
struct DeletedBeforeLink(PathBuf);

impl Steps for DeletedBeforeLink {
    fn before(&self, step: Step) -> io::Result<()> {
        if step == Step::Link && self.0.exists() {
            fs::remove_file(&self.0)?;
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_process_has_handed_over_and_deleted_meanwhile_is_absent() {
    let backend = FsBackend::new();
    put(&backend.store(), "from", "bytes").await;
    let store = backend.with_steps(Arc::new(DeletedBeforeLink(backend.root().join("objects/from"))));
    assert_eq!(store.hand_over(&key("from"), &key("to/object")).await.unwrap(), None);
    assert_absent(&backend.store(), "to/object").await;
}
