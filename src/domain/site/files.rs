//! The files of a site, found by path.

use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use crate::domain::manifest::{Artifact, Coding, Descriptor, SiteSettings};
use crate::domain::pauses::Pauses as _;
use crate::domain::{FileName, Manifest, text};

use super::hashed::is_hashed;

/// Name of the file of redirects. It is not served.
pub(super) const REDIRECTS: &str = "_redirects";
/// Name of the file of headers. It is not served.
pub(super) const HEADERS: &str = "_headers";
/// Name of the page that explains that nothing was found, in the directory of which it does so.
const NOT_FOUND: &str = "404.html";

/// An empty place of the table.
const EMPTY: u32 = u32::MAX;

/// A file of a site: its position in the manifest's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(u32);

/// What answers need to know of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteFile {
    /// Its name.
    pub name: FileName,
    /// Its content.
    pub blob: Descriptor,
    /// Its media type, if the manifest states a valid one. Shared by all files of that type.
    pub media_type: Option<Arc<str>>,
}

/// The files of a site by path: some 150 bytes for each, of which its name is one copy.
///
/// Variants, `_redirects` and `_headers` are not among them. A file whose name is not in composed Unicode form (NFC) is
/// found by its composed name.
#[derive(Debug)]
pub struct Files {
    list: Box<[SiteFile]>,
    settings: SiteSettings,
    entrypoint: Option<FileName>,
    /// Open addressing with linear probing: positions in the manifest's list, and [`EMPTY`].
    table: Box<[u32]>,
    hasher: RandomState,
    /// The file, its variant and the coding of that, sorted.
    variants: Box<[(FileId, FileId, Coding)]>,
    /// Length of the longest name of a directory with a `404.html`. `None` if there is none.
    deepest_not_found: Option<usize>,
}

impl Files {
    /// The files of this manifest. Those behind the first 2^32 - 1 are not found.
    #[must_use]
    pub fn new(manifest: &Manifest) -> Self {
        let count = manifest.files.len().min(EMPTY as usize - 1);
        let table = vec![EMPTY; (count * 2).next_power_of_two()].into_boxed_slice();
        let (hasher, variants, deepest_not_found) = (RandomState::new(), Box::default(), None);
        let (settings, entrypoint) = (manifest.site.clone(), manifest.entrypoint.clone());
        let list = listed(&manifest.files[..count]);
        let mut files = Self { list, settings, entrypoint, table, hasher, variants, deepest_not_found };
        let (mut variants, mut others) = (Vec::new(), Vec::new());
        for (id, file) in (0_u32..).map(FileId).zip(manifest.files[..count].iter().with_pauses()) {
            if let Some(of) = &file.of {
                variants.push((id, of, file.encoding));
            } else if !matches!(file.name.as_str(), REDIRECTS | HEADERS) {
                if composed(&file.name) == file.name.as_str() {
                    files.insert(id);
                } else {
                    others.push(id);
                }
            }
        }
        // Names that are not composed give way to those that are.
        for id in others {
            files.insert(id);
        }
        files.add_variants(&variants);
        files.deepest_not_found = files.ids().with_pauses().filter_map(|id| files.not_found_directory(id)).max();
        files
    }

    /// Adds the variants of files that there are. What states to be one of another file is a file itself.
    fn add_variants(&mut self, candidates: &[(FileId, &FileName, Option<Coding>)]) {
        let mut variants = Vec::with_capacity(candidates.len());
        for (id, of, coding) in candidates {
            match (self.find(&composed(of)).filter(|of| of != id), *coding) {
                (Some(of), Some(coding)) => variants.push((of, *id, coding)),
                // Of a coding that a newer larder knows.
                (Some(_), None) => {}
                (None, _) => self.insert(*id),
            }
        }
        variants.sort_unstable();
        self.variants = variants.into();
    }

    /// Adds a file, unless there is one of this name.
    fn insert(&mut self, id: FileId) {
        let place = self.place(&composed(&self.file(id).name));
        if self.table[place] == EMPTY {
            self.table[place] = id.0;
        }
    }

    /// The place of a name in the table, or the empty place where it would be. At least half of all places are empty.
    fn place(&self, name: &str) -> usize {
        let mask = self.table.len() - 1;
        let mut place = usize::try_from(self.hasher.hash_one(name) & mask as u64).unwrap_or_default();
        while self.table[place] != EMPTY && !self.has_name(FileId(self.table[place]), name) {
            place = (place + 1) & mask;
        }
        place
    }

    fn has_name(&self, id: FileId, name: &str) -> bool {
        let own = &self.file(id).name;
        own.as_str() == name || (!own.as_str().is_ascii() && composed(own) == name)
    }

