//! Pins: requests to keep a version regardless of retention.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::Subject;
use crate::domain::carried::Carried;

/// Maximum number of pins on a version.
pub const MAX_PINS: usize = 8;

/// One owner's pin. Any pin protects the version; each is added and removed on behalf of its owner only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// The owner: [`Pin::USER`], or `catalog:C` for the catalog C. At most one pin per owner.
    pub owner: Box<str>,
    /// The subject that placed it.
    pub by: Subject,
    /// When it was placed.
    pub at: Timestamp,
    /// The reason given by that subject, verbatim; at most 500 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Box<str>>,
    /// Members that this binary does not know.
    #[serde(flatten)]
    pub other: Carried,
}

impl Pin {
    /// The owner of pins that users place by hand.
    pub const USER: &'static str = "user";
}
