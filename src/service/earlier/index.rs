//! The index of the earlier files of one name.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use crate::domain::manifest::{Artifact, Descriptor};
use crate::domain::retention::EarlierFiles;
use crate::domain::{Digest, FileName, VersionRow, text};

/// One file of an earlier version that the active version does not have under the same name with the same content.
#[derive(Debug)]
struct Entry {
    name: FileName,
    blob: Descriptor,
    media_type: Option<Arc<str>>,
    /// The file that this is a variant of.
    of: Option<FileName>,
    /// Position of the version.
    version: u32,
    /// Whether the active version has a file of that name, with other content.
    is_replaced: bool,
}

impl Entry {
    fn directory(&self) -> &str {
        directory(self.name.as_str())
    }

    fn artifact(&self) -> Artifact {
        let media_type = self.media_type.as_deref().map(str::to_owned);
        Artifact { media_type, of: self.of.clone(), ..Artifact::of(self.name.clone(), self.blob) }
    }
}

/// The path up to its last slash; empty if it has none.
fn directory(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| directory)
}

/// The earlier files of a name, each content of each path once: that of the version which was archived last, because it
/// stays eligible for longest.
#[derive(Debug)]
pub(super) struct EarlierIndex {
    /// Of the head that was indexed.
    pub(super) generation: u64,
    pub(super) policy: EarlierFiles,
    /// The one that was archived last first.
    versions: Vec<VersionRow>,
    /// By name and content.
    entries: Vec<Entry>,
    /// Positions in `entries`, by content and directory.
    by_content: Vec<u32>,
    /// The composed forms (NFC) of the names that have another form, with positions in `entries`.
    by_form: Vec<(Box<str>, u32)>,
    bytes: usize,
}

impl EarlierIndex {
    /// Memory that it takes, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The file of this name in the first version that has it and is still eligible, unless the active version has one.
    /// Names that differ in their Unicode form only are the same.
    pub(super) fn by_name(
        &self,
        name: &FileName,
        is_eligible: &dyn Fn(&VersionRow) -> bool,
    ) -> Option<(VersionRow, Artifact)> {
        let name = composed(name);
        let from = self.entries.partition_point(|entry| entry.name.as_str() < &*name);
        let named = self.entries[from..].iter().take_while(|entry| entry.name.as_str() == name);
        let from = self.by_form.partition_point(|(form, _)| **form < *name);
        let formed = self.by_form[from..].iter().take_while(|(form, _)| **form == *name);
        let all = named.chain(formed.map(|(_, at)| &self.entries[*at as usize]));
        self.first(all.filter(|entry| !entry.is_replaced), is_eligible)
    }

    /// A file with this content in this directory, in the first version that has it and is still eligible.
    pub(super) fn by_content(
        &self,
        directory: &str,
        digest: Digest,
        is_eligible: &dyn Fn(&VersionRow) -> bool,
    ) -> Option<(VersionRow, Artifact)> {
        let entry = |at: &u32| &self.entries[*at as usize];
        let key = |at: &u32| (entry(at).blob.digest, entry(at).directory());
        let from = self.by_content.partition_point(|at| key(at) < (digest, directory));
        let found = self.by_content[from..].iter().take_while(|at| key(at) == (digest, directory)).map(entry);
        self.first(found, is_eligible)
    }

    fn first<'a>(
        &self,
        entries: impl Iterator<Item = &'a Entry>,
        is_eligible: &dyn Fn(&VersionRow) -> bool,
    ) -> Option<(VersionRow, Artifact)> {
        let entry = entries.min_by_key(|entry| entry.version)?;
        let row = self.versions.get(entry.version as usize).filter(|row| is_eligible(row))?;
        Some((row.clone(), entry.artifact()))
    }
}

/// An index under construction.
#[derive(Debug)]
pub(super) struct IndexBuilder {
    index: EarlierIndex,
    media_types: HashSet<Arc<str>>,
}

