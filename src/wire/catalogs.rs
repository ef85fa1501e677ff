//! Catalogs: lists of them, and what they say of a release or an item.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;
use crate::domain::catalog::{CatalogName, Item, PublicKey, Release};
use crate::domain::{Digest, FileName};

/// A page of catalogs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CatalogPage {
    /// The catalogs, by name. A page that is not the last may have none.
    pub catalogs: Vec<CatalogEntry>,
    /// Value of `after` for the next page; `null` on the last page.
    pub next: Option<String>,
}

/// A catalog in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CatalogEntry {
    /// The catalog's name.
    #[schemars(with = "String")]
    pub name: CatalogName,
    /// Digest of the manifest with the document, the signatures and the roots.
    #[schemars(with = "schema::Digest")]
    pub manifest: Digest,
    /// When that became active.
    #[serde(default)]
    #[schemars(with = "Option<schema::Time>")]
    pub promoted_at: Option<Timestamp>,
}

/// A release of a catalog, as its author states it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CatalogRelease {
    /// The catalog's name.
    #[schemars(with = "String")]
    pub catalog: CatalogName,
    /// Serial of the document that says so.
    pub serial: u64,
    /// The release's name.
    pub name: String,
    /// Where it is published: `NAME` or `NAME@LABEL`.
    pub at: String,
    /// Digest of its manifest.
    #[schemars(with = "schema::Digest")]
    pub manifest: Digest,
    /// Size of its manifest, in bytes.
    pub size: u64,
    /// When it was published.
    #[schemars(with = "schema::Time")]
    pub published: Timestamp,
    /// Its items, by name.
    pub items: BTreeMap<String, CatalogItem>,
    /// Facts about it.
    pub metadata: Option<BTreeMap<String, String>>,
    /// Reasons not to use it.
    pub hazards: Option<BTreeMap<String, String>>,
    /// The file with the module that made it, if its author says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub replay: Option<FileName>,
}

/// An item of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CatalogItem {
    /// The file of the release's manifest; absent if it is a ware only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub file: Option<FileName>,
    /// The ware, `type:hash`, as the author claims it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub ware: Option<String>,
    /// Whether this server has computed the ware from the file once. Only an item's own address says so. Links in the
    /// archive are not covered.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ware_verified: bool,
}

impl CatalogItem {
    /// An item with this name.
    #[must_use]
    pub fn of(name: &str, item: &Item) -> Self {
        Self { file: item.file(name), ware: item.ware.clone(), ware_verified: false }
    }
}

impl CatalogRelease {
    /// A release in a document with this serial.
    #[must_use]
    pub fn of(catalog: &CatalogName, serial: u64, release: &Release) -> Self {
        let Release { name, at, manifest, size, published, metadata, hazards, .. } = release.clone();
        let replay = release.replay.as_ref().map(|replay| replay.file.clone());
        let items = release.items.iter().map(|(name, item)| (name.clone(), CatalogItem::of(name, item))).collect();
        Self { catalog: catalog.clone(), serial, name, at, manifest, size, published, items, metadata, hazards, replay }
    }
}

/// The key by which a server signs snapshots and timestamps of TUF for a catalog, once its author lets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OnlineKey {
    /// The catalog's name. There need not be one yet.
    #[schemars(with = "String")]
    pub catalog: CatalogName,
    /// The id of the key in roots: the SHA-256 of its canonical form.
    pub keyid: String,
    /// The key, as roots have it.
    pub key: TufKey,
}

/// A public key, as TUF writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TufKey {
    /// `ed25519`
    pub keytype: String,
    /// `ed25519`
    pub scheme: String,
    /// The bytes of the key.
    pub keyval: TufKeyValue,
}

/// The bytes of a public key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TufKeyValue {
    /// 32 bytes in hex.
    pub public: String,
}

impl OnlineKey {
    /// The key of a catalog.
    #[must_use]
    pub fn of(catalog: CatalogName, key: PublicKey) -> Self {
        let ed25519 = || "ed25519".to_owned();
        let keyval = TufKeyValue { public: hex::encode(key.0) };
        let tuf = TufKey { keytype: ed25519(), scheme: ed25519(), keyval };
        Self { catalog, keyid: key.tuf_id(), key: tuf }
    }

    /// The key, if it is an Ed25519 key.
    #[must_use]
    pub fn public(&self) -> Option<PublicKey> {
        let is_known = self.key.keytype == "ed25519" && self.key.scheme == "ed25519";
        let bytes = hex::decode(&self.key.keyval.public).ok().filter(|_| is_known)?;
        Some(PublicKey(bytes.try_into().ok()?))
    }
}
