//! The server: wiring of the parts, accepting connections, and an orderly shutdown.

mod admin_token;
mod background;
mod collector;
mod connections;
mod dns;
mod keyless;
mod modes;
mod reload;
mod store;
mod supervise;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use crate::access::Access;
use crate::clock::{Clock, StoreClock, SystemClock};
use crate::config::{self, Cache, Config, Store};
use crate::domain::LivePolicies;
use crate::domain::hosts::LiveHosts;
use crate::http::{AppState, BaseUrl, BodyMemory, Delivery, Parts, Timeouts, WaitLimits, app};
use crate::layout::marker::{self, GatedStore, LayoutError, Watch};
use crate::lifecycle::Shutdown;
use crate::protocol::{
    BlobCache, Blobs, ChunkLimits, Chunks, Damaged, Heads, HostLog, KeyRing, Manifests, UploadLimits, Uploads,
};
use crate::service::wares::{ScanLimits, WareChecks};
use crate::service::{
    Assets, Attachments, Catalogs, Domains, Earlier, Histories, Members, Names, Notes, Publish, PublishLimits,
    Repositories, Resolve, Sites, Tuf, Versions,
};
use crate::shares::Shares;
use crate::store::{FsStore, ObjectStore, PartStore, StoreError};
use crate::upkeep::collect::Runs;
use crate::upkeep::probe::Findings;
use crate::upkeep::verify::Source;
use crate::upkeep::{Collect, Health, ScrubOptions};

use background::Background;
use connections::{ResponseMemory, serve};
use dns::DnsLookup;
use keyless::ServerBackend;
use supervise::Supervisor;

pub use collector::{CollectorSchedule, ScheduleStep, settings as collector_settings};
pub use keyless::IssuerDocuments;
pub use modes::keeps_modes;
pub use reload::{ReloadError, Reloader};
pub use store::{open_store, s3_settings};

/// Why a server could not start or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The layout marker is missing, unreadable or not supported by this version.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store breaks a guarantee that Larder relies on; the findings say which.
    #[error(
        "this store cannot be used: {0}. If it cannot create objects only if their key is free, and this is the only \
         process that writes to it, set store.single_writer = true; `larder check-store` tries again"
    )]
    Unfit(Findings),
    /// The admin token file cannot be read or created.
    #[error("cannot use the admin token {path}: {source}")]
    AdminToken {
        /// Path of the token file.
        path: PathBuf,
        /// The I/O error that was returned.
        source: std::io::Error,
    },
    /// The disk cache for blobs cannot be opened.
    #[error("cannot use the cache in {path}: {source}")]
    Cache {
        /// The configured cache directory.
        path: PathBuf,
        /// The I/O error that was returned.
        source: std::io::Error,
    },
    /// The listener failed and cannot accept further connections.
    #[error("cannot accept connections: {0}")]
    Accept(#[from] std::io::Error),
}

/// A server whose store has been opened and checked, but which is not listening yet.
#[derive(Debug)]
pub struct Server {
    config: Config,
    state: AppState,
    background: Background,
}

