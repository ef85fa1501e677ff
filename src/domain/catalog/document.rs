//! The document of a catalog, as it is read and written.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::CatalogName;
use crate::domain::json::{Distinct, JsonError, reason, strict};
use crate::domain::manifest::Descriptor;
use crate::domain::{Carried, Digest, FileName, Target, Ware};

/// The type of the documents that this binary reads and writes.
pub const TYPE: &str = "larder-catalog/1";

/// The document of a catalog. The order of releases is their author's, newest first, and for presentation only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// [`TYPE`].
    #[serde(rename = "type")]
    pub kind: String,
    /// The catalog's name.
    pub name: CatalogName,
    /// Grows with each document of the catalog.
    pub serial: u64,
    /// When the document was made.
    pub issued: Timestamp,
    /// When readers stop believing it.
    pub expires: Timestamp,
    /// Digest of the document before it. Absent in the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Digest>,
    /// Addresses of servers that have the same names, in the order in which clients should try them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mirrors: Vec<String>,
    /// Addresses of warehouses, by type of ware.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub warehouses: BTreeMap<String, Vec<String>>,
    /// Members that this binary does not know.
    #[serde(flatten)]
    pub other: Carried,
    /// The releases.
    pub releases: Vec<Release>,
}

/// A release: a manifest that is pinned by its digest, and what its author says about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Its name, unique within the catalog: 1 to 128 bytes of any text without `:`.
    pub name: String,
    /// Where it is published: `NAME` or `NAME@LABEL`.
    pub at: String,
    /// Digest of its manifest.
    pub manifest: Digest,
    /// Size of its manifest, in bytes.
    pub size: u64,
    /// When it was published.
    pub published: Timestamp,
    /// Its items, by name.
    pub items: BTreeMap<String, Item>,
    /// Facts about it.
    #[serde(default)]
    pub metadata: Option<BTreeMap<String, String>>,
    /// Reasons not to use it.
    #[serde(default)]
    pub hazards: Option<BTreeMap<String, String>>,
    /// How it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<Replay>,
    /// Members that this binary does not know.
    #[serde(flatten)]
    pub other: Carried,
}

/// An item of a release.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The artifact of the release's manifest. Without it, and without a ware, the one with the item's own name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileName>,
    /// The ware, `type:hash`, as its author claims it. [`Item::ware`] reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ware: Option<String>,
    /// Members that this binary does not know.
    #[serde(flatten)]
    pub other: Carried,
}

/// How a release was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replay {
    /// The artifact with the instructions: a module of the Timeless Stack.
    pub file: FileName,
    /// Members that this binary does not know.
    #[serde(flatten)]
    pub other: Carried,
}

impl Document {
    /// Reads a document. It is not checked beyond what reading it takes: rules that were added since must not make a
    /// catalog unreadable that was published before.
    ///
    /// # Errors
    /// Where it is not a JSON document of this structure, or has a member twice.
    pub fn read(bytes: &[u8]) -> Result<Self, JsonError> {
        let Distinct = strict(bytes)?;
        let document: Self = serde_json::from_slice(bytes).map_err(|error| JsonError::Malformed(reason(&error)))?;
        if document.kind == TYPE {
            Ok(document)
        } else {
            let kind: String = document.kind.chars().take(64).collect();
            Err(JsonError::Malformed(format!("its type is {kind:?}; this larder reads {TYPE}")))
        }
    }

    /// Writes a document, each release in a line of its own.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let mut text = json(&self.without_releases());
        text.truncate(text.len() - "]}".len());
        for (at, release) in self.releases.iter().enumerate() {
            text.push_str(if at == 0 { "\n " } else { ",\n " });
            text.push_str(&json(release));
        }
        text.push_str("]}\n");
        text.into_bytes()
    }

    fn without_releases(&self) -> Self {
        Self {
            kind: self.kind.clone(),
            name: self.name.clone(),
            mirrors: self.mirrors.clone(),
            warehouses: self.warehouses.clone(),
            other: self.other.clone(),
            releases: Vec::new(),
            ..*self
        }
    }

    /// The release with this name.
    #[must_use]
    pub fn release(&self, name: &str) -> Option<&Release> {
        self.releases.iter().find(|release| release.name == name)
    }

    /// The release with this name, to be edited.
    pub fn release_mut(&mut self, name: &str) -> Option<&mut Release> {
        self.releases.iter_mut().find(|release| release.name == name)
    }
}

/// Serialises what always can be: all keys are texts.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("all keys are texts")
}

impl Release {
    /// The digest and size of the manifest.
    #[must_use]
    pub fn descriptor(&self) -> Descriptor {
        Descriptor { digest: self.manifest, size: self.size }
    }

    /// The version that it is, by the digest of its manifest; `None` if `at` is not the place of a version.
    #[must_use]
    pub fn target(&self) -> Option<Target> {
        let Target { name, .. } = self.at.parse().ok()?;
        Some(Target { name, selector: crate::domain::Selector::Manifest(self.manifest), explicit: true })
    }

    /// Whether its author warns against it.
    #[must_use]
    pub fn is_hazardous(&self) -> bool {
        self.hazards.as_ref().is_some_and(|hazards| !hazards.is_empty())
    }

    /// The hazards, `kind` and what is said about it.
    pub fn hazards(&self) -> impl Iterator<Item = (&str, &str)> {
        self.hazards.iter().flatten().map(|(kind, text)| (kind.as_str(), text.as_str()))
    }

    /// The tracks that it is on.
    pub fn tracks(&self) -> impl Iterator<Item = &str> {
        let tracks = self.metadata.as_ref().and_then(|metadata| metadata.get("tracks"));
        tracks.into_iter().flat_map(|tracks| tracks.split(',')).map(str::trim).filter(|track| !track.is_empty())
    }

    /// The artifact of an item; `None` if there is no such item, or if it is a ware only.
    #[must_use]
    pub fn file(&self, item: &str) -> Option<FileName> {
        self.items.get(item)?.file(item)
    }
}

impl Item {
    /// The artifact of the item with this name; `None` if it is a ware only.
    #[must_use]
    pub fn file(&self, name: &str) -> Option<FileName> {
        match (&self.file, &self.ware) {
            (Some(file), _) => Some(file.clone()),
            (None, None) => name.parse().ok(),
            (None, Some(_)) => None,
        }
    }

    /// The ware that the item is claimed to be; `None` if none is claimed, or none that this binary can read.
    #[must_use]
    pub fn ware(&self) -> Option<Ware> {
        self.ware.as_deref()?.parse().ok()
    }
}
