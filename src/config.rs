//! Configuration: defaults, overridden by a TOML file, environment variables and flags, in this order.
//!
//! Every key of the file can also be set by the environment variable `LARDER__SECTION__KEY` (with two underscores
//! between levels). The configuration never contains secrets: tokens are configured by their hash.

mod access;
mod assets;
mod changes;
mod collector;
mod domains;
mod issuers;
mod load;
mod names;
mod network;
mod remarks;
mod rules;
mod scrub;
mod sites;
mod store;
mod values;

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::domain::Policies;
use crate::domain::hosts::HostTable;
use crate::domain::site::HostName;

pub use access::{Access, Token};
pub use assets::{AssetDelivery, AssetPath, AssetPlace, Assets, Commit};
pub use collector::Collector;
pub use domains::Domains;
pub use issuers::{Issuer, IssuerKind, LONGEST_AGE, SignatureAlgorithm, is_trustworthy};
pub use load::{ConfigError, load};
pub use names::{EarlierFiles, NameRule, Signatures};
pub use network::Network;
pub use rules::{AccessRule, Patterns, RuleGrant, Uses};
pub use scrub::Scrub;
pub use sites::{Previews, Site};
pub use store::{Bucket, Delivery, Store};
pub use values::{Duration, PublicUrl, Size, listen_address};

/// The complete configuration. Its `Default` is used by a server without configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `[server]`: the HTTP server.
    pub server: Server,
    /// `[store]`: the object store.
    pub store: Store,
    /// `[heads]`: staleness of what is known of names.
    pub heads: Heads,
    /// `[cache]`: blobs on a local disk, for a server that is far from its bucket.
    pub cache: Cache,
    /// `[limits]`: maximum sizes and concurrency.
    pub limits: Limits,
    /// `[access]`: tokens and public access.
    pub access: Access,
    /// `[[names]]`: policies of names.
    pub names: Vec<NameRule>,
    /// `[[sites]]`: releases that are served under hosts of their own.
    pub sites: Vec<Site>,
    /// `[domains]`: hosts that are attached through the API.
    pub domains: Domains,
    /// `[assets]`: flat paths.
    pub assets: Assets,
    /// `[collector]`: garbage collection.
    pub collector: Collector,
    /// `[scrub]`: reading stored blobs to find damaged ones.
    pub scrub: Scrub,
    /// `[log]`: filter and format of log lines.
    pub log: Log,
}

/// `[server]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// Address and port to listen on.
    #[serde(deserialize_with = "values::deserialize_listen")]
    pub listen: SocketAddr,
    /// What every address that the server hands out begins with; if absent, they are paths on the host that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_url: Option<PublicUrl>,
    /// The hosts of this interface. Empty for all; needed with `[[sites]]`, which have hosts of their own.
    pub api_hosts: Vec<HostName>,
    /// Maximum number of concurrent connections. When it is reached, a new connection takes the place of the idlest or
    /// slowest one of the client address that has the most.
    pub max_connections: usize,
    /// Proxies whose `X-Forwarded-For` or `Forwarded` header names the client address.
    pub trusted_proxies: Vec<Network>,
    /// Time limit for receiving the head of a request.
    pub header_timeout: Duration,
    /// Maximum pause of a client while sending or receiving a body.
    pub idle_timeout: Duration,
    /// Minimum average rate of an upload or a download in bytes per second, enforced once `idle_timeout` has passed.
    pub min_rate: Size,
    /// How long to keep accepting connections after a signal to stop, while `/readyz` reports not ready.
    pub drain_delay: Duration,
    /// Time limit for finishing requests in progress after that.
    pub drain_timeout: Duration,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            public_url: None,
            api_hosts: Vec::new(),
            max_connections: 1024,
            trusted_proxies: Vec::new(),
            header_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(60),
            min_rate: Size::from_bytes(1024),
            drain_delay: Duration::from_secs(0),
            drain_timeout: Duration::from_secs(25),
        }
    }
}

/// First segments of the server's own paths.
const OWN_PATHS: [&str; 23] = [
    "assets",
    "auth",
    "blobs",
    "catalogs",
    "collector",
    "feeds",
    "healthz",
    "history",
    "livez",
    "manifests",
    "metrics",
    "openapi.json",
    "readyz",
    "refs",
    "robots.txt",
    "sessions",
    "sites",
    "timeless",
    "tls",
    "tuf",
    "uploads",
    "v2",
    "versions",
];

impl Server {
    fn validate(&self, problems: &mut Vec<String>) {
        if self.max_connections == 0 {
            problems.push("server.max_connections must be at least 1".to_owned());
        }
        for (key, value) in [("server.header_timeout", self.header_timeout), ("server.idle_timeout", self.idle_timeout)]
        {
            if value.std().is_zero() {
                problems.push(format!("{key} must be longer than 0s"));
            }
        }
        let path = self.public_url.as_ref().map_or("", PublicUrl::path);
        if let Some(first) = path.split('/').nth(1).filter(|first| OWN_PATHS.contains(first)) {
            let why = "a proxy that removes that path could not be told from one that passes it on";
            problems.push(format!("the path of server.public_url must not begin with /{first}: {why}"));
        }
    }
}

