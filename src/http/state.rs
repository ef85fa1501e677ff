//! State of the handlers: services, limits and time-outs.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use axum::extract::FromRef;
use tokio_util::task::TaskTracker;

use super::rfc::body::BodyLimits;
use crate::access::Access;
use crate::config::{self, Config, Duration, PublicUrl};
use crate::domain::hosts::LiveHosts;
use crate::protocol::{Blobs, Chunks, Uploads};
use crate::service::{
    Assets, Attachments, Catalogs, Domains, Earlier, Histories, Members, Names, Notes, Publish, Repositories, Resolve,
    Sites, Tuf, Versions,
};
use crate::shares::{Memory, Shares};
use crate::upkeep::Health;
use crate::upkeep::collect::Runs;

/// The services and limits that handlers use. Cloning it costs one reference count.
#[derive(Debug, Clone)]
pub struct AppState(Arc<Parts>);

/// The parts of [`AppState`], each of which handlers can extract.
#[derive(Debug)]
pub struct Parts {
    /// Identification of callers, and their permissions.
    pub access: Arc<Access>,
    /// Blobs in the store and in the disk cache.
    pub blobs: Arc<Blobs>,
    /// Resumable uploads, over several requests and servers.
    pub uploads: Arc<Uploads>,
    /// Uploads in chunks whose digest is stated last.
    pub chunks: Arc<Chunks>,
    /// Publishing: in one request, or prepared and committed in a session.
    pub publish: Arc<Publish>,
    /// Resolution of `NAME[@SELECTOR]` to a version and its manifest.
    pub resolve: Arc<Resolve>,
    /// Files that the active version of a name lacks, of versions that were active before.
    pub earlier: Arc<Earlier>,
    /// Operations on existing versions: history, promotion, pins, retirement.
    pub versions: Arc<Versions>,
    /// Signatures and other statements attached to versions.
    pub attachments: Arc<Attachments>,
    /// What was done to names, by whom, when and why.
    pub histories: Arc<Histories>,
    /// Versions found by the digest of their manifest.
    pub members: Arc<Members>,
    /// Repositories as registry clients see them.
    pub repositories: Arc<Repositories>,
    /// Publishing of flat layouts.
    pub assets: Arc<Assets>,
    /// Which flat paths stand for which names.
    pub asset_paths: Arc<config::Assets>,
    /// What each host stands for.
    pub hosts: LiveHosts,
    /// Hosts that are attached through the API.
    pub domains: Arc<Domains>,
    /// Signed lists of releases.
    pub catalogs: Arc<Catalogs>,
    /// Catalogs as repositories of TUF.
    pub tuf: Arc<Tuf>,
    /// Releases as sites.
    pub sites: Arc<Sites>,
    /// Listing and deletion of names.
    pub names: Arc<Names>,
    /// Release notes of versions.
    pub notes: Arc<Notes>,
    /// Reports and plans of the collector's runs.
    pub runs: Arc<Runs>,
    /// Readiness of this server, for `/readyz`.
    pub health: Arc<Health>,
    /// What every address in a response begins with.
    pub base: BaseUrl,
    /// Whether blobs are streamed or delivered by redirects to the store.
    pub delivery: Delivery,
    /// Limits on the size and slowness of request bodies.
    pub timeouts: Timeouts,
    /// Memory for request bodies that are received as a whole.
    pub memory: BodyMemory,
    /// Turns of requests that cause much work, such as publishing thousands of files. Owners share them.
    pub turns: Shares,
    /// Bounds on requests that wait for a name to change.
    pub waiting: WaitLimits,
    /// Changes in progress, which must outlive the connections that requested them.
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

/// Lets handlers extract single parts of the state.
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
    domains: Arc<Domains>,
    resolve: Arc<Resolve>,
    names: Arc<Names>,
    notes: Arc<Notes>,
    health: Arc<Health>,
    hosts: LiveHosts,
    base: BaseUrl,
    delivery: Delivery,
    timeouts: Timeouts
);

/// What every address in a response begins with: the configured public URL, or nothing, so that addresses are paths on
/// the host that the client asked. Has no trailing slash.
#[derive(Debug, Clone, Default)]
pub struct BaseUrl(Option<Arc<PublicUrl>>);

impl BaseUrl {
    /// The base for a configured public URL.
    #[must_use]
    pub fn new(url: Option<PublicUrl>) -> Self {
        Self(url.map(Arc::new))
    }

    /// The public URL, if there is one.
    pub(super) fn url(&self) -> Option<&PublicUrl> {
        self.0.as_deref()
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url().map_or(Ok(()), |url| f.write_str(url.as_str()))
    }
}

/// How blobs are delivered to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Through this server.
    Stream,
    /// By a redirect to a presigned URL, if the store supports them.
    Redirect {
        /// Validity of a presigned URL.
        valid_for: std::time::Duration,
    },
}

/// Longest wait for the memory of a body.
const MEMORY_WITHIN: std::time::Duration = std::time::Duration::from_secs(30);

/// Memory for request bodies that are received as a whole. Separate, so that neither kind delays the other.
#[derive(Debug, Clone)]
pub struct BodyMemory {
    /// For manifests.
    pub manifests: Memory,
    /// For lists of digests and whatever else is small.
    pub questions: Memory,
}

impl BodyMemory {
    /// So many bytes in all, a quarter of them for questions.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        let memory = |bytes| Memory::new(bytes, MEMORY_WITHIN);
        Self { manifests: memory(bytes - bytes / 4), questions: memory(bytes / 4) }
    }
}

/// Bounds on requests that wait for a name to change.
#[derive(Debug, Clone)]
pub struct WaitLimits {
    /// Longest wait; a request that asks for more waits this long.
    pub longest: std::time::Duration,
    /// Places to wait at. Owners share them: callers with a token, and client addresses of those without.
    pub places: Shares,
}

impl WaitLimits {
    /// The configured bounds.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self { longest: config.heads.max_wait.std(), places: Shares::new(config.heads.max_waiting) }
    }
}

/// Limits on the size and slowness of request bodies.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// Largest blob, in bytes.
    pub blob_size: u64,
    /// Longest pause between two frames of a body.
    pub idle: Duration,
    /// Lowest acceptable average rate in bytes per second, enforced once `idle` has passed.
    pub min_rate: u64,
    /// How long a resumable upload is kept after its last append.
    pub uploads_for: Duration,
}

impl Timeouts {
    /// The configured limits.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            blob_size: config.limits.blob_size.bytes(),
            idle: config.server.idle_timeout,
            min_rate: config.server.min_rate.bytes(),
            uploads_for: config.collector.uploads_for,
        }
    }

    /// Limits for a body of at most `size` bytes.
    pub(super) fn body(&self, size: u64) -> BodyLimits {
        BodyLimits { size, idle: self.idle.std(), min_rate: self.min_rate }
    }
}