    /// The file of this name, in composed form and without a slash at its beginning.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<FileId> {
        let found = self.table[self.place(name)];
        (found != EMPTY).then_some(FileId(found))
    }

    /// How the site answers requests.
    #[must_use]
    pub fn settings(&self) -> &SiteSettings {
        &self.settings
    }

    /// What the manifest states of a file.
    #[must_use]
    pub fn file(&self, id: FileId) -> &SiteFile {
        &self.list[id.0 as usize]
    }

    /// All files, in the order of the manifest.
    pub fn ids(&self) -> impl Iterator<Item = FileId> + use<> {
        let mut ids: Vec<u32> = self.table.iter().copied().filter(|id| *id != EMPTY).collect();
        ids.sort_unstable();
        ids.into_iter().map(FileId)
    }

    /// The variants of a file, with their codings.
    pub fn variants(&self, id: FileId) -> impl Iterator<Item = (&SiteFile, Coding)> {
        let first = self.variants.partition_point(|(of, ..)| *of < id);
        let of_file = self.variants[first..].iter().take_while(move |(of, ..)| *of == id);
        of_file.map(|(_, variant, coding)| (self.file(*variant), *coding))
    }

    /// How much memory it takes, in bytes: what an allocation takes beside its bytes is that of a common allocator.
    #[must_use]
    pub fn bytes(&self) -> usize {
        const ALLOCATION: usize = 16;
        let text = |name: &FileName| (name.as_str().len() + ALLOCATION).next_multiple_of(ALLOCATION);
        let media_types: HashSet<&str> = self.list.iter().filter_map(|file| file.media_type.as_deref()).collect();
        let settings = &self.settings;
        size_of_val(&*self.table)
            + size_of_val(&*self.variants)
            + size_of_val(&*self.list)
            + self.list.iter().map(|file| text(&file.name)).sum::<usize>()
            + media_types.iter().map(|text| text.len() + 2 * ALLOCATION).sum::<usize>()
            + settings.revalidate.iter().map(|name| text(name) + size_of::<FileName>()).sum::<usize>()
    }

    /// The start page.
    #[must_use]
    pub fn start(&self) -> Option<FileId> {
        let stated = self.entrypoint.as_ref().and_then(|name| self.find(&composed(name)));
        stated.or_else(|| self.find("index.html"))
    }

    /// The nearest `404.html` upwards from a path, which begins without a slash: beside the file that it would be, or in
    /// a directory above.
    #[must_use]
    pub fn not_found(&self, path: &str) -> Option<FileId> {
        // Directories with longer names have none.
        let within = &path[..path.floor_char_boundary(self.deepest_not_found?.saturating_add(1))];
        let mut directories = within.rmatch_indices('/').map(|(at, _)| &within[..at]);
        let nearest = directories.find_map(|directory| self.find(&format!("{directory}/{NOT_FOUND}")));
        nearest.or_else(|| self.find(NOT_FOUND))
    }

    fn not_found_directory(&self, id: FileId) -> Option<usize> {
        let name = composed(&self.file(id).name);
        let directory = name.strip_suffix(NOT_FOUND)?;
        (directory.is_empty() || directory.ends_with('/')).then(|| directory.len().saturating_sub(1))
    }

    /// Whether a file has the same bytes under this name for ever: its name holds a hash or is among the settings'
    /// immutable ones, and the settings do not demote it. Pages never count as hashed.
    #[must_use]
    pub fn is_immutable(&self, id: FileId) -> bool {
        self.is_immutable_name(&self.file(id).name)
    }

    /// As [`Files::is_immutable`], for a file of this name that another version has.
    #[must_use]
    pub fn is_immutable_name(&self, name: &FileName) -> bool {
        let settings = &self.settings;
        is_kept(settings, name) && !settings.is_revalidated(name)
    }

    /// The files that have other bytes in an older version of the site, and are immutable here or were so there. Clients
    /// and caches would keep either for a year, so such a version must not be published without demoting the files
    /// ([`SiteSettings::revalidate`]).
    #[must_use]
    pub fn changed_immutable(&self, older: &Manifest) -> Vec<&FileName> {
        let changed = older.files.iter().filter_map(|old| {
            let id = self.find(&composed(&old.name))?;
            let new = self.file(id);
            let is_changed = new.blob.digest != old.blob.digest && !self.settings.is_revalidated(&new.name);
            let was_kept = || is_kept(&older.site, &old.name) && !older.site.is_revalidated(&old.name);
            (is_changed && (self.is_immutable(id) || was_kept())).then_some(&new.name)
        });
        changed.collect()
    }
}

/// What is needed of files, in their order.
fn listed(files: &[Artifact]) -> Box<[SiteFile]> {
    let mut media_types: HashSet<Arc<str>> = HashSet::new();
    let mut shared = |text: &str| {
        let known = media_types.get(text).cloned();
        known.unwrap_or_else(|| {
            let new: Arc<str> = text.into();
            media_types.insert(Arc::clone(&new));
            new
        })
    };
    let file = |file: &Artifact| {
        let media_type = file.media_type.as_deref().map(&mut shared);
        SiteFile { name: file.name.clone(), blob: file.blob, media_type }
    };
    files.iter().with_pauses().map(file).collect()
}

/// Whether clients keep a file of this name for a year, unless it is demoted.
pub(super) fn is_kept(settings: &SiteSettings, name: &FileName) -> bool {
    is_hashed(name.base()) || settings.immutable.iter().any(|glob| glob.matches(name.as_str()))
}

/// The composed form of a name.
pub(super) fn composed(name: &FileName) -> Cow<'_, str> {
    if name.as_str().is_ascii() { Cow::Borrowed(name.as_str()) } else { text::composed(name.as_str()) }
}

#[cfg(test)]
mod tests;
