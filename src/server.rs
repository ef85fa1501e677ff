//! The server: parts put together, connections accepted, and an orderly end.

mod admin_token;
mod collector;
mod connections;
mod store;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::access::Access;
use crate::clock::{Clock, SystemClock};
use crate::config::{self, Cache, Config, Store};
use crate::http::{AppState, Delivery, Parts, Timeouts, app};
use crate::layout::marker::{self, LayoutError};
use crate::lifecycle::Shutdown;
use crate::protocol::{BlobCache, Blobs, Heads, Manifests, UploadLimits, Uploads};
use crate::service::{Names, Publish, PublishLimits, Resolve, Versions};
use crate::store::{FsStore, ObjectStore, PartStore, StoreError};
use crate::upkeep::Collect;
use crate::upkeep::Health;
use crate::upkeep::collect::Runs;
use crate::upkeep::probe::Findings;

use connections::serve;

pub use collector::{CollectorSchedule, ScheduleStep, settings as collector_settings};
pub use store::{open_store, s3_settings};

/// How often staged files of dead writers, and blobs that nobody reads any more, are looked for.
const SWEEP_EVERY: std::time::Duration = std::time::Duration::from_hours(1);

/// How often metrics are summed up.
const SUM_UP_EVERY: std::time::Duration = std::time::Duration::from_secs(5);

