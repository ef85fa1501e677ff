//! Applying a new configuration while the server runs: tokens, who may read blobs, policies of names, sites and their
//! hosts, the log filter.

use std::sync::Arc;

use super::{ServerError, admin_token};
use crate::access::Access;
use crate::config::Config;
use crate::domain::hosts::LiveHosts;
use crate::telemetry::{self, LogFilter};

/// Why a configuration was rejected. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The log filter cannot be parsed.
    #[error("{0}")]
    LogFilter(String),
    /// No tokens are configured any more, and the admin token cannot be read or created.
    #[error(transparent)]
    AdminToken(#[from] ServerError),
}

/// Applies new configurations to a running server.
#[derive(Debug)]
pub struct Reloader {
    /// The configuration in effect.
    running: Config,
    access: Arc<Access>,
    hosts: LiveHosts,
}

impl Reloader {
    pub(super) fn new(running: Config, access: Arc<Access>, hosts: LiveHosts) -> Self {
        Self { running, access, hosts }
    }

    /// Applies the reloadable settings of a valid configuration, all of them or, on an error, none. Logs a warning that
    /// names the settings that need a restart. Blocks briefly if a new admin token has to be written.
    ///
    /// # Errors
    /// A [`ReloadError`].
    pub fn apply(&mut self, newer: &Config) -> Result<(), ReloadError> {
        let next = self.running.reloaded(newer);
        let filter = LogFilter::parse(&next.log.filter).map_err(ReloadError::LogFilter)?;
        // Same rule as at startup: the admin token is valid only while no token is configured.
        let admin = admin_token::find_or_make(&next)?;
        // First: what is cached under other hosts is dropped by the change of the access rules.
        self.hosts.replace(next.hosts());
        self.access.replace(&next.access, next.policies(), admin.as_deref());
        if next.log.filter != self.running.log.filter {
            telemetry::replace_log_filter(filter);
        }
        let (changed, left) = (self.running.differences(&next), next.differences(newer));
        self.running = next;
        tracing::info!(changed = changed.join(", "), "read the configuration again");
        let access = &self.running.access;
        if access.tokens.is_empty() && access.rules.is_empty() && admin.is_none() {
            tracing::warn!("no token is configured, so nothing can be published to this server");
        }
        if !left.is_empty() {
            tracing::warn!(keys = left.join(", "), "these settings change only when the server is started again");
        }
        Ok(())
    }
}
