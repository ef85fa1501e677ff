//! The files of a site, found by path.

use std::borrow::Cow;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use crate::domain::manifest::{Artifact, Coding, SiteSettings};
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

/// The files of a site by path, without copies of their names: 8 to 16 bytes for each file beside the manifest.
///
/// Variants, `_redirects` and `_headers` are not among them. A file whose name is not in composed Unicode form (NFC) is
/// found by its composed name.
#[derive(Debug)]
pub struct Files {
    manifest: Arc<Manifest>,
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
    pub fn new(manifest: Arc<Manifest>) -> Self {
        let count = manifest.files.len().min(EMPTY as usize - 1);
        let table = vec![EMPTY; (count * 2).next_power_of_two()].into_boxed_slice();
        let (hasher, variants, deepest_not_found) = (RandomState::new(), Box::default(), None);
        let mut files = Self { manifest, table, hasher, variants, deepest_not_found };
        let (mut variants, mut others) = (Vec::new(), Vec::new());
        for id in (0_u32..).take(count).map(FileId) {
            let file = files.artifact(id);
            if file.of.is_some() {
                variants.push(id);
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
        files.deepest_not_found = files.ids().filter_map(|id| files.not_found_directory(id)).max();
        files
    }

    /// Adds the variants of files that there are. What states to be one of another file is a file itself.
    fn add_variants(&mut self, candidates: &[FileId]) {
        let mut variants = Vec::with_capacity(candidates.len());
        for id in candidates {
            let artifact = self.artifact(*id);
            let of = artifact.of.as_ref().and_then(|of| self.find(&composed(of)));
            match (of.filter(|of| of != id), artifact.encoding) {
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
        let place = self.place(&composed(&self.artifact(id).name));
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
        let own = &self.artifact(id).name;
        own.as_str() == name || (!own.as_str().is_ascii() && composed(own) == name)
    }

    /// The file of this name, in composed form and without a slash at its beginning.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<FileId> {
        let found = self.table[self.place(name)];
        (found != EMPTY).then_some(FileId(found))
    }

    /// The manifest that the files are of.
    #[must_use]
    pub fn manifest(&self) -> &Arc<Manifest> {
        &self.manifest
    }

    /// What the manifest states of a file.
    #[must_use]
    pub fn artifact(&self, id: FileId) -> &Artifact {
        &self.manifest.files[id.0 as usize]
    }

    /// All files, in the order of the manifest.
    pub fn ids(&self) -> impl Iterator<Item = FileId> + use<> {
        let mut ids: Vec<u32> = self.table.iter().copied().filter(|id| *id != EMPTY).collect();
        ids.sort_unstable();
        ids.into_iter().map(FileId)
    }

    /// The variants of a file, with their codings.
    pub fn variants(&self, id: FileId) -> impl Iterator<Item = (&Artifact, Coding)> {
        let first = self.variants.partition_point(|(of, ..)| *of < id);
        let of_file = self.variants[first..].iter().take_while(move |(of, ..)| *of == id);
        of_file.map(|(_, variant, coding)| (self.artifact(*variant), *coding))
    }

    /// How much memory the index takes beside the manifest, in bytes.
    #[must_use]
    pub fn own_bytes(&self) -> usize {
        size_of_val(&*self.table) + size_of_val(&*self.variants)
    }

    /// The start page.
    #[must_use]
    pub fn start(&self) -> Option<FileId> {
        let stated = self.manifest.entrypoint.as_ref().and_then(|name| self.find(&composed(name)));
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
        let name = composed(&self.artifact(id).name);
        let directory = name.strip_suffix(NOT_FOUND)?;
        (directory.is_empty() || directory.ends_with('/')).then(|| directory.len().saturating_sub(1))
    }

    /// Whether a file has the same bytes under this name for ever: its name holds a hash or is among the settings'
    /// immutable ones, and the settings do not demote it. Pages never count as hashed.
    #[must_use]
    pub fn is_immutable(&self, id: FileId) -> bool {
        self.is_immutable_name(&self.artifact(id).name)
    }

    /// As [`Files::is_immutable`], for a file of this name that another version has.
    #[must_use]
    pub fn is_immutable_name(&self, name: &FileName) -> bool {
        let settings = &self.manifest.site;
        is_kept(settings, name) && !settings.is_revalidated(name)
    }

    /// The files that have other bytes in an older version of the site, and are immutable here or were so there. Clients
    /// and caches would keep either for a year, so such a version must not be published without demoting the files
    /// ([`SiteSettings::revalidate`]).
    #[must_use]
    pub fn changed_immutable(&self, older: &Manifest) -> Vec<&FileName> {
        let changed = older.files.iter().filter_map(|old| {
            let id = self.find(&composed(&old.name))?;
            let new = self.artifact(id);
            let is_changed = new.blob.digest != old.blob.digest && !self.manifest.site.is_revalidated(&new.name);
            let was_kept = || is_kept(&older.site, &old.name) && !older.site.is_revalidated(&old.name);
            (is_changed && (self.is_immutable(id) || was_kept())).then_some(&new.name)
        });
        changed.collect()
    }
}

/// Whether clients keep a file of this name for a year, unless it is demoted.
fn is_kept(settings: &SiteSettings, name: &FileName) -> bool {
    is_hashed(name.base()) || settings.immutable.iter().any(|glob| glob.matches(name.as_str()))
}

/// The composed form of a name.
pub(super) fn composed(name: &FileName) -> Cow<'_, str> {
    if name.as_str().is_ascii() { Cow::Borrowed(name.as_str()) } else { text::composed(name.as_str()) }
}

#[cfg(test)]
mod tests;