impl IndexBuilder {
    pub(super) fn new(generation: u64, policy: EarlierFiles) -> Self {
        let (versions, entries, by_content, by_form) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let bytes = size_of::<EarlierIndex>();
        let index = EarlierIndex { generation, policy, versions, entries, by_content, by_form, bytes };
        Self { index, media_types: HashSet::new() }
    }

    /// Adds the files of the version that was archived next before those that were added. `of_active` is the content that
    /// the active version has under a name. Returns `false`, and adds nothing, if the index would take more than `limit`
    /// bytes.
    pub(super) fn add(
        &mut self,
        row: &VersionRow,
        files: &[Artifact],
        of_active: impl Fn(&FileName) -> Option<Descriptor>,
        limit: usize,
    ) -> bool {
        let version = u32::try_from(self.index.versions.len()).unwrap_or(u32::MAX);
        for file in files {
            let active = of_active(&file.name);
            if active == Some(file.blob) {
                continue;
            }
            let (name, blob, is_replaced) = (file.name.clone(), file.blob, active.is_some());
            let media_type = file.media_type.as_deref().map(|text| self.media_type(text));
            self.index.entries.push(Entry { name, blob, media_type, of: file.of.clone(), version, is_replaced });
        }
        let entries = &mut self.index.entries;
        // Stable, so that of equal ones the first, which is of the version that was added first, comes first.
        entries.sort_by(|a, b| (&a.name, a.blob.digest).cmp(&(&b.name, b.blob.digest)));
        entries.dedup_by(|second, first| second.name == first.name && second.blob.digest == first.blob.digest);
        self.index.versions.push(row.clone());
        self.index.bytes = self.bytes();
        let fits = self.index.bytes <= limit;
        if !fits {
            self.index.entries.retain(|entry| entry.version != version);
            self.index.versions.pop();
        }
        fits
    }

    fn media_type(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.media_types.get(text) {
            return Arc::clone(known);
        }
        let new: Arc<str> = text.into();
        self.media_types.insert(Arc::clone(&new));
        new
    }

    fn bytes(&self) -> usize {
        // Each name is an allocation of its own, and each entry has a place in the other order as well.
        let text = |name: &FileName| name.as_str().len() + 16;
        // Names that are not ASCII may have a composed form of about that length.
        let form =
            |name: &FileName| if name.as_str().is_ascii() { 0 } else { size_of::<(Box<str>, u32)>() + text(name) };
        let entry = |entry: &Entry| {
            let names = text(&entry.name) + form(&entry.name) + entry.of.as_ref().map_or(0, text);
            size_of::<Entry>() + names + size_of::<u32>()
        };
        let entries: usize = self.index.entries.iter().map(entry).sum();
        let media_types: usize = self.media_types.iter().map(|text| text.len() + 64).sum();
        entries + media_types + self.index.versions.len() * (size_of::<VersionRow>() + 512) + size_of::<EarlierIndex>()
    }

    pub(super) fn finish(mut self) -> EarlierIndex {
        self.index.bytes = self.bytes();
        self.index.entries.shrink_to_fit();
        let entries = &self.index.entries;
        let mut by_content: Vec<u32> = (0..u32::try_from(entries.len()).unwrap_or(u32::MAX)).collect();
        by_content.sort_unstable_by_key(|at| {
            let entry = &entries[*at as usize];
            (entry.blob.digest, entry.directory())
        });
        let forms = entries.iter().zip(0_u32..).filter_map(|(entry, at)| match composed(&entry.name) {
            Cow::Owned(form) if form != entry.name.as_str() => Some((form.into(), at)),
            _ => None,
        });
        let mut by_form: Vec<(Box<str>, u32)> = forms.collect();
        by_form.sort_unstable();
        (self.index.by_content, self.index.by_form) = (by_content, by_form);
        self.index
    }
}

/// The composed form (NFC) of a name.
fn composed(name: &FileName) -> Cow<'_, str> {
    if name.as_str().is_ascii() { name.as_str().into() } else { text::composed(name.as_str()) }
}

#[cfg(test)]
mod tests;
