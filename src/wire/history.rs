//! The history of a name: every change, who made it, when and why.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Deletion, schema};
use crate::domain::{Action, Digest, ManifestName, Subject};

/// A page of the changes of a name, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Changes {
    /// The manifest name.
    #[schemars(with = "schema::Name")]
    pub name: ManifestName,
    /// Generation of the name's newest state.
    pub generation: u64,
    /// Number of the active version.
    pub active: Option<u64>,
    /// Set while the name is withdrawn or deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Deletion")]
    pub deleted: Option<Deletion>,
    /// The changes, newest first. A page that is not the last may have fewer than requested, even none.
    pub changes: Vec<ChangeEntry>,
    /// Value of `before` for the next page; `null` on the last page.
    pub next: Option<u64>,
}

/// One change of a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangeEntry {
    /// Generation of the name's state that the change made.
    pub generation: u64,
    /// When it was made; never earlier than the change before it.
    #[schemars(with = "schema::Time")]
    pub at: Timestamp,
    /// What was done: `publish`, `copy`, `promote`, `rollback`, `pin`, `unpin`, `yank`, `unyank`, `floor`, `unfloor`,
    /// `attach`, `retire`, `expire`, `withdraw`, `delete`; with `all` also `prepare`, `amend` and `abort`. Later versions
    /// of the server may add others.
    #[schemars(with = "String")]
    pub action: Action,
    /// The subject that made it, `ISSUER:ID`.
    #[schemars(with = "schema::SubjectText")]
    pub by: Subject,
    /// The issuer of that subject.
    pub issuer: String,
    /// Its id, unique for the issuer.
    pub id: String,
    /// What the issuer says of it, each as `NAME=VALUE`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub claims: Vec<Box<str>>,
    /// The surface that the request came through; absent for the native one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub via: Option<String>,
    /// Number of the version concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    pub version: Option<u64>,
    /// The publisher's own text of that version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub label: Option<String>,
    /// For an expiry, the versions concerned, at most 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<u64>,
    /// Number of the version that was active before the change.
    pub from: Option<u64>,
    /// Number of the version that was active after it.
    pub to: Option<u64>,
    /// Where the version was published before, if the caller may know that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ChangeOrigin")]
    pub origin: Option<ChangeOrigin>,
    /// The reason that was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub reason: Option<String>,
}

/// Where a version was published before: another name of this server, or another server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangeOrigin {
    /// Name there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub name: Option<String>,
    /// Number of the version there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    pub version: Option<u64>,
    /// Digest of its manifest there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "schema::Digest")]
    pub manifest: Option<Digest>,
    /// Address of the release on another server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub url: Option<String>,
    /// When it was published there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "schema::Time")]
    pub published_at: Option<Timestamp>,
}
