//! The index of the earlier files of one name.

mod names;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use crate::domain::manifest::{Artifact, Descriptor};
use crate::domain::retention::EarlierFiles;
use crate::domain::{Digest, FileName, VersionRow, text};
use crate::protocol::LoadedManifest;
use names::{NameId, Names};

/// One file of an earlier version that the active version does not have under the same name with the same content.
#[derive(Debug, Clone, Copy)]
struct Entry {
    digest: Digest,
    size: u64,
    name: NameId,
    /// The file that this is a variant of.
    of: Option<NameId>,
    /// Position of the media type; there is none behind the last one.
    media_type: u32,
    /// Position of the version.
    version: u16,
    /// Whether the active version has a file of that name, with other content.
    is_replaced: bool,
}

/// The path up to its last slash; empty if it has none.
fn directory(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| directory)
}

/// The files of a version, as the index reads them.
pub(super) trait FilesOfVersion {
    /// All of them.
    fn list(&self) -> &[Artifact];

    /// The content of the file of this name.
    fn content(&self, name: &FileName) -> Option<Descriptor>;
}

impl FilesOfVersion for Arc<LoadedManifest> {
    fn list(&self) -> &[Artifact] {
        self.manifest().map_or(&[], |manifest| &manifest.files)
    }

    fn content(&self, name: &FileName) -> Option<Descriptor> {
        self.file(name).ok().flatten().map(|file| file.blob)
    }
}

/// The files of an index, which stay the same as long as the active version does.
#[derive(Debug, Default)]
struct Files {
    names: Names,
    media_types: Vec<Arc<str>>,
    /// By name and content.
    entries: Vec<Entry>,
    /// Positions in `entries`, by content and directory.
    by_content: Vec<u32>,
    /// The composed forms (NFC) of the names that have another form, with positions in `entries`.
    by_form: Vec<(Box<str>, u32)>,
}

impl Files {
    fn name(&self, entry: &Entry) -> &str {
        self.names.get(entry.name)
    }

    /// Compares an entry with a file of this name and content.
    fn compare(&self, entry: &Entry, name: &str, digest: Digest) -> Ordering {
        self.name(entry).cmp(name).then_with(|| entry.digest.cmp(&digest))
    }

    /// Memory that it takes, about.
    fn bytes(&self) -> usize {
        // Each entry has a place in the other order as well.
        let entries = self.entries.len() * (size_of::<Entry>() + size_of::<u32>());
        // Names that are not ASCII may have a composed form of about that length.
        let form = |name: &str| if name.is_ascii() { 0 } else { size_of::<(Box<str>, u32)>() + name.len() + 16 };
        let forms = || self.entries.iter().map(|entry| form(self.name(entry))).sum::<usize>();
        let forms = if self.names.are_ascii() { 0 } else { forms() };
        entries + forms + self.names.bytes() + self.media_types.iter().map(|text| text.len() + 64).sum::<usize>()
    }
}

/// The earlier files of a name, each content of each path once: that of the version which was archived last, because it
/// stays eligible for longest.
#[derive(Debug)]
pub(super) struct EarlierIndex {
    /// Of the head that was indexed.
    pub(super) generation: u64,
    pub(super) policy: EarlierFiles,
    /// The version that was active then, and its manifest.
    active: Option<(u64, Digest)>,
    /// The versions that were eligible then, with those that did not fit.
    eligible: Vec<u64>,
    /// Those that are indexed. The one that was archived last comes first.
    versions: Vec<VersionRow>,
    files: Arc<Files>,
    bytes: usize,
}

/// How an index can be made from the one before.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Succession {
    /// It has the same files.
    Same,
    /// What was active is the first earlier version now, and other versions left at most.
    Next,
    /// Not at all.
    None,
}

impl EarlierIndex {
    /// Memory that it takes, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Number of eligible versions whose files did not fit.
    pub(super) fn left_out(&self) -> usize {
        self.eligible.len() - self.versions.len()
    }

    /// How the index for this active version and these eligible ones can be made from this one. Files that two versions
    /// have in common are indexed once, so a version that is taken out of the middle takes files of others with it,
    /// unless it is active now and has them itself.
    pub(super) fn succession(&self, active: &VersionRow, eligible: &[VersionRow]) -> Succession {
        let (now, Some((before, _))) = ((active.number, active.digest()), self.active) else { return Succession::None };
        let numbers = || eligible.iter().map(|row| row.number);
        if self.active == Some(now) {
            let is_same = self.eligible.iter().copied().take(eligible.len()).eq(numbers());
            return if is_same { Succession::Same } else { Succession::None };
        }
        let left = self.eligible.iter().copied().filter(|number| *number != active.number);
        let follows = || left.take(eligible.len() - 1).eq(numbers().skip(1));
        let is_next = eligible.first().is_some_and(|first| first.number == before) && follows();
        if is_next { Succession::Next } else { Succession::None }
    }

