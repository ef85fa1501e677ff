//! Arguments that all server-side commands share: configuration and store.

use std::path::PathBuf;
use std::sync::Arc;

use super::{CliError, Exit};
use crate::config::{self, Config, ConfigError, Store};
use crate::layout::marker::{GatedStore, LayoutError, Watch};
use crate::server::{self, ServerError};
use crate::store::{FsStore, ObjectStore, PartStore, StoreError, StoreErrorKind};
use crate::telemetry::LogFilter;

/// The configuration, and the data directory that overrides what it says.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Store")]
pub(super) struct Settings {
    /// Data directory, in place of the configured store [default: ./larder-data, if none is configured]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// Configuration file (TOML); variables LARDER__SECTION__KEY override it
    #[arg(long, value_name = "FILE", env = "LARDER_CONFIG")]
    config: Option<PathBuf>,
}

impl Settings {
    /// Loads the effective configuration.
    pub(super) fn load(&self) -> Result<Config, CliError> {
        let mut config = config::load(self.config.as_deref(), environment())?;
        if let Some(path) = &self.data {
            config.store = Store::Fs { path: path.clone() };
        }
        // Only the logging library knows what a filter is, which the configuration must not depend on.
        LogFilter::parse(&config.log.filter)
            .map_err(|why| CliError::new(Exit::Usage, "CONFIG_INVALID", format!("{why}.")))?;
        Ok(config)
    }

    /// Opens the store, which must exist: a command that inspects a store creates nothing, not even a directory.
    pub(super) async fn open_existing(&self) -> Result<Arc<dyn PartStore>, CliError> {
        let config = self.load()?.store;
        open_existing(&config, "give its directory with --data DIR").await
    }
}

/// Wraps the store for a long-running command that writes: it fails as soon as the layout marker no longer allows
/// writes.
pub(super) fn gated(store: Arc<dyn PartStore>) -> Arc<dyn PartStore> {
    let watch = Arc::new(Watch::new(Arc::clone(&store) as Arc<dyn ObjectStore>));
    Arc::new(GatedStore::new(store, watch))
}

/// Opens a store that must exist. `advice` is shown if it does not.
pub(super) async fn open_existing(config: &Store, advice: &str) -> Result<Arc<dyn PartStore>, CliError> {
    let Store::Fs { path } = config else { return Ok(server::open_store(config).await?) };
    if !path.join("objects").is_dir() {
        let detail = format!("There is no store in {}: {advice}.", path.display());
        return Err(CliError::new(Exit::NotFound, "STORE_UNKNOWN", detail));
    }
    Ok(Arc::new(FsStore::open_existing(path)?))
}

/// Environment variables that are valid UTF-8; none of ours can be anything else.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
}

impl From<ConfigError> for CliError {
    fn from(error: ConfigError) -> Self {
        Self::new(Exit::Usage, "CONFIG_INVALID", sentence(&error))
    }
}

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> Self {
        let exit = match error.kind {
            StoreErrorKind::Unavailable => Exit::Unavailable,
            StoreErrorKind::Corrupt => Exit::Integrity,
            StoreErrorKind::Denied
            | StoreErrorKind::Full
            | StoreErrorKind::ReadOnly
            | StoreErrorKind::Newer
            | StoreErrorKind::Stray
            | StoreErrorKind::Unreadable
            | StoreErrorKind::Internal => Exit::Failure,
        };
        Self::new(exit, "STORE", sentence(&error))
    }
}

impl From<LayoutError> for CliError {
    fn from(error: LayoutError) -> Self {
        match error {
            LayoutError::Store(error) => error.into(),
            LayoutError::Unmarked
            | LayoutError::Unfinished
            | LayoutError::TooNew { .. }
            | LayoutError::ReadOnly { .. }
            | LayoutError::TooOld(_) => Self::new(Exit::Failure, "LAYOUT", sentence(&error)),
        }
    }
}

impl From<ServerError> for CliError {
    fn from(error: ServerError) -> Self {
        match error {
            ServerError::Layout(error) => error.into(),
            ServerError::Store(error) => error.into(),
            ServerError::AdminToken { .. } => Self::new(Exit::Failure, "ADMIN_TOKEN", sentence(&error)),
            ServerError::Unfit(_) => Self::new(Exit::Failure, "STORE_UNFIT", sentence(&error)),
            ServerError::Cache { .. } => Self::new(Exit::Failure, "CACHE", sentence(&error)),
            ServerError::Accept(_) => Self::new(Exit::Failure, "LISTEN", sentence(&error)),
        }
    }
}

/// The text of an error as a full sentence.
pub(super) fn sentence(error: &dyn std::error::Error) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    letters.next().map(|first| format!("{}{}.", first.to_uppercase(), letters.as_str())).unwrap_or_default()
}
