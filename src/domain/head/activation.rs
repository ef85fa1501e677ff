//! Which versions were active, and when: the latest part of a name's story, without reading its log.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::Carried;

/// Activations that a head remembers.
pub const MAX_ACTIVATIONS: usize = 16;

/// A time during which a version was active.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activation {
    /// Its number.
    pub version: u64,
    /// When it became active.
    pub at: Timestamp,
    /// When it stopped; absent while it is active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Members that this binary does not know.
    #[serde(flatten)]
    pub other: Carried,
}

/// Notes that the active version, if there is one, stops being it.
pub(super) fn close(activations: &mut [Activation], now: Timestamp) {
    if let Some(open) = activations.first_mut().filter(|newest| newest.until.is_none()) {
        open.until = Some(now);
    }
}

/// Notes that a version becomes active.
pub(super) fn open(activations: &mut Vec<Activation>, version: u64, now: Timestamp) {
    close(activations, now);
    activations.truncate(MAX_ACTIVATIONS - 1);
    activations.insert(0, Activation { version, at: now, until: None, other: Carried::default() });
}
