//! Pins, yanks and floors: what people say of versions.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;
use crate::domain::{ManifestName, Subject, head, version};

/// One owner's pin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Pin {
    /// The owner: `user` for pins that people place, else what placed it.
    pub owner: String,
    /// The subject that placed it.
    #[schemars(with = "schema::SubjectText")]
    pub by: Subject,
    /// When it was placed.
    #[schemars(with = "schema::Time")]
    pub at: Timestamp,
    /// The reason that was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub reason: Option<String>,
}

impl From<&version::Pin> for Pin {
    fn from(pin: &version::Pin) -> Self {
        let (owner, reason) = (pin.owner.to_string(), pin.reason.as_deref().map(Into::into));
        Self { owner, by: pin.by.clone(), at: pin.at, reason }
    }
}

/// A warning against a version: its bytes stay, but nobody should begin to use it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Yank {
    /// When the warning was placed.
    #[schemars(with = "schema::Time")]
    pub at: Timestamp,
    /// The subject that placed it.
    #[schemars(with = "schema::SubjectText")]
    pub by: Subject,
    /// The reason that was given.
    pub reason: String,
    /// Number of the version to use instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    pub instead: Option<u64>,
}

impl From<&version::Yank> for Yank {
    fn from(yank: &version::Yank) -> Self {
        Self { at: yank.at, by: yank.by.clone(), reason: yank.reason.as_ref().into(), instead: yank.instead }
    }
}

/// The lowest version that clients should run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Floor {
    /// Number of the version.
    pub version: u64,
    /// The publisher's own version text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub label: Option<String>,
    /// The reason that was given.
    pub reason: String,
    /// When the floor was set.
    #[schemars(with = "schema::Time")]
    pub at: Timestamp,
    /// The subject that set it.
    #[schemars(with = "schema::SubjectText")]
    pub by: Subject,
}

impl From<&head::Floor> for Floor {
    fn from(floor: &head::Floor) -> Self {
        Self {
            version: floor.version,
            label: floor.label.as_deref().map(Into::into),
            reason: floor.reason.clone(),
            at: floor.at,
            by: floor.by.clone(),
        }
    }
}

/// A name and its floor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NameFloor {
    /// The manifest name.
    #[schemars(with = "schema::Name")]
    pub name: ManifestName,
    /// Generation of the name's state, which grows with every change.
    pub generation: u64,
    /// The floor; `null` if there is none.
    pub floor: Option<Floor>,
}

/// Request body: why a version is yanked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct YankRequest {
    /// The reason, 1 to 500 bytes; every reader of the version sees it.
    #[schemars(extend("minLength" = 1, "maxLength" = 500))]
    pub reason: String,
    /// Selector of the version to use instead, of the same name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead: Option<Instead>,
}

/// A selector, or a bare version number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Instead {
    /// A version number.
    Number(u64),
    /// A selector.
    Selector(String),
}

/// Request body: why a version is the lowest that clients should run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FloorRequest {
    /// The reason, 1 to 500 bytes.
    #[schemars(extend("minLength" = 1, "maxLength" = 500))]
    pub reason: String,
}
