//! Background tasks: one that panics is logged, counted, reported in readiness, and restarted.
//!
//! A panic never ends the process. All replicas read the same store, so what panics in one mostly panics in all of
//! them, and then no reader could be served any more. For the same reason the server stays ready and only reports the
//! failing task.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::upkeep::Health;

/// Backoff before the first restart of a task. It doubles with each panic.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Upper limit of the backoff.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// A task that has run this long counts as healthy again, and its backoff is reset.
const SETTLED: Duration = Duration::from_hours(1);

/// Starts background tasks and restarts those that end early.
#[derive(Debug, Clone)]
pub(super) struct Supervisor {
    /// Tracks the tasks, so that shutdown can wait for them.
    pub(super) tasks: TaskTracker,
    /// Readiness, which reports failing tasks.
    pub(super) health: Arc<Health>,
    /// Asks tasks to end. A task that ends without this being cancelled is treated as if it had panicked.
    pub(super) stop: CancellationToken,
}

impl Supervisor {
    /// Runs a task until the server stops. `start` creates it, initially and after every panic.
    pub(super) fn run<F>(&self, task: &'static str, start: impl FnMut() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tasks.spawn(self.clone().supervise(task, start));
    }

    /// Like [`Supervisor::run`], for a task that repeats its work with a `pause` in between and may be cancelled at any
    /// await point.
    pub(super) fn repeat<F>(
        &self,
        task: &'static str,
        pause: Duration,
        work: impl Fn() -> F + Clone + Send + Sync + 'static,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let stop = self.stop.clone();
        self.run(task, move || {
            let (stop, work) = (stop.clone(), work.clone());
            async move {
                let repeated = async {
                    loop {
                        work().await;
                        tokio::time::sleep(pause).await;
                    }
                };
                stop.run_until_cancelled(repeated).await;
            }
        });
    }

    async fn supervise<F>(self, task: &'static str, mut start: impl FnMut() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut pause = FIRST_PAUSE;
        loop {
            let mut running = AbortOnDropHandle::new(tokio::spawn(start()));
            let ended = tokio::select! {
                ended = &mut running => ended,
                () = tokio::time::sleep(SETTLED) => {
                    pause = FIRST_PAUSE;
                    self.health.set_failing(task, false);
                    running.await
                }
            };
            let why = match ended {
                Ok(()) if self.stop.is_cancelled() => return,
                Ok(()) => "it ended without being asked to".to_owned(),
                Err(error) => error.try_into_panic().map_or_else(|error| error.to_string(), |panic| message(&*panic)),
            };
            tracing::error!(task, why, "a background task panicked or ended early; it is started again");
            metrics::counter!("larder_task_panics_total", "task" => task).increment(1);
            self.health.set_failing(task, true);
            if self.stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without a message".to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::clock::{StoreClock, SystemClock};
    use crate::layout::marker::{self, Watch};
    use crate::store::{FsStore, ObjectStore};

    async fn supervisor(directory: &tempfile::TempDir) -> Supervisor {
        let store: Arc<dyn ObjectStore> = Arc::new(FsStore::open(directory.path()).unwrap());
        marker::open(&*store).await.unwrap();
        let clock = Arc::new(StoreClock::new(Arc::new(SystemClock)));
        let health = Arc::new(Health::new(Arc::new(Watch::new(store)), clock));
        Supervisor { tasks: TaskTracker::new(), health, stop: CancellationToken::new() }
    }

    async fn readiness(supervisor: &Supervisor) -> String {
        supervisor.health.readiness().await.expect("the server is ready")
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_is_started_again_and_shows_in_readiness_for_a_while() {
        let directory = tempfile::tempdir().unwrap();
        let (supervisor, starts) = (supervisor(&directory).await, Arc::new(AtomicU32::new(0)));
        let (stop, counted) = (supervisor.stop.clone(), Arc::clone(&starts));
        supervisor.run("test", move || {
            let (start, stop) = (counted.fetch_add(1, Ordering::Relaxed), stop.clone());
            async move {
                assert!(start >= 3, "injected");
                stop.cancelled().await;
            }
        });
        tokio::time::sleep(Duration::from_secs(1 + 2 + 4 + 1)).await;
        assert_eq!(starts.load(Ordering::Relaxed), 4, "pauses of one, two and four seconds");
        assert!(readiness(&supervisor).await.contains("background task test"));
        tokio::time::sleep(SETTLED).await;
        assert_eq!(readiness(&supervisor).await, "ready\n");
        supervisor.stop.cancel();
        supervisor.tasks.close();
        tokio::time::timeout(Duration::from_secs(1), supervisor.tasks.wait()).await.expect("it stops when asked to");
        assert_eq!(starts.load(Ordering::Relaxed), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_always_panics_or_ends_is_started_less_and_less_often() {
        let directory = tempfile::tempdir().unwrap();
        let (supervisor, starts) = (supervisor(&directory).await, Arc::new(AtomicU32::new(0)));
        let counted = Arc::clone(&starts);
        supervisor.run("test", move || {
            let start = counted.fetch_add(1, Ordering::Relaxed);
            async move { assert!(start % 2 == 0, "injected") }
        });
        tokio::time::sleep(Duration::from_secs(3600)).await;
        let starts = starts.load(Ordering::Relaxed);
        assert!((60..=70).contains(&starts), "about once a minute: {starts}");
        assert!(readiness(&supervisor).await.contains("background task test"));
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_panics_is_repeated() {
        let directory = tempfile::tempdir().unwrap();
        let (supervisor, turns) = (supervisor(&directory).await, Arc::new(AtomicU32::new(0)));
        let counted = Arc::clone(&turns);
        supervisor.repeat("test", Duration::from_secs(60), move || {
            let turn = counted.fetch_add(1, Ordering::Relaxed);
            async move { assert!(turn != 1, "injected") }
        });
        tokio::time::sleep(Duration::from_secs(250)).await;
        assert_eq!(turns.load(Ordering::Relaxed), 6, "at 0, 60, 61, 121, 181 and 241 seconds");
        supervisor.stop.cancel();
        supervisor.tasks.close();
        tokio::time::timeout(Duration::from_secs(1), supervisor.tasks.wait()).await.expect("it stops when asked to");
    }
}
