//! Reading manifests: the exact bytes that were published, the interpretation by their format, and an index over their
//! files.
//!
//! Larder serves the bytes of a manifest even if it cannot interpret them; only access to its contents needs a known
//! format. What a manifest needs is determined the same way for all formats: its blobs, the manifests it names, and
//! what those need in turn.

mod composition;

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use moka::sync::Cache;
use tokio::time::Duration;

use crate::domain::manifest::{Artifact, Child, Descriptor, FORMATS, FileIndex, Format, Limits, ReadError, oci};
use crate::domain::{Digest, FileName, Manifest, ManifestError};
use crate::protocol::Blobs;
use crate::protocol::blobs::Check;
use crate::protocol::flights::Flights;
use crate::store::{StoreError, StoreErrorKind};

/// Size of the cache of manifests and their indexes, in bytes. They are immutable, so entries never become stale;
/// whether a version may still be read is decided by its row, not here.
const REMEMBERED_BYTES: u64 = 32 << 20;

/// Maximum age of a read in flight that a caller joins. Its bytes are valid at any age; the limit is for reads that
/// find none.
const PATIENCE: Duration = Duration::from_secs(10);

/// A manifest whose bytes were read and verified.
#[derive(Debug)]
pub struct LoadedManifest {
    /// The bytes as published.
    pub bytes: Bytes,
    contents: Contents,
    index: FileIndex,
}

/// A manifest as interpreted by its format.
#[derive(Debug, Clone)]
struct Contents {
    digest: Digest,
    read: Result<Manifest, ReadError>,
}

impl Contents {
    fn get(&self) -> Result<&Manifest, StoreError> {
        self.read.as_ref().map_err(|error| unreadable(self.digest, error.clone()))
    }
}

impl LoadedManifest {
    fn new(bytes: Bytes, contents: Contents) -> Self {
        let files = contents.read.as_ref().map_or(&[][..], |manifest| &manifest.files);
        let index = FileIndex::new(files);
        Self { bytes, contents, index }
    }

    /// The interpreted manifest. An index has the files of the manifests that it lists.
    ///
    /// # Errors
    /// [`StoreErrorKind::Newer`] when only a newer binary can read it, [`StoreErrorKind::Corrupt`] when the bytes are
    /// malformed.
    pub fn manifest(&self) -> Result<&Manifest, StoreError> {
        self.contents.get()
    }

    /// The file of this name, or `None`. A name in its other Unicode form is found if it is unique. A file of an index is
    /// found by its bare name, too, if it is the first of that name, and below `OS-ARCH[-VARIANT]/`.
    ///
    /// # Errors
    /// As [`LoadedManifest::manifest`].
    pub fn file(&self, name: &FileName) -> Result<Option<&Artifact>, StoreError> {
        let manifest = self.manifest()?;
        Ok(self.index.find(name).map(|at| &manifest.files[at]))
    }
}

/// Everything that a manifest needs, transitively.
#[derive(Debug, Default)]
pub struct Closure {
    /// The manifest itself, its blobs, the manifests it names, and what those need in turn. May contain duplicates.
    pub needed: Vec<Descriptor>,
    /// The manifests among them that have no bytes, so that what they need is unknown.
    pub absent: Vec<Descriptor>,
}

/// The cache key of a manifest: the same bytes mean something else under another media type.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct ReadAs {
    digest: Digest,
    media_type: Option<Box<str>>,
    /// Whether an index has the files of the manifests that it lists.
    composed: bool,
}

/// The manifests in a store.
#[derive(Debug)]
pub struct Manifests {
    blobs: Arc<Blobs>,
    formats: &'static [Format],
    remembered: Cache<ReadAs, Arc<LoadedManifest>>,
    reads: Flights<ReadAs, Option<Arc<LoadedManifest>>>,
}

impl Manifests {
    /// Manifests stored among `blobs`, in all formats that this binary knows.
    #[must_use]
    pub fn new(blobs: Arc<Blobs>) -> Self {
        Self::with_formats(blobs, FORMATS)
    }

