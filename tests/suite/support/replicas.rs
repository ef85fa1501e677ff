//! Servers of this process on one store, and the clocks that they go by.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use larder::clock::{Clock, SystemClock};
use larder::config::Config;
use tempfile::TempDir;

use super::server::TestServer;
use super::store::Store;

/// Where servers that are replicas of each other have the one admin token. None of them collects by itself.
#[derive(Debug)]
pub struct Replicas {
    directory: TempDir,
}

impl Replicas {
    pub fn new() -> Self {
        Self { directory: TempDir::new().unwrap() }
    }

    /// One more server.
    pub async fn start(&self, store: &Store) -> TestServer {
        self.with(store, |_| {}).await
    }

    /// One more server, with a changed configuration.
    pub async fn with(&self, store: &Store, change: impl FnOnce(&mut Config)) -> TestServer {
        self.with_clock(store, Arc::new(SystemClock), change).await
    }

    /// One more server, which goes by this clock.
    pub async fn with_clock(
        &self,
        store: &Store,
        clock: Arc<dyn Clock>,
        change: impl FnOnce(&mut Config),
    ) -> TestServer {
        let quiet = |config: &mut Config| {
            config.collector.enabled = false;
            change(config);
        };
        TestServer::over(self.directory.path(), Arc::clone(store), clock, quiet).await
    }
}

/// A clock that runs, and is wrong by so much.
#[derive(Debug)]
pub struct WrongBy(pub SignedDuration);

impl Clock for WrongBy {
    fn now(&self) -> Timestamp {
        SystemClock.now() + self.0
    }
}