/// `[heads]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Heads {
    /// Maximum staleness: how far reads of a name may lag behind a publish through another server.
    pub max_staleness: Duration,
    /// Longest time that a request with `wait` is kept waiting for a name to change.
    pub max_wait: Duration,
    /// Maximum number of requests that wait at once.
    pub max_waiting: u64,
}

impl Default for Heads {
    fn default() -> Self {
        Self { max_staleness: Duration::from_secs(1), max_wait: Duration::from_secs(60), max_waiting: 512 }
    }
}

/// `[cache]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cache {
    /// The cache directory. Without one there is no cache.
    pub path: Option<PathBuf>,
    /// Maximum total size of the blobs in it.
    pub size: Size,
    /// Blobs that have not been read for this long are evicted.
    pub unused_for: Duration,
}

impl Default for Cache {
    fn default() -> Self {
        Self { path: None, size: Size::from_bytes(10 << 30), unused_for: Duration::from_secs(30 * 24 * 3600) }
    }
}

/// `[limits]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Maximum size of a blob.
    pub blob_size: Size,
    /// Maximum size of a manifest.
    pub manifest_size: Size,
    /// Maximum number of artifacts in a manifest.
    pub artifacts: usize,
    /// Memory for bodies that are received as a whole (manifests, lists of digests); when it is used up, more wait.
    pub body_memory: Size,
    /// Minimum size of a part of a resumable upload, except the last one.
    pub upload_part: Size,
    /// Memory for parts of resumable uploads that are being stored; when it is used up, further parts wait.
    pub upload_memory: Size,
    /// Memory for responses that wait for their clients; those that would need more than a fair share are given up.
    pub response_memory: Size,
    /// Memory for small files of sites and other releases, from which they are answered.
    pub small_files: Size,
}

/// Minimum size of a part that every store accepts, in bytes.
const MIN_PART: u64 = 5 << 20;

/// Minimum memory for bodies, in bytes: a quarter of it is for questions, and holds the longest one.
const MIN_BODY_MEMORY: u64 = 16 << 20;

impl Default for Limits {
    fn default() -> Self {
        Self {
            blob_size: Size::from_bytes(64 << 30),
            manifest_size: Size::from_bytes(4 << 20),
            artifacts: 10_000,
            body_memory: Size::from_bytes(64 << 20),
            upload_part: Size::from_bytes(8 << 20),
            upload_memory: Size::from_bytes(192 << 20),
            response_memory: Size::from_bytes(32 << 20),
            small_files: Size::from_bytes(64 << 20),
        }
    }
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// Filter directives in the syntax of `tracing`.
    pub filter: String,
    /// Format of log lines.
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: "info".into(), format: LogFormat::Auto }
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal, otherwise JSON.
    #[default]
    Auto,
    /// Human-readable text.
    Text,
    /// One JSON object per line.
    Json,
}

impl Config {
    /// Checks the constraints that types cannot express.
    ///
    /// # Errors
    /// All problems that were found.
    pub fn validate(&self) -> Result<(), Vec<String>> {
        let mut problems = Vec::new();
        self.server.validate(&mut problems);
        let limits = &self.limits;
        if limits.artifacts == 0 || limits.manifest_size.bytes() == 0 || limits.blob_size.bytes() == 0 {
            problems.push("limits: every limit must be at least 1".to_owned());
        }
        if limits.manifest_size.bytes() > 1 << 30 {
            problems.push("limits.manifest_size must be at most 1GiB: manifests are read into memory".to_owned());
        }
        if limits.body_memory.bytes() < MIN_BODY_MEMORY || limits.body_memory.bytes() / 2 < limits.manifest_size.bytes()
        {
            let text = "limits.body_memory must be at least 16MiB, and at least twice limits.manifest_size";
            problems.push(text.to_owned());
        }
        if self.heads.max_waiting == 0 {
            problems
                .push("heads.max_waiting must be at least 1; with heads.max_wait = \"0s\" no request waits".to_owned());
        }
        self.store.validate(&mut problems);
        if limits.upload_part.bytes() < MIN_PART || limits.upload_memory < limits.upload_part {
            let text = "limits.upload_part must be at least 5MiB, and limits.upload_memory at least as much as that";
            problems.push(text.to_owned());
        }
        self.access.validate(&mut problems);
        if !self.access.issuers.is_empty() && self.audience().is_none() {
            problems.push("access.audience (or server.public_url) is needed with access.issuers".to_owned());
        }
        names::validate(&self.names, &mut problems);
        self.assets.validate(&self.policies(), &mut problems);
        sites::validate(self, &self.policies(), &mut problems);
        self.collector.validate(&mut problems);
        self.scrub.validate(&mut problems);
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    /// The value of `aud` that identity tokens for this server have; `None` if none is configured.
    #[must_use]
    pub fn audience(&self) -> Option<&str> {
        self.access.audience.as_deref().or(self.server.public_url.as_ref().map(PublicUrl::as_str))
    }

    /// What each host stands for.
    #[must_use]
    pub fn hosts(&self) -> HostTable {
        sites::table(self)
    }

    /// Creates the policies from `[[names]]`.
    #[must_use]
    pub fn policies(&self) -> Policies {
        Policies::new(self.names.iter().map(NameRule::rule).collect())
    }
}

#[cfg(test)]
mod tests;
