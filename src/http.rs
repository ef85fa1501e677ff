//! The HTTP interface: routes, header rules and the one place where errors become answers.
//!
//! Handlers extract, call a service and map its answer; they decide nothing. Must never touch the store.

mod app;
mod blobs;
mod body;
mod caching;
mod collector;
pub mod conditional;
mod error;
mod extract;
mod health;
mod index;
mod layers;
mod manifests;
mod negotiate;
mod pages;
pub mod range;
mod refs;
mod repeats;
mod sessions;
mod upload_problems;
mod uploads;
mod versions;

use std::ops::Deref;
use std::sync::Arc;

use axum::Router;
use axum::extract::FromRef;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::access::Access;
use crate::config::{Config, Duration};
use crate::service::collect::Runs;
use crate::service::{Blobs, Names, Publish, Resolve, Uploads, Versions};

pub use app::{Answering, App};
pub use error::ApiError;
pub use health::Health;
use layers::Surroundings;

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
    pub patience: Patience,
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
    patience: Patience,
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
pub struct Patience {
    /// Bytes of one blob.
    pub blob_size: u64,
    /// Longest pause.
    pub idle: Duration,
    /// Slowest average rate in bytes per second, once `idle` has passed.
    pub min_rate: u64,
    /// How long a resumable upload is kept to which nothing is appended.
    pub uploads_for: Duration,
}

impl Patience {
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
}

/// The application: all routes and what surrounds them.
#[must_use]
pub fn app(state: AppState) -> App {
    let surroundings = Arc::new(Surroundings::new(Arc::clone(&state.resolve)));
    let routes = Router::new()
        .merge(index::routes())
        .merge(blobs::routes())
        .merge(uploads::routes())
        .merge(manifests::routes())
        .merge(sessions::routes())
        .merge(versions::routes())
        .merge(refs::routes())
        .merge(collector::routes())
        .merge(health::routes())
        .fallback(async || ApiError::no_route())
        .method_not_allowed_fallback(async || ApiError::method_not_allowed());
    App::new(layers::wrap(routes, &surroundings).with_state(state), surroundings)
}

/// Runs a change to its end even if the client goes away, so that nothing is left half done.
async fn to_its_end<T: Send + 'static>(
    tasks: &TaskTracker,
    work: impl Future<Output = Result<T, ApiError>> + Send + 'static,
) -> Result<T, ApiError> {
    tasks.spawn(work.in_current_span()).await.unwrap_or_else(|_| Err(ApiError::internal("a change ended abnormally")))
}