/// Why a server could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The store cannot be used.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store does not keep what Larder relies on.
    #[error(
        "this store cannot be used: {0}. If it cannot create objects only if their key is free, and this is the only \
         process that writes to it, set store.single_writer = true; `larder check-store` tries again"
    )]
    Unfit(Findings),
    /// The admin token cannot be read or made.
    #[error("cannot use the admin token {path}: {source}")]
    AdminToken {
        /// Its file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The cache cannot be used.
    #[error("cannot use the cache in {path}: {source}")]
    Cache {
        /// Its directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The listener failed.
    #[error("cannot accept connections: {0}")]
    Accept(#[from] std::io::Error),
}

/// A server whose store was opened and checked, but that does not listen yet.
#[derive(Debug)]
pub struct Server {
    config: Config,
    state: AppState,
    /// The collector and its turns, if this server collects.
    collector: Option<(Collect, Arc<dyn Clock>)>,
    /// The store, if dead writers leave files behind in it.
    sweeps: Option<FsStore>,
    cache: Option<Arc<BlobCache>>,
}

impl Server {
    /// Opens the store that is configured and checks its layout.
    ///
    /// # Errors
    /// A [`ServerError`].
    pub async fn open(config: Config) -> Result<Self, ServerError> {
        crate::telemetry::start_metrics();
        let sweeps = match &config.store {
            Store::Fs { path } => Some(FsStore::open(path)?),
            Store::S3(_) => None,
        };
        let store = match &sweeps {
            Some(store) => Arc::new(store.clone()),
            None => open_store(&config.store).await?,
        };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let about = store::look_over(&config.store, &store, &clock).await?;
        let server = Self::over(store, clock, config).await?;
        server.state.health.set_about_store(about);
        Ok(Self { sweeps, ..server })
    }

    /// Like [`Server::open`], over a store and a clock of the caller's.
    ///
    /// # Errors
    /// A [`ServerError`].
    pub async fn over(store: Arc<dyn PartStore>, clock: Arc<dyn Clock>, config: Config) -> Result<Self, ServerError> {
        crate::telemetry::start_metrics();
        marker::open(&*store).await?;
        let admin = admin_token::find_or_make(&config)?;
        let access = Arc::new(Access::new(&config.access, admin.as_deref()));
        let collect = || Collect::new(Arc::clone(&store), Arc::clone(&clock), collector_settings(&config));
        let collector = config.collector.enabled.then(|| (collect(), Arc::clone(&clock)));
        let cache = open_cache(&config.cache, Arc::clone(&clock)).await?;
        let state = state(store, clock, &config, access, cache.clone());
        Ok(Self { config, state, collector, sweeps: None, cache })
    }

    /// Accepts connections until told to stop, then drains.
    ///
    /// # Errors
    /// When the listener is broken for good.
    pub async fn serve(self, listener: TcpListener, shutdown: Shutdown) -> Result<(), ServerError> {
        if let Some(store) = self.sweeps {
            sweep_staging(store, shutdown.clone());
        }
        sum_up_metrics(shutdown.clone());
        if let Some(cache) = self.cache {
            tidy_cache(cache, shutdown.clone());
        }
        let (health, tasks) = (Arc::clone(&self.state.health), self.state.tasks.clone());
        if let Some((collect, clock)) = self.collector {
            let interval = self.config.collector.interval.std();
            let turns = CollectorSchedule::new(Arc::clone(&self.state.runs), clock, interval, shutdown.soft.clone());
            tasks.spawn(collector::run(collect, turns, Arc::clone(&health)));
        }
        serve(listener, app(self.state), &self.config.server, &health, &shutdown).await?;
        finish_tasks(&tasks, &shutdown).await;
        tracing::info!("stopped");
        Ok(())
    }
}

/// Where the admin token of a server without configured tokens is.
#[must_use]
pub fn admin_token_file(config: &Config) -> Option<PathBuf> {
    admin_token::file(config)
}

async fn open_cache(config: &Cache, clock: Arc<dyn Clock>) -> Result<Option<Arc<BlobCache>>, ServerError> {
    let Some(path) = config.path.clone() else { return Ok(None) };
    let (directory, size, unused_for) = (path.clone(), config.size.bytes(), config.unused_for.std());
    let opened = tokio::task::spawn_blocking(move || BlobCache::open(&directory, size, unused_for, clock)).await;
    let cache =
        opened.map_err(std::io::Error::other).flatten().map_err(|source| ServerError::Cache { path, source })?;
    Ok(Some(Arc::new(cache)))
}

fn state(
    parts: Arc<dyn PartStore>,
    clock: Arc<dyn Clock>,
    config: &Config,
    access: Arc<Access>,
    cache: Option<Arc<BlobCache>>,
) -> AppState {
    let store = Arc::clone(&parts) as Arc<dyn ObjectStore>;
    let limits =
        PublishLimits { manifest_bytes: config.limits.manifest_size.bytes(), artifacts: config.limits.artifacts };
    let seen_after = config.collector.min_age.signed() / 2;
    let heads = Arc::new(
        Heads::new(Arc::clone(&store), Arc::clone(&clock)).with_max_staleness(config.heads.max_staleness.std()),
    );
    let blobs = Arc::new(Blobs::new(Arc::clone(&store), clock, seen_after).with_cache(cache));
    let upload_limits = UploadLimits {
        part_size: config.limits.upload_part.bytes(),
        blob_size: config.limits.blob_size.bytes(),
        memory: config.limits.upload_memory.bytes(),
    };
    let uploads = Arc::new(Uploads::new(parts, Arc::clone(&blobs), upload_limits));
    let manifests = Arc::new(Manifests::new(Arc::clone(&blobs)));
    let resolve = Arc::new(Resolve::new(Arc::clone(&heads), Arc::clone(&manifests)));
    let publish = Arc::new(Publish::new(Arc::clone(&heads), Arc::clone(&blobs), manifests, limits));
    let versions = Arc::new(Versions::new(Arc::clone(&heads), Arc::clone(&resolve), Arc::clone(&publish)));
    AppState::from(Parts {
        access,
        blobs,
        uploads,
        publish,
        resolve,
        versions,
        names: Arc::new(Names::new(Arc::clone(&store), heads)),
        runs: Arc::new(Runs::new(Arc::clone(&store))),
        health: Arc::new(Health::new(store)),
        delivery: delivery(&config.store),
        timeouts: Timeouts::new(config),
        held: Arc::new(Semaphore::new(config.limits.bodies_in_memory)),
        tasks: TaskTracker::new(),
    })
}

fn delivery(store: &Store) -> Delivery {
    match store {
        Store::S3(bucket) if bucket.delivery == config::Delivery::Redirect => {
            Delivery::Redirect { valid_for: bucket.redirect_for.std() }
        }
        Store::S3(_) | Store::Fs { .. } => Delivery::Stream,
    }
}

/// Changes under way go on without the connections that asked for them; they are short.
async fn finish_tasks(tasks: &TaskTracker, shutdown: &Shutdown) {
    tasks.close();
    tokio::select! {
        () = tasks.wait() => {}
        () = shutdown.hard.cancelled() => {}
    }
}

fn sum_up_metrics(shutdown: Shutdown) {
    tokio::spawn(async move {
        while !shutdown.soft.is_cancelled() {
            crate::telemetry::sum_up_metrics();
            tokio::time::sleep(SUM_UP_EVERY).await;
        }
    });
}

fn tidy_cache(cache: Arc<BlobCache>, shutdown: Shutdown) {
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = tokio::time::sleep(SWEEP_EVERY) => cache.tidy().await,
                () = shutdown.soft.cancelled() => return,
            }
        }
    });
}

fn sweep_staging(store: FsStore, shutdown: Shutdown) {
    tokio::spawn(async move {
        loop {
            match store.sweep_staging().await {
                Ok(0) => {}
                Ok(files) => tracing::info!(files, "removed staged files of writers that died"),
                Err(error) => tracing::warn!(%error, "could not sweep the staging directory"),
            }
            tokio::select! {
                () = tokio::time::sleep(SWEEP_EVERY) => {}
                () = shutdown.soft.cancelled() => return,
            }
        }
    });
}