    /// Manifests stored among `blobs`, in these formats. The first one applies to documents without a media type.
    #[must_use]
    pub fn with_formats(blobs: Arc<Blobs>, formats: &'static [Format]) -> Self {
        let weigh = |read: &ReadAs, loaded: &Arc<LoadedManifest>| {
            // Files that are not in the bytes have up to three aliases each.
            let files = loaded.manifest().map_or(0, |manifest| manifest.files.len());
            let composed = if read.composed { files * 1024 } else { 0 };
            u32::try_from(1024 + loaded.bytes.len() * 4 + composed).unwrap_or(u32::MAX)
        };
        let remembered = Cache::builder().max_capacity(REMEMBERED_BYTES).weigher(weigh).build();
        Self { blobs, formats, remembered, reads: Flights::default() }
    }

    /// Checks a document that is to be published.
    ///
    /// # Errors
    /// A [`ManifestError`] that names what is wrong with the document.
    pub fn check(&self, bytes: &[u8], media_type: Option<&str>, limits: Limits) -> Result<(), ManifestError> {
        let format = Format::among(self.formats, media_type);
        let format = format.map_err(|error| ManifestError::Malformed(error.to_string()))?;
        (format.check)(bytes, limits)
    }

    /// Interprets a document that is being published or was published.
    ///
    /// # Errors
    /// As [`LoadedManifest::manifest`].
    pub fn understand(&self, bytes: &[u8], media_type: Option<&str>) -> Result<Manifest, StoreError> {
        self.interpret(bytes, media_type).map_err(|error| unreadable(Digest::of(bytes), error))
    }

    fn interpret(&self, bytes: &[u8], media_type: Option<&str>) -> Result<Manifest, ReadError> {
        (Format::among(self.formats, media_type)?.read)(bytes)
    }

    /// Reads a manifest and verifies its digest. `None` when its bytes are gone. An index gets the files of the manifests
    /// that it lists and that are there, which costs a read of each of them, once. Concurrent callers share one read
    /// from the store.
    ///
    /// # Errors
    /// When the store fails, or holds other bytes than were published.
    pub async fn load(
        self: &Arc<Self>,
        descriptor: Descriptor,
        media_type: Option<&str>,
    ) -> Result<Option<Arc<LoadedManifest>>, StoreError> {
        let Some(loaded) = self.load_alone(descriptor, media_type).await? else { return Ok(None) };
        if !loaded.manifest().is_ok_and(|manifest| oci::is_index(&manifest.media_type)) {
            return Ok(Some(loaded));
        }
        let key = ReadAs { digest: descriptor.digest, media_type: media_type.map(Into::into), composed: true };
        self.composed(loaded, key).await
    }

    /// Like [`Manifests::load`], for callers who need no files: an index has none then, and no other manifest is read.
    ///
    /// # Errors
    /// As [`Manifests::load`].
    pub async fn load_alone(
        self: &Arc<Self>,
        descriptor: Descriptor,
        media_type: Option<&str>,
    ) -> Result<Option<Arc<LoadedManifest>>, StoreError> {
        let key = ReadAs { digest: descriptor.digest, media_type: media_type.map(Into::into), composed: false };
        if let Some(loaded) = self.remembered.get(&key) {
            return Ok(Some(loaded));
        }
        let read = || {
            let (manifests, key) = (Arc::clone(self), key.clone());
            async move {
                let Some((bytes, contents)) = manifests.read(descriptor, key.media_type.as_deref()).await? else {
                    return Ok(None);
                };
                let loaded = Arc::new(LoadedManifest::new(bytes, contents));
                manifests.remembered.insert(key, Arc::clone(&loaded));
                Ok(Some(loaded))
            }
        };
        self.reads.join(&key, PATIENCE, read).await
    }

    /// Like [`Manifests::load`], without cache and index.
    async fn read(
        &self,
        descriptor: Descriptor,
        media_type: Option<&str>,
    ) -> Result<Option<(Bytes, Contents)>, StoreError> {
        let why = "the bytes of this manifest do not have its digest";
        let Some(object) = self.blobs.open(descriptor.digest, None).await? else {
            // A version whose manifest is damaged is not one whose bytes are gone for good.
            let is_damaged = self.blobs.is_damaged(&descriptor.digest);
            let damaged = || StoreError::new(StoreErrorKind::Corrupt, descriptor.digest, why);
            return if is_damaged { Err(damaged()) } else { Ok(None) };
        };
        let key = object.meta.key.clone();
        let bytes = object.bytes(descriptor.size).await?;
        if Digest::of(&bytes) != descriptor.digest {
            return Err(StoreError::new(StoreErrorKind::Corrupt, &key, why));
        }
        let contents = Contents { digest: descriptor.digest, read: self.interpret(&bytes, media_type) };
        Ok(Some((bytes, contents)))
    }

