//! Pins: who wants a version kept whatever the retention says.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::Subject;
use crate::domain::carried::Carried;

/// Most pins of one version.
pub const MAX_PINS: usize = 8;

/// One owner's pin. Any pin protects the version; each is placed and taken away on behalf of its owner only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// On whose behalf: [`Pin::USER`], or `catalog:C` for the catalog C. At most one pin of each.
    pub owner: Box<str>,
    /// Who placed it.
    pub by: Subject,
    /// When it was placed.
    pub at: Timestamp,
    /// Why, in their words; at most 500 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Box<str>>,
    /// Members that this binary does not know.
    #[serde(flatten)]
    pub other: Carried,
}

impl Pin {
    /// The owner of pins that people place by hand.
    pub const USER: &'static str = "user";
}