impl Server {
    /// Opens the configured store and checks its layout. Bind the address first: opening writes to the store, which a
    /// server that cannot listen must not do.
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
        let about = store::probe_store(&config.store, &store, &clock).await?;
        let mut server = Self::over(store, clock, config).await?;
        server.state.health.set_about_store(about);
        server.background.sweeps = sweeps;
        Ok(server)
    }

    /// Like [`Server::open`], with a store and a clock supplied by the caller.
    ///
    /// # Errors
    /// A [`ServerError`].
    pub async fn over(store: Arc<dyn PartStore>, clock: Arc<dyn Clock>, config: Config) -> Result<Self, ServerError> {
        crate::telemetry::start_metrics();
        let read_only = marker::open(&*store).await?.writable().err();
        let watch = Arc::new(Watch::new(Arc::clone(&store) as Arc<dyn ObjectStore>));
        let store: Arc<dyn PartStore> = Arc::new(GatedStore::new(store, Arc::clone(&watch)));
        let objects = Arc::clone(&store) as Arc<dyn ObjectStore>;
        let clock = Arc::new(StoreClock::new(clock));
        match read_only {
            Some(why) => tracing::warn!(%why, "this server only reads"),
            None => background::measure(&objects, &clock).await,
        }
        let cache = open_cache(&config.cache, Arc::clone(&clock) as Arc<dyn Clock>).await?;
        // The last step that can fail: a server that does not start must not leave an admin token behind.
        let admin = admin_token::find_or_make(&config)?;
        let settings = collector_settings(&config);
        let (policies, hosts) = (settings.policies.clone(), settings.hosts.clone());
        let access = Arc::new(access((&objects, &clock), &config, policies, admin.as_deref()));
        // Given the host's clock, because every run of the collector measures the skew against the store itself.
        let collect = || Collect::new(Arc::clone(&store), Arc::clone(clock.host()), settings);
        let collector = config.collector.enabled.then(|| (collect(), config.collector.interval.std()));
        let health = Arc::new(Health::new(Arc::clone(&watch), Arc::clone(&clock)));
        let damaged = cache.as_ref().map_or_else(Arc::default, |cache| Arc::clone(cache.damaged()));
        let known = (cache.clone(), Arc::clone(&damaged));
        let state = state((&store, &clock), &config, (Arc::clone(&access), hosts), known, health);
        let scrub = scrub_options(&config);
        let background =
            Background { store: objects, watch, clock, collector, scrub, damaged, sweeps: None, cache, access };
        Ok(Self { config, state, background })
    }

    /// Sets where damaged blobs are fetched from.
    #[must_use]
    pub fn healing_from(mut self, source: Option<Arc<dyn Source>>) -> Self {
        self.background.scrub.source = source;
        self
    }

    /// A handle that applies a new configuration while the server runs.
    #[must_use]
    pub fn reloader(&self) -> Reloader {
        Reloader::new(self.config.clone(), Arc::clone(&self.state.access), self.state.hosts.clone())
    }

    /// Accepts connections until shutdown is requested, then drains.
    ///
    /// # Errors
    /// When the listener has failed permanently.
    pub async fn serve(self, listener: TcpListener, shutdown: Shutdown) -> Result<(), ServerError> {
        let (health, tasks) = (Arc::clone(&self.state.health), self.state.tasks.clone());
        let stop = shutdown.soft.clone();
        let supervisor = Supervisor { tasks: tasks.clone(), health: Arc::clone(&health), stop };
        self.background.start(&self.state.runs, &self.state.domains, &supervisor);
        let limits = &self.config.limits;
        let memory = ResponseMemory::new(limits.response_memory.bytes());
        let app = app(&self.state, limits.small_files.bytes());
        serve(listener, app, (&self.config.server, memory), &health, &shutdown).await?;
        finish_tasks(&tasks, &shutdown).await;
        tracing::info!("stopped");
        Ok(())
    }
}

/// Path of the admin token file; `None` if this configuration has no admin token.
#[must_use]
pub fn admin_token_file(config: &Config) -> Option<PathBuf> {
    admin_token::file(config)
}

/// Requests at once that cause much work, such as publishing thousands of files; more wait.
const LONG_REQUESTS: u64 = 8;

async fn open_cache(config: &Cache, clock: Arc<dyn Clock>) -> Result<Option<Arc<BlobCache>>, ServerError> {
    let Some(path) = config.path.clone() else { return Ok(None) };
    let (directory, size, unused_for) = (path.clone(), config.size.bytes(), config.unused_for.std());
    let opened = tokio::task::spawn_blocking(move || BlobCache::open(&directory, size, unused_for, clock)).await;
    let cache =
        opened.map_err(std::io::Error::other).flatten().map_err(|source| ServerError::Cache { path, source })?;
    Ok(Some(Arc::new(cache)))
}

fn publish_limits(config: &Config) -> PublishLimits {
    PublishLimits { manifest_bytes: config.limits.manifest_size.bytes(), artifacts: config.limits.artifacts }
}

