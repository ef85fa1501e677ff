//! SIGKILL at every system call: what is there afterwards is absent or complete, and work goes on.

use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use larder::store::fs::STALE_AFTER;

use super::children::{CHILD, MAKING, new_release, under_fire};
use super::staging::age;
use crate::support::children::Running;
use crate::support::services::{Release, Services, sound};
use crate::support::store::*;

/// Children that run at once.
const WIDTH: usize = 3;

/// Runs a job in a child that dies at its `nth` step. `false` when it finished before.
async fn killed(job: &'static str, backend: &FsBackend, nth: usize) -> bool {
    let root = backend.root().to_path_buf();
    let end = move || Running::start(CHILD, job, &root, nth).end();
    let status = tokio::task::spawn_blocking(end).await.unwrap();
    assert!(status.success() || status.signal() == Some(9), "{job} at step {nth}: {status}");
    !status.success()
}

/// Kills a job at its first step, its second, and so on until it gets through. Returns the number of steps.
async fn kill_at_each_step<F: Future<Output = bool>>(job: impl Fn(usize) -> F) -> usize {
    let mut deaths = stream::iter(1..).map(|nth| {
        let job = job(nth);
        async move { (nth, job.await) }
    });
    let mut runs = deaths.by_ref().buffered(WIDTH);
    loop {
        match runs.next().await {
            Some((_, true)) => {}
            Some((nth, false)) => return nth - 1,
            None => unreachable!("numbers do not end"),
        }
    }
}

/// Takes away what the dead left, once it is old.
async fn sweep_all(backend: &FsBackend) {
    for leftover in backend.staged() {
        age(&leftover, STALE_AFTER + Duration::from_secs(1));
    }
    let left = backend.staged().len();
    assert_eq!(backend.open().sweep_staging().await.unwrap(), left, "the dead hold no locks");
}

async fn make_and_die(job: &'static str, nth: usize) -> bool {
    let backend = FsBackend::new();
    let store = backend.store();
    put(&store, "source", under_fire()).await;
    let died = killed(job, &backend, nth).await;
    let found = read(&store, "made/object").await;
    assert!(found.as_ref().is_none_or(|found| *found == under_fire()), "{job} at step {nth} left something else");
    assert!(died || found.is_some(), "{job} finished, but made nothing");
    // Whoever comes next is not hindered by what is left.
    create(&store, "made/object", under_fire()).await;
    assert!(read(&store, "made/object").await == Some(under_fire()));
    assert_eq!(all_keys(&store).await, ["made/object", "source"]);
    sweep_all(&backend).await;
    backend.finish().await;
    died
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_whose_maker_is_killed_at_any_step_is_absent_or_whole() {
    for job in MAKING {
        let steps = kill_at_each_step(|nth| make_and_die(job, nth)).await;
        assert!(steps >= 8, "{job} has only {steps} steps");
    }
}

async fn publish_and_die(nth: usize) -> bool {
    let backend = FsBackend::new();
    let store = backend.store();
    Services::over(&store).release("main", &Release::new("old", 3)).await.unwrap();
    let died = killed("publish", &backend, nth).await;
    let active = sound(&store, "main").await.expect("something is always active");
    assert!(["old", "new"].contains(&active.as_str()), "{active} at step {nth}");
    assert!(died || active == "new", "the publish succeeded, but {active} is active");
    let services = Services::over(&store);
    services.release("main", &new_release()).await.unwrap();
    assert_eq!(sound(&store, "main").await.as_deref(), Some("new"), "published again after step {nth}");
    services.release("main", &Release::new("next", 3)).await.unwrap();
    assert_eq!(sound(&store, "main").await.as_deref(), Some("next"), "published after step {nth}");
    sweep_all(&backend).await;
    backend.finish().await;
    died
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_whose_publisher_is_killed_at_any_step_shows_the_old_version_or_the_new_one() {
    let steps = kill_at_each_step(publish_and_die).await;
    assert!(steps >= 60, "a publish of three files has only {steps} steps");
}
