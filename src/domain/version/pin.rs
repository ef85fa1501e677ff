//! Pins: requests to keep a version regardless of retention.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::Subject;
use crate::domain::carried::Carried;
use crate::domain::catalog::{CatalogName, CatalogNameError};

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

    /// The catalog that lists the version, if the pin is one of a catalog.
    #[must_use]
    pub fn catalog(&self) -> Option<&str> {
        self.owner.strip_prefix(CATALOG)
    }
}

/// What the owners of the pins of catalogs begin with.
const CATALOG: &str = "catalog:";

/// On whose behalf a pin is placed or taken away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum PinOwner {
    /// Somebody who wants to keep the version.
    #[default]
    User,
    /// A catalog that lists the version.
    Catalog(CatalogName),
}

/// Text that is no owner of a pin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PinOwnerError {
    /// It is neither of the two forms.
    #[error("the owner of a pin is `user` or `catalog:NAME`")]
    Form,
    /// It names no catalog.
    #[error(transparent)]
    Catalog(#[from] CatalogNameError),
}

impl fmt::Display for PinOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User => f.write_str(Pin::USER),
            Self::Catalog(name) => write!(f, "{CATALOG}{name}"),
        }
    }
}

impl FromStr for PinOwner {
    type Err = PinOwnerError;

    fn from_str(text: &str) -> Result<Self, PinOwnerError> {
        match text.strip_prefix(CATALOG) {
            Some(name) => Ok(Self::Catalog(name.parse()?)),
            None if text == Pin::USER => Ok(Self::User),
            None => Err(PinOwnerError::Form),
        }
    }
}
