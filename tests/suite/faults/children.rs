//! What the children do, and races among them.

use std::collections::BTreeMap;

use larder::store::fs::{NoFaults, Steps};
use larder::store::{Created, FsStore};
use std::path::Path;
use std::sync::Arc;

use crate::support::children::{Job, Running, say, wait_for_parent};
use crate::support::services::{Release, Services};
use crate::support::steps::KillAt;
use crate::support::store::*;

/// The test that is run in children.
pub const CHILD: &str = "faults::children::every_job_is_done_in_full_when_nobody_interferes";
/// Keys that the children race for.
const KEYS: usize = 100;
/// Bytes of the objects that are made under fire, in two pieces.
pub const PIECES: [&str; 2] = ["first half, ", "second half"];
/// Jobs that are killed at each of their steps.
pub const MAKING: [&str; 3] = ["create", "upload", "copy"];

/// What a child publishes over what was there.
pub fn new_release() -> Release {
    Release::new("new", 3)
}

fn open(root: &Path, steps: Arc<dyn Steps>) -> Store {
    Arc::new(FsStore::with_steps(root, steps).expect("open the store"))
}

async fn run(job: &str, store: Store, number: usize) {
    match job {
        "create" => put(&store, "made/object", PIECES.concat()).await,
        "upload" => {
            let created = upload(&store, "made/object", &PIECES.map(Into::into)).await;
            assert_eq!(created, Created::New);
        }
        "copy" => {
            let created = store.copy(&key("source"), &key("made/object")).await.expect("copy");
            assert_eq!(created, Some(Created::New));
        }
        "publish" => {
            Services::over(&store).release("main", &new_release()).await.expect("publish");
        }
        "race" => race(&store, number).await,
        "hold" => {
            let upload = begin(&store, "held", &["slow".into()]).await;
            say("holding");
            wait_for_parent();
            assert_eq!(upload.commit().await.expect("commit"), Created::New);
        }
        other => panic!("no such job: {other}"),
    }
}

/// Tries to make each key in turn, each child in another way, and says which it won.
async fn race(store: &Store, number: usize) {
    put(store, &format!("source/{number}"), number.to_string()).await;
    say("ready");
    wait_for_parent();
    for at in 0..KEYS {
        let (to, bytes) = (format!("race/{at:03}"), number.to_string());
        let created = match number % 3 {
            0 => create(store, &to, bytes).await,
            1 => upload(store, &to, &[bytes.into()]).await,
            _ => store.copy(&key(&format!("source/{number}")), &key(&to)).await.expect("copy").expect("a source"),
        };
        if created == Created::New {
            say(&to);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_job_is_done_in_full_when_nobody_interferes() {
    if let Some(job) = Job::of_this_process() {
        let steps: Arc<dyn Steps> =
            if matches!(job.name.as_str(), "race" | "hold") { Arc::new(NoFaults) } else { KillAt::nth(job.number) };
        return run(&job.name, open(&job.root, steps), job.number).await;
    }
    for job in MAKING {
        let backend = FsBackend::new();
        put(&backend.store(), "source", PIECES.concat()).await;
        run(job, open(backend.root(), Arc::new(NoFaults)), 0).await;
        assert_eq!(read(&backend.store(), "made/object").await.unwrap(), PIECES.concat(), "{job}");
        backend.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn racing_processes_have_one_winner_for_each_key() {
    let backend = FsBackend::new();
    let mut children: Vec<Running> =
        (0..6).map(|number| Running::start(CHILD, "race", backend.root(), number)).collect();
    for child in &mut children {
        assert_eq!(child.hear().as_deref(), Some("ready"));
    }
    children.iter_mut().for_each(Running::tell);
    let mut winners: BTreeMap<String, usize> = BTreeMap::new();
    for (number, child) in children.iter_mut().enumerate() {
        while let Some(won) = child.hear() {
            assert_eq!(winners.insert(won.clone(), number), None, "{won} has two winners");
        }
        assert!(child.end().success(), "child {number}");
    }
    let store = backend.store();
    assert_eq!(winners.len(), KEYS, "every key has a winner");
    for (won, number) in &winners {
        assert_eq!(read(&store, won).await.unwrap(), number.to_string(), "{won} holds its winner's bytes");
    }
    let lucky: std::collections::BTreeSet<&usize> = winners.values().collect();
    assert!(lucky.len() > 1, "the children raced at all");
    backend.finish().await;
}
