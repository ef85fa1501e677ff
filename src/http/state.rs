//! What handlers need: services, limits and time-outs.

use std::ops::Deref;
use std::sync::Arc;

use axum::extract::FromRef;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use super::rfc::body::BodyLimits;
use crate::access::Access;
use crate::config::{Config, Duration};
use crate::protocol::{Blobs, Uploads};
use crate::service::{Names, Publish, Resolve, Versions};
use crate::upkeep::Health;
use crate::upkeep::collect::Runs;

/// Everything that handlers need. Handing it to a request costs one count.
#[derive(Debug, Clone)]
pub struct AppState(Arc<Parts>);

/// The parts of [`AppState`].
#[derive(Debug)]
pub struct Parts {
    /// Who may do what.
    pub access: Arc<Access>,
    /// Blobs.
    pub blobs: Arc<Blobs>,
    /// Resumable uploads.
    pub uploads: Arc<Uploads>,
    /// Publishing.
    pub publish: Arc<Publish>,
    /// Resolving.
    pub resolve: Arc<Resolve>,
    /// Existing versions.
    pub versions: Arc<Versions>,
    /// Names.
    pub names: Arc<Names>,
    /// Runs of the collector.
    pub runs: Arc<Runs>,
    /// Readiness.
    pub health: Arc<Health>,
    /// How blobs get to clients.
    pub delivery: Delivery,
    /// What clients must keep to.
    pub timeouts: Timeouts,
    /// Places for requests whose bodies are held in memory.
    pub held: Arc<Semaphore>,
    /// Changes under way, which must not end with the connection that asked for them.
    pub tasks: TaskTracker,
}

impl From<Parts> for AppState {
    fn from(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }
}

impl Deref for AppState {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// Lets handlers ask for one part.
macro_rules! parts {
    ($($name:ident: $part:ty),*) => {
        $(impl FromRef<AppState> for $part {
            fn from_ref(state: &AppState) -> Self {
                state.$name.clone()
            }
        })*
    };
}

parts!(
    access: Arc<Access>,
    blobs: Arc<Blobs>,
    resolve: Arc<Resolve>,
    names: Arc<Names>,
    health: Arc<Health>,
    delivery: Delivery,
    timeouts: Timeouts,
    held: Arc<Semaphore>
);

/// How blobs get to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Through the server.
    Stream,
    /// From the store, where it has addresses for that.
    Redirect {
        /// How long an address works.
        valid_for: std::time::Duration,
    },
}

/// How large and how slow a request body may be.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// Bytes of one blob.
    pub blob_size: u64,
    /// Longest pause.
    pub idle: Duration,
    /// Slowest average rate in bytes per second, once `idle` has passed.
    pub min_rate: u64,
    /// How long a resumable upload is kept to which nothing is appended.
    pub uploads_for: Duration,
}

impl Timeouts {
    /// As configured.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            blob_size: config.limits.blob_size.bytes(),
            idle: config.server.idle_timeout,
            min_rate: config.server.min_rate.bytes(),
            uploads_for: config.collector.uploads_for,
        }
    }

    /// The limits of one body of at most `size` bytes.
    pub(super) fn body(&self, size: u64) -> BodyLimits {
        BodyLimits { size, idle: self.idle.std(), min_rate: self.min_rate }
    }
}
