//! What becomes of a document when it takes a lineage over.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::tree::FoundModule;
use crate::domain::catalog::{CatalogName, Document, Item, Problems, Release, Rule, check, precedes};
use crate::domain::timeless::{LineageRelease, Mirrors};
use crate::domain::{Carried, Digest, ManifestName};

/// A release that was published for the catalog to list.
#[derive(Debug, Clone)]
pub(super) struct Listed {
    pub(super) at: ManifestName,
    pub(super) manifest: Digest,
    pub(super) size: u64,
    pub(super) published: Timestamp,
}

impl FoundModule {
    /// The releases of the lineage, newest first.
    pub(super) fn releases(&self) -> &[LineageRelease] {
        self.lineage.releases.as_deref().unwrap_or_default()
    }

    /// Makes the document say what the lineage and the mirrors say. `listed` are the releases that it does not have yet;
    /// those that are in neither are stated to be nowhere, to see whether the document would be valid.
    pub(super) fn adopt(&self, document: &Document, listed: &BTreeMap<String, Listed>) -> Document {
        let known: BTreeMap<&str, &Release> =
            document.releases.iter().map(|release| (release.name.as_str(), release)).collect();
        let nowhere =
            Listed { at: self.name.manifest(), manifest: Digest::of(b""), size: 0, published: document.issued };
        let release = |stated: &LineageRelease| {
            let base = known.get(stated.name.as_str()).map(|release| (*release).clone());
            let new = || empty(&stated.name, listed.get(&stated.name).unwrap_or(&nowhere));
            said(base.unwrap_or_else(new), stated)
        };
        let releases = self.releases().iter().map(release).collect();
        let warehouses = self.mirrors.as_ref().and_then(|mirrors| mirrors.by_module.get(self.name.as_str()));
        let warehouses = warehouses.unwrap_or(&document.warehouses).clone();
        Document { warehouses, releases, ..document.clone() }
    }

    /// Everything that cannot be taken over into this document, which is published unless `is_new`.
    pub(super) fn problems(&self, before: &Document) -> Problems {
        let after = self.adopt(before, &BTreeMap::new());
        let (_, mut problems) = check(&after.write(), &self.name);
        problems.extend(precedes(before, &after));
        if self.lineage.releases.is_none() {
            problems.add(Rule::Document, "releases", "catalogs have a list here, if an empty one: []");
        }
        problems
    }

    /// What the list of mirrors says that a catalog cannot: of what kind, and how much.
    pub(super) fn unsayable(&self) -> Vec<String> {
        let Some(Mirrors { by_pack_type, by_module, by_ware }) = &self.mirrors else { return Vec::new() };
        let others = by_module.keys().filter(|name| *name != self.name.as_str()).count();
        let parts = [("byPackType", by_pack_type.len()), ("byModule of others", others), ("byWare", by_ware.len())];
        let parts = parts.into_iter().filter(|(_, count)| *count > 0);
        parts.map(|(part, count)| format!("{part} ({count})")).collect()
    }
}

fn empty(name: &str, listed: &Listed) -> Release {
    Release {
        name: name.to_owned(),
        at: listed.at.to_string(),
        manifest: listed.manifest,
        size: listed.size,
        published: listed.published,
        items: BTreeMap::new(),
        metadata: None,
        hazards: None,
        replay: None,
        other: Carried::default(),
    }
}

/// The release as a lineage states it. Items that are the same wares stay as they are, with their files, and so do those
/// that are no wares, which a lineage cannot have.
fn said(base: Release, stated: &LineageRelease) -> Release {
    let files = base.items.iter().filter(|(_, item)| item.ware.is_none());
    let mut items: BTreeMap<String, Item> = files.map(|(name, item)| (name.clone(), item.clone())).collect();
    for (name, ware) in stated.items.iter().flatten() {
        let same = base.items.get(name).filter(|item| item.ware.as_ref() == Some(ware)).cloned();
        let claimed = || Item { ware: Some(ware.clone()), ..Item::default() };
        items.insert(name.clone(), same.unwrap_or_else(claimed));
    }
    Release { items, metadata: stated.metadata.clone(), hazards: stated.hazards.clone(), ..base }
}

/// Where a release is published that has nothing but its lineage entry: as usual, or if its name cannot be the last
/// segment of another, in one place for all of those.
pub(super) fn place(catalog: &CatalogName, release: &str) -> Option<ManifestName> {
    catalog.release(release).or_else(|| format!("{catalog}/_imported").parse().ok())
}
