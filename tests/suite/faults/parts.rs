//! Objects in parts whose writers fail, die, or come back after they were forgotten.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use futures_util::future::join_all;
use larder::store::{Created, Part, Parts, Result, Unfinished};
use rustix::io::Errno;

use crate::support::steps::FaultySteps;
use crate::support::store::*;

/// The parts of an object, small as they are: the filesystem takes any size.
const PIECES: [&str; 2] = ["first ", "second"];
const WHOLE: &str = "first second";

async fn write(store: &Store, parts: &Parts, number: u32, text: &str) -> Result<Option<Part>> {
    let offset = PIECES[..number as usize - 1].iter().map(|piece| piece.len() as u64).sum();
    store.write_part(parts, number, offset, Bytes::copy_from_slice(text.as_bytes())).await
}

/// Writes both parts. `None` when it is over already.
async fn write_all(store: &Store, parts: &Parts) -> Result<Option<Vec<Part>>> {
    let (one, two) = (write(store, parts, 1, PIECES[0]).await?, write(store, parts, 2, PIECES[1]).await?);
    Ok(one.zip(two).map(|(one, two)| vec![one, two]))
}

/// The file of an object in the making.
fn file(backend: &FsBackend, parts: &Parts, suffix: &str) -> PathBuf {
    backend.root().join("parts").join(format!("{}{suffix}", parts.id))
}

async fn unfinished(store: &Store) -> Vec<Unfinished> {
    store.unfinished().try_collect().await.unwrap()
}

/// All steps of an object in parts; leaves what was begun in `begun`.
async fn make(store: &Store, begun: &mut Option<Parts>) -> Result<()> {
    let parts = begun.insert(store.begin_parts(&key("a/b")).await?);
    let written = write_all(store, parts).await?.expect("nobody commits it");
    store.commit_parts(parts, &written).await?.expect("nobody commits it");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_step_fails_another_process_goes_on() {
    for nth in 1.. {
        let backend = FsBackend::quick();
        let steps = FaultySteps::fail_at(nth, Errno::NOSPC);
        let (faulty, healthy): (Store, Store) = (Arc::new(backend.with_steps(steps.clone())), backend.store());
        let mut begun = None;
        let made = make(&faulty, &mut begun).await;
        let Some((failed, _)) = steps.failed() else {
            made.unwrap();
            assert!(nth > 15, "only {nth} steps");
            break;
        };
        let there = read(&healthy, "a/b").await;
        assert!(there.is_none() || there.as_deref() == Some(WHOLE.as_bytes()), "{failed:?}");
        let Some(parts) = begun else {
            for left in unfinished(&healthy).await {
                healthy.abort_parts(&left.parts).await.unwrap();
            }
            continue;
        };
        if let Some(written) = write_all(&healthy, &parts).await.unwrap() {
            assert_eq!(there, None, "what is committed is not written to, {failed:?}");
            assert_eq!(healthy.commit_parts(&parts, &written).await.unwrap(), Some(Created::New), "{failed:?}");
        }
        assert_eq!(read(&healthy, "a/b").await.unwrap(), WHOLE, "{failed:?}");
        healthy.abort_parts(&parts).await.unwrap();
        assert_eq!(std::fs::read_dir(backend.root().join("parts")).unwrap().count(), 0, "{failed:?}");
    }
}

#[tokio::test]
async fn an_object_whose_writer_died_right_after_its_commit_is_never_written_to() {
    let backend = FsBackend::quick();
    let store = backend.store();
    let parts = store.begin_parts(&key("a")).await.unwrap();
    let written = write_all(&store, &parts).await.unwrap().unwrap();
    std::fs::hard_link(file(&backend, &parts, ""), backend.root().join("objects/a")).unwrap();
    assert_eq!(write(&store, &parts, 2, "SECOND").await.unwrap(), None);
    assert_eq!(read(&store, "a").await.unwrap(), WHOLE);
    assert_eq!(unfinished(&store).await.len(), 1);
    assert_eq!(store.commit_parts(&parts, &written).await.unwrap(), None);
    assert_eq!((unfinished(&store).await.len(), read(&store, "a").await.unwrap()), (0, WHOLE.into()));
}

#[tokio::test]
async fn a_part_counts_only_with_the_whole_of_its_line() {
    let backend = FsBackend::quick();
    let store = backend.store();
    let parts = store.begin_parts(&key("a")).await.unwrap();
    let written = write_all(&store, &parts).await.unwrap().unwrap();
    for torn in ["2 6 0123", "2 6", "2", "2 6 -"] {
        let mut log = std::fs::OpenOptions::new().append(true).open(file(&backend, &parts, ".log")).unwrap();
        log.write_all(torn.as_bytes()).unwrap();
        let second = write(&store, &parts, 2, PIECES[1]).await.unwrap().unwrap();
        assert_eq!(second, written[1], "{torn}");
    }
    assert_eq!(store.commit_parts(&parts, &written).await.unwrap(), Some(Created::New));
    assert_eq!(read(&store, "a").await.unwrap(), WHOLE);
}

#[tokio::test]
async fn an_object_whose_overwriting_was_cut_off_is_not_committed() {
    let backend = FsBackend::quick();
    let steps = FaultySteps::new();
    let (faulty, healthy): (Store, Store) = (Arc::new(backend.with_steps(steps.clone())), backend.store());
    let parts = healthy.begin_parts(&key("a")).await.unwrap();
    let written = write_all(&healthy, &parts).await.unwrap().unwrap();
    // Open, the line that says so, its sync, the bytes: the sync of those is not reached.
    steps.fail_next(5, Errno::IO);
    write(&faulty, &parts, 2, "SECOND").await.unwrap_err();
    assert_eq!(healthy.commit_parts(&parts, &written).await.unwrap(), None);
    let again = write(&healthy, &parts, 2, PIECES[1]).await.unwrap().unwrap();
    assert_eq!(healthy.commit_parts(&parts, &[written[0].clone(), again]).await.unwrap(), Some(Created::New));
    assert_eq!(read(&healthy, "a").await.unwrap(), WHOLE);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_writes_while_others_commit_changes_nothing_that_was_committed() {
    for round in 0..40 {
        let backend = FsBackend::quick();
        let stores: Vec<Store> = (0..4).map(|_| backend.store()).collect();
        let parts = stores[0].begin_parts(&key("a")).await.unwrap();
        let racers = stores.iter().enumerate().map(|(racer, store)| {
            let (store, parts, bytes) =
                (Arc::clone(store), parts.clone(), Bytes::from(racer.to_string().repeat(70_000)));
            tokio::spawn(async move {
                for _ in 0..4 {
                    let part = store.write_part(&parts, 1, 0, bytes.clone()).await.unwrap()?;
                    if store.commit_parts(&parts, &[part]).await.unwrap().is_some() {
                        return Some(bytes);
                    }
                }
                None
            })
        });
        let winners: Vec<Bytes> = join_all(racers).await.into_iter().filter_map(|ended| ended.unwrap()).collect();
        assert!(winners.len() <= 1, "round {round}");
        let there = read(&stores[0], "a").await;
        assert!(there == winners.first().cloned(), "round {round}");
    }
}