    /// Follows a manifest to everything that it needs. Reads each manifest on the way once.
    ///
    /// # Errors
    /// When the store fails, or a manifest cannot be read: what is needed is then unknown.
    pub async fn closure(&self, root: Descriptor, media_type: Option<&str>) -> Result<Closure, StoreError> {
        let mut closure = Closure::default();
        let mut walk = ManifestWalk::default();
        walk.add([Child { blob: root, media_type: media_type.map(Into::into) }]);
        while let Some(Child { blob, media_type }) = walk.pop() {
            closure.needed.push(blob);
            let Some((_, contents)) = self.read(blob, media_type.as_deref()).await? else {
                closure.absent.push(blob);
                continue;
            };
            let manifest = contents.get()?;
            closure.needed.extend(&manifest.blobs);
            walk.add(manifest.children.iter().cloned());
        }
        Ok(closure)
    }

    /// Ensures that everything a manifest needs, and `more`, has bytes that may be relied on (protocol step P2; see
    /// [`Blobs::secure`]). Returns the checks that failed; empty when everything is present.
    ///
    /// Works from the top down: a manifest is read only after its own bytes were secured, as the needs of a root are
    /// only looked at after its head was created (P1). Otherwise a collector could delete them between the two.
    ///
    /// # Errors
    /// When the store fails, or a manifest needs a newer binary.
    pub async fn secure(&self, manifest: &Manifest, more: Vec<Descriptor>) -> Result<Vec<Check>, StoreError> {
        let mut blobs = manifest.roots();
        blobs.extend(more);
        let mut walk = ManifestWalk::default();
        walk.add(manifest.children.iter().cloned());
        if walk.is_done() {
            return self.blobs.secure(blobs).await;
        }
        // Checks and reports each blob only once, however many manifests name it.
        let mut looked_at: HashSet<Descriptor> = blobs.iter().copied().collect();
        let mut bad = self.blobs.secure(blobs).await?;
        while let Some(Child { blob, media_type }) = walk.pop() {
            if bad.iter().any(|check| check.refuses(blob.digest)) {
                continue;
            }
            let Some((_, contents)) = self.read(blob, media_type.as_deref()).await? else {
                bad.push(Check::Missing(blob));
                continue;
            };
            let manifest = match contents.read {
                Ok(manifest) => manifest,
                Err(ReadError::Malformed(why)) => {
                    bad.push(Check::Unreadable { stated: blob, why: why.into() });
                    continue;
                }
                Err(error) => return Err(unreadable(blob.digest, error)),
            };
            let mut blobs = manifest.roots();
            blobs.retain(|blob| looked_at.insert(*blob));
            bad.extend(self.blobs.secure(blobs).await?);
            walk.add(manifest.children.iter().cloned());
        }
        Ok(bad)
    }
}

/// The manifests still to be read, each once. Cycles are impossible because a manifest cannot contain its own digest,
/// but several manifests may name the same one.
#[derive(Debug, Default)]
pub struct ManifestWalk {
    waiting: Vec<Child>,
    seen: HashSet<Child>,
}

impl ManifestWalk {
    /// Adds manifests that were not added before.
    pub fn add(&mut self, manifests: impl IntoIterator<Item = Child>) {
        self.waiting.extend(manifests.into_iter().filter(|child| self.seen.insert(child.clone())));
    }

    /// Whether no manifest is left to read.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The next manifest to read.
    pub fn pop(&mut self) -> Option<Child> {
        self.waiting.pop()
    }
}

fn unreadable(digest: Digest, error: ReadError) -> StoreError {
    let kind = match error {
        ReadError::UnknownFormat(_) => StoreErrorKind::Newer,
        ReadError::Malformed(_) => StoreErrorKind::Corrupt,
    };
    StoreError::new(kind, digest, error)
}
