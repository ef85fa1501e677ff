//! The HTTP interface: routes, header rules and the one place where errors become answers.
//!
//! Handlers extract, call a service and map its answer; they decide nothing. Must never touch the store.

mod blobs;
mod body;
mod caching;
mod collector;
mod conditional;
mod error;
mod extract;
mod health;
mod index;
mod layers;
mod manifests;
mod negotiate;
mod pages;
mod range;
mod refs;
mod sessions;
mod versions;

use std::sync::Arc;

use axum::Router;
use axum::extract::FromRef;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::access::Access;
use crate::config::{Config, Duration};
use crate::service::collect::Runs;
use crate::service::{Blobs, Names, Publish, Resolve, Versions};

pub use error::ApiError;
pub use health::Health;

/// Everything that handlers need.
#[derive(Debug, Clone, FromRef)]
pub struct AppState {
    /// Who may do what.
    pub access: Arc<Access>,
    /// Blobs.
    pub blobs: Arc<Blobs>,
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
    pub patience: Patience,
    /// Places for requests whose bodies are held in memory.
    pub held: Arc<Semaphore>,
    /// Changes under way, which must not end with the connection that asked for them.
    pub tasks: TaskTracker,
}

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
pub struct Patience {
    /// Bytes of one blob.
    pub blob_size: u64,
    /// Longest pause.
    pub idle: Duration,
    /// Slowest average rate in bytes per second, once `idle` has passed.
    pub min_rate: u64,
}

impl Patience {
    /// As configured.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            blob_size: config.limits.blob_size.bytes(),
            idle: config.server.idle_timeout,
            min_rate: config.server.min_rate.bytes(),
        }
    }
}

/// All routes with all layers.
pub fn router(state: AppState) -> Router {
    let routes = Router::new()
        .merge(index::routes())
        .merge(blobs::routes())
        .merge(manifests::routes())
        .merge(sessions::routes())
        .merge(versions::routes())
        .merge(refs::routes())
        .merge(collector::routes())
        .merge(health::routes())
        .fallback(async || ApiError::no_route())
        .method_not_allowed_fallback(async || ApiError::method_not_allowed());
    layers::wrap(routes).with_state(state)
}

/// Runs a change to its end even if the client goes away, so that nothing is left half done.
async fn to_its_end<T: Send + 'static>(
    tasks: &TaskTracker,
    work: impl Future<Output = Result<T, ApiError>> + Send + 'static,
) -> Result<T, ApiError> {
    tasks.spawn(work.in_current_span()).await.unwrap_or_else(|_| Err(ApiError::internal("a change ended abnormally")))
}
