//! Taking another configuration over while the server runs: tokens, who may read blobs, policies of names, the log filter.

use std::sync::Arc;

use super::{ServerError, admin_token};
use crate::access::Access;
use crate::config::Config;
use crate::telemetry::{self, LogFilter};

/// Why a configuration cannot be taken over. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The log filter cannot be understood.
    #[error("{0}")]
    LogFilter(String),
    /// There are no tokens any more, and the admin token cannot be read or made.
    #[error(transparent)]
    AdminToken(#[from] ServerError),
}

/// Takes another configuration over.
#[derive(Debug)]
pub struct Reloader {
    /// What the server runs with.
    running: Config,
    access: Arc<Access>,
}

impl Reloader {
    pub(super) fn new(running: Config, access: Arc<Access>) -> Self {
        Self { running, access }
    }

    /// Takes over what can be taken over of a valid configuration, all of it or, if something is wrong with it, nothing.
    /// Names in a warning what needs a restart. Blocks for a moment if a new admin token has to be written.
    ///
    /// # Errors
    /// A [`ReloadError`].
    pub fn apply(&mut self, newer: &Config) -> Result<(), ReloadError> {
        let next = self.running.reloaded(newer);
        let filter = LogFilter::parse(&next.log.filter).map_err(ReloadError::LogFilter)?;
        // As at a start: the admin token counts only while no token is configured.
        let admin = admin_token::find_or_make(&next)?;
        self.access.replace(&next.access, next.policies(), admin.as_deref());
        if next.log.filter != self.running.log.filter {
            telemetry::replace_log_filter(filter);
        }
        let (changed, left) = (self.running.differences(&next), next.differences(newer));
        self.running = next;
        tracing::info!(changed = changed.join(", "), "read the configuration again");
        if self.running.access.tokens.is_empty() && admin.is_none() {
            tracing::warn!("no token is configured, so nothing can be published to this server");
        }
        if !left.is_empty() {
            tracing::warn!(keys = left.join(", "), "these settings change only when the server is started again");
        }
        Ok(())
    }
}
