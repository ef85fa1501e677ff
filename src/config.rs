//! Configuration: defaults, then a TOML file, then the environment, then flags.
//!
//! Every key of the file can be set from the environment as `LARDER__SECTION__KEY` (two underscores between
//! levels). Secrets are never part of it: tokens are configured by their hash.

mod access;
mod changes;
mod collector;
mod load;
mod names;
mod remarks;
mod store;
mod values;

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::domain::Policies;

pub use access::{Access, Token};
pub use collector::Collector;
pub use load::{ConfigError, load};
pub use names::NameRule;
pub use store::{Bucket, Delivery, Store};
pub use values::{Duration, Size};

/// Everything that can be configured. Its default is what an unconfigured server runs with.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The HTTP server.
    pub server: Server,
    /// Where everything is stored.
    pub store: Store,
    /// How old what is known of a name may be.
    pub heads: Heads,
    /// Blobs on a local disk, for a server that is far from its bucket.
    pub cache: Cache,
    /// How large things may be.
    pub limits: Limits,
    /// Who may do what.
    pub access: Access,
    /// Policies of names.
    pub names: Vec<NameRule>,
    /// How bytes that nobody needs are given back.
    pub collector: Collector,
    /// What is logged.
    pub log: Log,
}

/// `[server]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// Address and port to listen on.
    pub listen: SocketAddr,
    /// Connections served at once; more wait to be accepted.
    pub max_connections: usize,
    /// Time for a client to send the head of a request.
    pub header_timeout: Duration,
    /// Longest pause of a client in sending or receiving a body.
    pub idle_timeout: Duration,
    /// Slowest average rate of an upload, per second, once `idle_timeout` has passed.
    pub min_rate: Size,
    /// How long to go on accepting connections after a signal to stop, while `/readyz` says no.
    pub drain_delay: Duration,
    /// How long requests under way may take to finish then.
    pub drain_timeout: Duration,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            max_connections: 1024,
            header_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(60),
            min_rate: Size::from_bytes(1024),
            drain_delay: Duration::from_secs(0),
            drain_timeout: Duration::from_secs(25),
        }
    }
}

/// `[heads]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Heads {
    /// How far reads of a name may be behind what another server published.
    pub max_staleness: Duration,
}

impl Default for Heads {
    fn default() -> Self {
        Self { max_staleness: Duration::from_secs(1) }
    }
}

/// `[cache]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cache {
    /// Its directory. Without one there is no cache.
    pub path: Option<PathBuf>,
    /// Most bytes of blobs in it.
    pub size: Size,
    /// What nobody has read for so long is given up.
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
    /// Bytes of one blob.
    pub blob_size: Size,
    /// Bytes of one manifest.
    pub manifest_size: Size,
    /// Artifacts of one manifest.
    pub artifacts: usize,
    /// Requests at once whose bodies are held in memory (manifests, lists of digests); more wait.
    pub bodies_in_memory: usize,
    /// Fewest bytes of a part of a resumable upload that is not the last one.
    pub upload_part: Size,
    /// Memory for parts of resumable uploads on their way to the store; who finds none waits.
    pub upload_memory: Size,
}

/// Fewest bytes of a part that every store takes.
const MIN_PART: u64 = 5 << 20;

impl Default for Limits {
    fn default() -> Self {
        Self {
            blob_size: Size::from_bytes(64 << 30),
            manifest_size: Size::from_bytes(4 << 20),
            artifacts: 10_000,
            bodies_in_memory: 16,
            upload_part: Size::from_bytes(8 << 20),
            upload_memory: Size::from_bytes(192 << 20),
        }
    }
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// What is logged, as tracing's filter directives.
    pub filter: String,
    /// How.
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
    /// Text on a terminal, else JSON.
    #[default]
    Auto,
    /// Text.
    Text,
    /// One JSON object a line.
    Json,
}

impl Config {
    /// Checks what the types cannot, and names every problem.
    ///
    /// # Errors
    /// All problems.
    pub fn validate(&self) -> Result<(), Vec<String>> {
        let mut problems = Vec::new();
        if self.server.max_connections == 0 {
            problems.push("server.max_connections must be at least 1".to_owned());
        }
        for (key, value) in
            [("server.header_timeout", self.server.header_timeout), ("server.idle_timeout", self.server.idle_timeout)]
        {
            if value.std().is_zero() {
                problems.push(format!("{key} must be longer than 0s"));
            }
        }
        let limits = &self.limits;
        let smallest = limits.artifacts.min(limits.bodies_in_memory);
        if smallest == 0 || limits.manifest_size.bytes() == 0 || limits.blob_size.bytes() == 0 {
            problems.push("limits: every limit must be at least 1".to_owned());
        }
        if limits.manifest_size.bytes() > 1 << 30 {
            problems.push("limits.manifest_size must be at most 1GiB: manifests are read into memory".to_owned());
        }
        self.store.validate(&mut problems);
        if limits.upload_part.bytes() < MIN_PART || limits.upload_memory < limits.upload_part {
            let text = "limits.upload_part must be at least 5MiB, and limits.upload_memory at least as much as that";
            problems.push(text.to_owned());
        }
        self.access.validate(&mut problems);
        names::validate(&self.names, &mut problems);
        self.collector.validate(&mut problems);
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    /// The policies of names.
    #[must_use]
    pub fn policies(&self) -> Policies {
        Policies::new(self.names.iter().map(NameRule::rule).collect())
    }
}

#[cfg(test)]
mod tests;
