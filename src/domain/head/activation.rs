//! Activation history: the most recent part, available without reading the log.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::Carried;

/// Maximum number of activations that a head records.
pub const MAX_ACTIVATIONS: usize = 16;

/// A period during which a version was active.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activation {
    /// Number of the version.
    pub version: u64,
    /// When it became active.
    pub at: Timestamp,
    /// When it stopped being active; absent while it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Members that this binary does not know.
    #[serde(flatten)]
    pub other: Carried,
}

/// Ends the current activation, if there is one.
pub(super) fn close(activations: &mut [Activation], now: Timestamp) {
    if let Some(open) = activations.first_mut().filter(|newest| newest.until.is_none()) {
        open.until = Some(now);
    }
}

/// Starts an activation of `version`.
pub(super) fn open(activations: &mut Vec<Activation>, version: u64, now: Timestamp) {
    close(activations, now);
    activations.truncate(MAX_ACTIVATIONS - 1);
    activations.insert(0, Activation { version, at: now, until: None, other: Carried::default() });
}
