//! `[scrub]`: reading stored blobs in the background, to find damaged ones.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Duration, PublicUrl, Size};

/// `[scrub]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scrub {
    /// How fast blobs are read, in bytes per second; 0 for not at all. If absent, depends on the kind of store.
    pub rate: Option<Size>,
    /// Time between the starts of two passes over all blobs.
    pub every: Duration,
    /// Another Larder from which damaged blobs are fetched.
    pub heal_from: Option<PublicUrl>,
    /// File that holds a token for that Larder.
    pub heal_token_file: Option<PathBuf>,
    /// Whether damaged bytes that cannot be replaced are deleted.
    pub condemn: bool,
}

impl Default for Scrub {
    fn default() -> Self {
        Self {
            rate: None,
            every: Duration::from_secs(30 * 24 * 3600),
            heal_from: None,
            heal_token_file: None,
            condemn: true,
        }
    }
}

impl Scrub {
    pub(super) fn validate(&self, problems: &mut Vec<String>) {
        if self.heal_token_file.is_some() && self.heal_from.is_none() {
            problems.push("scrub.heal_token_file needs scrub.heal_from".to_owned());
        }
        if self.every.std().is_zero() {
            problems.push("scrub.every must be longer than 0s; scrub.rate = 0 switches the scrub off".to_owned());
        }
    }
}