    /// The same files for a newer head.
    pub(super) fn renewed(&self, generation: u64, eligible: &[VersionRow]) -> Self {
        Self {
            generation,
            policy: self.policy,
            active: self.active,
            eligible: eligible.iter().map(|row| row.number).collect(),
            versions: eligible.iter().take(self.versions.len()).cloned().collect(),
            files: Arc::clone(&self.files),
            bytes: self.bytes,
        }
    }

    /// The file of this name in the first version that has it and is still eligible, unless the active version has one.
    /// Names that differ in their Unicode form only are the same.
    pub(super) fn by_name(
        &self,
        name: &FileName,
        is_eligible: &dyn Fn(&VersionRow) -> bool,
    ) -> Option<(VersionRow, Artifact)> {
        let (files, name) = (&*self.files, composed(name.as_str()));
        let from = files.entries.partition_point(|entry| files.name(entry) < &*name);
        let named = files.entries[from..].iter().take_while(|entry| files.name(entry) == name);
        let from = files.by_form.partition_point(|(form, _)| **form < *name);
        let formed = files.by_form[from..].iter().take_while(|(form, _)| **form == *name);
        let all = named.chain(formed.map(|(_, at)| &files.entries[*at as usize]));
        self.first(all.filter(|entry| !entry.is_replaced), is_eligible)
    }

    /// A file with this content in this directory, in the first version that has it and is still eligible.
    pub(super) fn by_content(
        &self,
        directory: &str,
        digest: Digest,
        is_eligible: &dyn Fn(&VersionRow) -> bool,
    ) -> Option<(VersionRow, Artifact)> {
        let files = &*self.files;
        let entry = |at: &u32| &files.entries[*at as usize];
        let key = |at: &u32| (entry(at).digest, self::directory(files.name(entry(at))));
        let from = files.by_content.partition_point(|at| key(at) < (digest, directory));
        let found = files.by_content[from..].iter().take_while(|at| key(at) == (digest, directory)).map(entry);
        self.first(found, is_eligible)
    }

    fn first<'a>(
        &self,
        entries: impl Iterator<Item = &'a Entry>,
        is_eligible: &dyn Fn(&VersionRow) -> bool,
    ) -> Option<(VersionRow, Artifact)> {
        let entry = entries.min_by_key(|entry| entry.version)?;
        let row = self.versions.get(usize::from(entry.version)).filter(|row| is_eligible(row))?;
        Some((row.clone(), self.artifact(entry)?))
    }

    fn artifact(&self, entry: &Entry) -> Option<Artifact> {
        let files = &*self.files;
        let blob = Descriptor { digest: entry.digest, size: entry.size };
        let media_type = files.media_types.get(entry.media_type as usize).map(|text| (**text).to_owned());
        let of = entry.of.map(|of| files.names.get(of).parse()).transpose().ok()?;
        Some(Artifact { media_type, of, ..Artifact::of(files.name(entry).parse().ok()?, blob) })
    }
}

/// An index under construction.
#[derive(Debug)]
pub(super) struct IndexBuilder {
    generation: u64,
    policy: EarlierFiles,
    active: Option<(u64, Digest)>,
    eligible: Vec<u64>,
    versions: Vec<VersionRow>,
    files: Files,
    media_types: HashMap<Arc<str>, u32>,
}

impl IndexBuilder {
    /// The index for a head with this active version and these eligible ones.
    pub(super) fn new(
        generation: u64,
        policy: EarlierFiles,
        active: Option<&VersionRow>,
        eligible: &[VersionRow],
    ) -> Self {
        let active = active.map(|row| (row.number, row.digest()));
        let eligible = eligible.iter().map(|row| row.number).collect();
        let (versions, files, media_types) = (Vec::new(), Files::default(), HashMap::new());
        Self { generation, policy, active, eligible, versions, files, media_types }
    }

    /// Adds a version whose files are not known, as [`IndexBuilder::add`] adds others.
    pub(super) fn skip(&mut self, row: &VersionRow) {
        self.versions.push(row.clone());
    }

    /// Adds the files of the version that was archived next before those that were added, except what the active version
    /// has under the same names. Returns `false`, and adds nothing, if the index would take more than `limit` bytes.
    pub(super) fn add(
        &mut self,
        row: &VersionRow,
        files: &impl FilesOfVersion,
        active: &impl FilesOfVersion,
        limit: usize,
    ) -> bool {
        let files = files.list();
        let version = u16::try_from(self.versions.len()).unwrap_or(u16::MAX);
        let differing = files.iter().filter_map(|file| {
            let active = active.content(&file.name);
            (active != Some(file.blob)).then_some((file, version, active.is_some()))
        });
        let mut differing: Vec<_> = differing.collect();
        differing.sort_unstable_by_key(|(file, ..)| (&file.name, file.blob.digest));
        let (names, entries) = (self.files.names.len(), self.merged(&differing));
        let before = std::mem::replace(&mut self.files.entries, entries);
        self.versions.push(row.clone());
        let fits = self.bytes() <= limit;
        if !fits {
            self.files.entries = before;
            self.files.names.truncate(names);
            self.versions.pop();
        }
        fits
    }