/// An archive may be twice as large as a blob once it is decompressed.
fn wares(store: &Arc<dyn ObjectStore>, blobs: &Arc<Blobs>, config: &Config) -> Arc<WareChecks> {
    let limits = ScanLimits::new(config.limits.blob_size.bytes().saturating_mul(2));
    Arc::new(WareChecks::new(Arc::clone(store), Arc::clone(blobs), limits))
}

fn state(
    (store, clock): (&Arc<dyn PartStore>, &Arc<StoreClock>),
    config: &Config,
    (access, hosts): (Arc<Access>, LiveHosts),
    (cache, damaged): (Option<Arc<BlobCache>>, Arc<Damaged>),
    health: Arc<Health>,
) -> AppState {
    let clock: Arc<dyn Clock> = Arc::clone(clock) as Arc<dyn Clock>;
    let parts = Arc::clone(store);
    let store = &(Arc::clone(store) as Arc<dyn ObjectStore>);
    let seen_after = config.collector.min_age.signed() / 2;
    let blobs = Blobs::new(Arc::clone(store), Arc::clone(&clock), seen_after).with_cache(cache).with_damaged(damaged);
    let blobs = Arc::new(blobs.with_max_staleness(config.heads.max_staleness.std()));
    let manifests = Arc::new(Manifests::new(Arc::clone(&blobs)));
    let heads = heads((store, Arc::clone(&clock)), config, access.policies(), &manifests);
    let resolve = Arc::new(Resolve::new(Arc::clone(&heads), Arc::clone(&manifests)));
    let earlier = Arc::new(Earlier::new(Arc::clone(&heads), Arc::clone(&manifests)));
    let wares = wares(store, &blobs, config);
    let publish = Publish::new(Arc::clone(&heads), Arc::clone(&blobs), manifests, publish_limits(config));
    let sites = Arc::new(Sites::new(Arc::clone(&resolve), Arc::clone(&earlier), Arc::clone(&blobs)));
    let publish = Arc::new(publish.with_wares(Arc::clone(&wares)).with_sites(Arc::clone(&sites)));
    let versions = Arc::new(Versions::new(Arc::clone(&heads), Arc::clone(&resolve), Arc::clone(&publish)));
    let repositories =
        Repositories::new(Arc::clone(&heads), Arc::clone(&blobs), Arc::clone(&publish), Arc::clone(&versions));
    let (catalogs, tuf) = catalogs((store, &clock), &resolve, &blobs, wares);
    AppState::from(Parts {
        access,
        repositories: Arc::new(repositories),
        notes: Arc::new(Notes::new(Arc::clone(&blobs))),
        assets: Arc::new(Assets::new(Arc::clone(&publish), Arc::clone(&resolve), Arc::clone(&blobs))),
        asset_paths: Arc::new(config.assets.clone()),
        domains: domains((store, &clock), &hosts, config),
        hosts,
        sites,
        catalogs,
        tuf,
        attachments: Arc::new(Attachments::new(Arc::clone(&heads), Arc::clone(&blobs), Arc::clone(&resolve))),
        uploads: Arc::new(Uploads::new(parts, Arc::clone(&blobs), upload_limits(config))),
        chunks: chunks((store, Arc::clone(&clock)), &blobs, config),
        blobs,
        publish,
        resolve,
        earlier,
        versions,
        histories: Arc::new(Histories::new(Arc::clone(&heads))),
        members: Arc::new(Members::new(Arc::clone(store), Arc::clone(&heads))),
        names: Arc::new(Names::new(Arc::clone(store), heads)),
        runs: Arc::new(Runs::new(Arc::clone(store))),
        health,
        base: BaseUrl::new(config.server.public_url.clone()),
        delivery: delivery(&config.store),
        timeouts: Timeouts::new(config),
        memory: BodyMemory::new(config.limits.body_memory.bytes()),
        turns: Shares::new(LONG_REQUESTS),
        waiting: WaitLimits::new(config),
        tasks: TaskTracker::new(),
    })
}

