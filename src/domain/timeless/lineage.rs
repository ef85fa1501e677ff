//! `lineage.tl`: the releases of a module, each with the wares that its items are.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::text::{Node, texts};
use crate::domain::catalog::{Document, Item};
use crate::domain::json::JsonError;

/// The name of the file.
pub const LINEAGE_FILE: &str = "lineage.tl";

/// A lineage. What it says may be anything that has its form; `null` and absent mean the same.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lineage {
    /// The module's name.
    pub name: String,
    /// The releases, newest first.
    #[serde(default)]
    pub releases: Option<Vec<LineageRelease>>,
}

/// A release of a lineage.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineageRelease {
    /// Its name.
    pub name: String,
    /// The wares, `type:hash`, by the names of the items.
    #[serde(default, deserialize_with = "texts")]
    pub items: Option<BTreeMap<String, String>>,
    /// Facts about it.
    #[serde(default, deserialize_with = "texts")]
    pub metadata: Option<BTreeMap<String, String>>,
    /// Reasons not to use it.
    #[serde(default, deserialize_with = "texts")]
    pub hazards: Option<BTreeMap<String, String>>,
}

impl Lineage {
    /// Reads a lineage of at most 4 MiB. It need not be in the canonical form.
    ///
    /// # Errors
    /// Where it is not JSON of this structure, by line and column: also for members that lineages do not have, for keys
    /// that occur twice, and for commas that nothing follows, all of which readers disagree about.
    pub fn read(bytes: &[u8]) -> Result<Self, JsonError> {
        super::read(bytes)
    }

    /// Writes it in the canonical form.
    #[must_use]
    pub fn write(&self) -> String {
        let releases = self.releases.as_deref();
        let releases = releases.map_or(Node::Null, |all| Node::List(all.iter().map(LineageRelease::node).collect()));
        Node::Map(vec![("name", Node::Text(&self.name)), ("releases", releases)]).document()
    }

    /// What can be said of a catalog: all of its releases, each with those items that are wares.
    #[must_use]
    pub fn of(document: &Document) -> Self {
        let ware = |(name, item): (&String, &Item)| Some((name.clone(), item.ware.clone()?));
        let releases = document.releases.iter().map(|release| LineageRelease {
            name: release.name.clone(),
            items: Some(release.items.iter().filter_map(ware).collect()),
            metadata: release.metadata.clone(),
            hazards: release.hazards.clone(),
        });
        Self { name: document.name.to_string(), releases: Some(releases.collect()) }
    }
}

impl LineageRelease {
    fn node(&self) -> Node<'_> {
        Node::Map(vec![
            ("name", Node::Text(&self.name)),
            ("items", Node::texts(self.items.as_ref())),
            ("metadata", Node::texts(self.metadata.as_ref())),
            ("hazards", Node::texts(self.hazards.as_ref())),
        ])
    }

    /// Writes this release alone, in the form that it has in a lineage.
    #[must_use]
    pub fn write(&self) -> String {
        self.node().document()
    }
}