    /// Adds what an index of a generation before has of versions that are still eligible, behind the one version that was
    /// added, which was active then: of as many of them as fit into `limit` bytes.
    pub(super) fn add_known(
        &mut self,
        known: &EarlierIndex,
        eligible: &[VersionRow],
        active: &impl FilesOfVersion,
        limit: usize,
    ) {
        let place = |row: &VersionRow| known.versions.iter().position(|version| version.number == row.number);
        let places: Vec<usize> = eligible[1..].iter().map_while(place).collect();
        let carried = known.files.entries.iter().filter_map(|entry| {
            let place = places.iter().position(|at| *at == usize::from(entry.version))? + 1;
            let file = known.artifact(entry)?;
            let active = active.content(&file.name);
            (active != Some(file.blob)).then_some((file, u16::try_from(place).unwrap_or(u16::MAX), active.is_some()))
        });
        let carried: Vec<_> = carried.collect();
        let (names, before) = (self.files.names.len(), self.files.entries.clone());
        for count in (0..=places.len()).rev() {
            let last = u16::try_from(count).unwrap_or(u16::MAX);
            let fitting = carried.iter().filter(|(_, place, _)| *place <= last);
            let fitting: Vec<_> = fitting.map(|(file, place, is_replaced)| (file, *place, *is_replaced)).collect();
            self.files.entries = self.merged(&fitting);
            self.versions.extend_from_slice(&eligible[1..=count]);
            if self.bytes() <= limit {
                return;
            }
            self.files.entries.clone_from(&before);
            self.files.names.truncate(names);
            self.versions.truncate(1);
        }
    }

    /// The entries with these further ones, which are sorted and of versions that come behind. Of equal ones that of the
    /// first version stays.
    fn merged(&mut self, further: &[(&Artifact, u16, bool)]) -> Vec<Entry> {
        let old = std::mem::take(&mut self.files.entries);
        let mut merged: Vec<Entry> = Vec::with_capacity(old.len() + further.len());
        let (mut at, mut variants) = (0, HashMap::new());
        for (file, version, is_replaced) in further {
            let (name, digest) = (file.name.as_str(), file.blob.digest);
            while old.get(at).is_some_and(|entry| self.files.compare(entry, name, digest).is_lt()) {
                merged.push(old[at]);
                at += 1;
            }
            if old.get(at).is_some_and(|entry| self.files.compare(entry, name, digest).is_eq()) {
                continue;
            }
            let beside = [old.get(at), merged.last()].into_iter().flatten();
            let known = beside.map(|entry| entry.name).find(|known| self.files.names.get(*known) == name);
            let names = &mut self.files.names;
            let name = known.unwrap_or_else(|| names.add(name));
            let of = file.of.as_ref().map(|of| *variants.entry(of).or_insert_with(|| names.add(of.as_str())));
            let media_type = file.media_type.as_deref().map_or(u32::MAX, |text| self.media_type(text));
            let (size, version, is_replaced) = (file.blob.size, *version, *is_replaced);
            merged.push(Entry { digest, size, name, of, media_type, version, is_replaced });
        }
        merged.extend_from_slice(&old[at..]);
        self.files.entries = old;
        merged
    }

    fn media_type(&mut self, text: &str) -> u32 {
        if let Some(known) = self.media_types.get(text) {
            return *known;
        }
        let (new, at) = (Arc::<str>::from(text), u32::try_from(self.media_types.len()).unwrap_or(u32::MAX));
        self.files.media_types.push(Arc::clone(&new));
        self.media_types.insert(new, at);
        at
    }

    fn bytes(&self) -> usize {
        self.files.bytes() + self.versions.len() * (size_of::<VersionRow>() + 512) + size_of::<EarlierIndex>()
    }

    pub(super) fn finish(mut self) -> EarlierIndex {
        let bytes = self.bytes();
        let files = &mut self.files;
        files.entries.shrink_to_fit();
        files.names.shrink_to_fit();
        let mut by_content: Vec<u32> = (0..u32::try_from(files.entries.len()).unwrap_or(u32::MAX)).collect();
        by_content.sort_unstable_by_key(|at| {
            let entry = &files.entries[*at as usize];
            (entry.digest, directory(files.names.get(entry.name)))
        });
        let forms = files.entries.iter().zip(0_u32..).filter_map(|(entry, at)| {
            let name = files.names.get(entry.name);
            match composed(name) {
                Cow::Owned(form) if form != name => Some((form.into(), at)),
                _ => None,
            }
        });
        let mut by_form: Vec<(Box<str>, u32)> = forms.collect();
        by_form.sort_unstable();
        (files.by_content, files.by_form) = (by_content, by_form);
        let Self { generation, policy, active, eligible, versions, files, .. } = self;
        EarlierIndex { generation, policy, active, eligible, versions, files: Arc::new(files), bytes }
    }
}

/// The composed form (NFC) of a name.
fn composed(name: &str) -> Cow<'_, str> {
    if name.is_ascii() { name.into() } else { text::composed(name) }
}

#[cfg(test)]
mod tests;