fn catalogs(
    (store, clock): (&Arc<dyn ObjectStore>, &Arc<dyn Clock>),
    resolve: &Arc<Resolve>,
    blobs: &Arc<Blobs>,
    wares: Arc<WareChecks>,
) -> (Arc<Catalogs>, Arc<Tuf>) {
    let catalogs = Arc::new(Catalogs::new(Arc::clone(resolve), Arc::clone(blobs), wares));
    let keys = KeyRing::new(Arc::clone(store), Arc::clone(clock));
    let tuf = Tuf::new(Arc::clone(&catalogs), keys, Arc::clone(clock));
    (catalogs, Arc::new(tuf))
}

fn domains(
    (store, clock): (&Arc<dyn ObjectStore>, &Arc<dyn Clock>),
    hosts: &LiveHosts,
    config: &Config,
) -> Arc<Domains> {
    let log = HostLog::new(Arc::clone(store), Arc::clone(clock), config.heads.max_staleness.std());
    let lookup = Arc::new(DnsLookup::new(&config.domains.name_servers));
    Arc::new(Domains::new(log, hosts.clone(), lookup, Arc::clone(clock)))
}

fn heads(
    (store, clock): (&Arc<dyn ObjectStore>, Arc<dyn Clock>),
    config: &Config,
    policies: &LivePolicies,
    manifests: &Arc<Manifests>,
) -> Arc<Heads> {
    let heads = Heads::new(Arc::clone(store), clock).with_max_staleness(config.heads.max_staleness.std());
    Arc::new(heads.with_policies(policies.clone()).with_manifests(Arc::clone(manifests)))
}

fn upload_limits(config: &Config) -> UploadLimits {
    UploadLimits {
        part_size: config.limits.upload_part.bytes(),
        blob_size: config.limits.blob_size.bytes(),
        memory: config.limits.upload_memory.bytes(),
    }
}

fn chunks((store, clock): (&Arc<dyn ObjectStore>, Arc<dyn Clock>), blobs: &Arc<Blobs>, config: &Config) -> Arc<Chunks> {
    let limits =
        ChunkLimits { blob_size: config.limits.blob_size.bytes(), kept_for: config.collector.uploads_for.signed() };
    Arc::new(Chunks::new(Arc::clone(store), Arc::clone(blobs), clock, limits))
}

/// Bytes per second that the scrub of a directory reads by default: a tenth of a hard disk's speed.
const SCRUB_RATE: u64 = 16 << 20;

fn scrub_options(config: &Config) -> ScrubOptions {
    let by_default = match &config.store {
        Store::Fs { .. } => SCRUB_RATE,
        Store::S3(_) => 0,
    };
    let config = &config.scrub;
    let rate = config.rate.map_or(by_default, config::Size::bytes);
    ScrubOptions { rate, every: config.every.std(), source: None, condemn: config.condemn }
}

/// Identity tokens are for the public address unless the configuration says otherwise.
fn access(
    (store, clock): (&Arc<dyn ObjectStore>, &Arc<StoreClock>),
    config: &Config,
    policies: LivePolicies,
    admin: Option<&str>,
) -> Access {
    let clock = Arc::clone(clock) as Arc<dyn Clock>;
    let backend = Arc::new(ServerBackend::new(store, Arc::clone(&clock)));
    let audience = config.server.public_url.as_ref().map(|url| url.as_str().to_owned());
    Access::new(&config.access, policies, admin, clock).with_keyless(backend, audience, &config.access, admin)
}

fn delivery(store: &Store) -> Delivery {
    match store {
        Store::S3(bucket) if bucket.delivery == config::Delivery::Redirect => {
            Delivery::Redirect { valid_for: bucket.redirect_for.std() }
        }
        Store::S3(_) | Store::Fs { .. } => Delivery::Stream,
    }
}

/// Waits for changes in progress, which outlive the connections that requested them. They are short, so only a hard
/// shutdown cuts the wait off.
async fn finish_tasks(tasks: &TaskTracker, shutdown: &Shutdown) {
    tasks.close();
    tokio::select! {
        () = tasks.wait() => {}
        () = shutdown.hard.cancelled() => {}
    }
}
