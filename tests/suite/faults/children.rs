//! What the children do, and races among them.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use larder::store::fs::{NoFaults, Steps};
use larder::store::{Created, FsStore};

use crate::support::children::{Job, Running, say, wait_for_parent};
use crate::support::services::{Release, Services};
use crate::support::steps::KillAt;
use crate::support::store::*;

/// The test that is run in children.
pub const CHILD: &str = "faults::children::every_job_is_done_in_full_when_nobody_interferes";
/// Keys that the children race for.
const ROUNDS: usize = 100;
/// Bytes of the objects that are made under fire.
pub fn under_fire() -> Bytes {
    pattern(SLOW)
}
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
        "create" => put(&store, "made/object", under_fire()).await,
        "upload" => {
            let created =
                upload(&store, "made/object", &[under_fire().slice(..1000), under_fire().slice(1000..)]).await;
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
            let upload = begin(&store, "held", &[pattern(SLOW)]).await;
            say("holding");
            wait_for_parent();
            assert_eq!(upload.commit().await.expect("commit"), Created::New);
        }
        other => panic!("no such job: {other}"),
    }
}

/// Tries to make one key after the other, each when the parent gives the word, and says how that went. Each child
/// has its own way.
async fn race(store: &Store, number: usize) {
    put(store, &format!("source/{number}"), number.to_string()).await;
    say("ready");
    for round in 0..ROUNDS {
        wait_for_parent();
        let (to, bytes) = (format!("race/{round:03}"), number.to_string());
        let created = match number % 3 {
            0 => create(store, &to, bytes).await,
            1 => upload(store, &to, &[bytes.into()]).await,
            _ => store.copy(&key(&format!("source/{number}")), &key(&to)).await.expect("copy").expect("a source"),
        };
        say(if created == Created::New { "won" } else { "lost" });
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
        put(&backend.store(), "source", under_fire()).await;
        run(job, open(backend.root(), Arc::new(NoFaults)), 0).await;
        assert!(read(&backend.store(), "made/object").await == Some(under_fire()), "{job}");
        backend.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn racing_processes_have_one_winner_for_each_key() {
    const CHILDREN: usize = 6;
    let backend = FsBackend::new();
    let mut children: Vec<Running> =
        (0..CHILDREN).map(|number| Running::start(CHILD, "race", backend.root(), number)).collect();
    for child in &mut children {
        assert_eq!(child.hear().as_deref(), Some("ready"));
    }
    let (store, mut lucky) = (backend.store(), BTreeSet::new());
    for round in 0..ROUNDS {
        // Another one hears the word first in each round.
        for at in 0..CHILDREN {
            children[(round + at) % CHILDREN].tell();
        }
        let ends: Vec<Option<String>> = children.iter_mut().map(Running::hear).collect();
        let winners: Vec<usize> = (0..CHILDREN).filter(|at| ends[*at].as_deref() == Some("won")).collect();
        assert_eq!(winners.len(), 1, "round {round}: {ends:?}");
        assert!(ends.iter().all(Option::is_some), "round {round}: {ends:?}");
        let bytes = read(&store, &format!("race/{round:03}")).await.expect("somebody won");
        assert_eq!(bytes, winners[0].to_string(), "round {round}");
        lucky.insert(winners[0]);
    }
    assert!(children.iter_mut().all(|child| child.end().success()));
    assert!(lucky.len() > 1, "only {lucky:?} ever won: was there a race?");
    backend.finish().await;
}
