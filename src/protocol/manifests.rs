//! Reading manifests: the exact bytes that were published, the interpretation by their format, and an index over their
//! files.
//!
//! Larder serves the bytes of a manifest even if it cannot interpret them; only access to its contents needs a known
//! format. What a manifest needs is determined the same way for all formats: its blobs, the manifests it names, and
//! what those need in turn.

mod child;
mod composition;
mod securing;
mod walk;

use std::mem::take;
use std::sync::Arc;

use bytes::Bytes;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use tokio::time::Duration;

use crate::domain::manifest::{Aliases, Artifact, Descriptor, FORMATS, FileIndex, Format, Limits, ReadError, oci};
use crate::domain::{Digest, FileName, Manifest, ManifestError, Summary};
use crate::protocol::Blobs;
use crate::protocol::flights::Flights;
use crate::protocol::long_work::{LONG, release, work_on};
use crate::store::{Object, StoreError, StoreErrorKind};

use child::ReadChild;
pub use securing::Secured;
pub use walk::ManifestWalk;

/// Size of the cache of manifests and their indexes, in bytes. They are immutable, so entries never become stale;
/// whether a version may still be read is decided by its row, not here.
const REMEMBERED_BYTES: u64 = 32 << 20;

/// Maximum age of a read in flight that a caller joins. Its bytes are valid at any age; the limit is for reads that
/// find none.
const PATIENCE: Duration = Duration::from_secs(10);

const DAMAGED: &str = "the bytes of this manifest, or attachment, do not have its digest";

/// A manifest whose bytes were read and verified.
#[derive(Debug)]
pub struct LoadedManifest {
    /// The bytes as published.
    pub bytes: Bytes,
    contents: Contents,
    index: FileIndex,
    cost: u64,
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
        Self { bytes, contents, index, cost: 0 }
    }

    /// The interpreted manifest. An index has the files of the manifests that it lists.
    ///
    /// # Errors
    /// [`StoreErrorKind::Newer`] when only a newer binary can read it, [`StoreErrorKind::Corrupt`] when the bytes are
    /// malformed.
    pub fn manifest(&self) -> Result<&Manifest, StoreError> {
        self.contents.get()
    }

    /// A measure of the work that a look at all files is, in bytes of a manifest that has them.
    #[must_use]
    pub fn weight(&self) -> u64 {
        let files = self.contents.read.as_ref().map_or(0, |manifest| manifest.files.len());
        self.bytes.len().max(files * 200) as u64
    }

    /// The cost of reading what an index lists, in bytes; 0 for other documents, which cost what they have bytes.
    #[must_use]
    pub fn cost_below(&self) -> u64 {
        self.cost
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

/// The cache releases a manifest in whichever thread comes by, which is most likely one that answers requests.
impl Drop for LoadedManifest {
    fn drop(&mut self) {
        if self.weight() > LONG as u64
            && let Ok(manifest) = &mut self.contents.read
        {
            let (files, names) = (take(&mut manifest.files), take(&mut self.index).into_names());
            release(files.into_iter().map(drop).chain(names.map(drop)));
        }
    }
}

/// Everything that a manifest needs, transitively.
#[derive(Debug, Default)]
pub struct Closure {
    /// The manifest itself, its blobs, the manifests it names, and what those need in turn. May contain duplicates.
    pub needed: Vec<Descriptor>,
    /// The manifests among them that have no bytes, so that what they need is unknown.
    pub absent: Vec<Descriptor>,
    /// The manifests among them that cannot be read, each with the reason: one that another names and whose bytes are not
    /// of the stated type, or one with a SHA-512 digest that has no alias. No complete version has any.
    pub malformed: Vec<(Descriptor, String)>,
    /// The manifests among them besides the root, each once.
    pub children: Vec<Digest>,
    /// The bytes of the root, unless it has none.
    pub root: Option<Bytes>,
}

/// The cache key of a manifest: the same bytes mean something else under another media type.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct ReadAs {
    digest: Digest,
    media_type: Option<Box<str>>,
    /// Whether an index has the files of the manifests that it lists.
    composed: bool,
}

impl ReadAs {
    /// Memory that a manifest takes, about, in bytes.
    fn weigh(&self, loaded: &LoadedManifest) -> u32 {
        // Files that are not in the bytes have up to three aliases each.
        let files = loaded.manifest().map_or(0, |manifest| manifest.files.len());
        let composed = if self.composed { files * 1024 } else { 0 };
        u32::try_from(1024 + loaded.bytes.len() * 4 + composed).unwrap_or(u32::MAX)
    }
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
        let weigh = |read: &ReadAs, loaded: &Arc<LoadedManifest>| read.weigh(loaded);
        // Least recently used, so that what was just published is always kept.
        let remembered =
            Cache::builder().max_capacity(REMEMBERED_BYTES).weigher(weigh).eviction_policy(EvictionPolicy::lru());
        let remembered = remembered.build();
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

    /// Interprets a document that is being published or was published, without a look at the store. If it has SHA-512
    /// digests, [`Manifests::resolve`] has to go on.
    ///
    /// # Errors
    /// A [`ReadError`].
    pub fn understand(&self, bytes: &[u8], media_type: Option<&str>) -> Result<Manifest, ReadError> {
        (Format::among(self.formats, media_type)?.read)(bytes, &Aliases::default())
    }

    /// Completes what [`Manifests::understand`] has read: looks up the aliases that the document needs.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn resolve(
        &self,
        bytes: &[u8],
        media_type: Option<&str>,
        understood: Result<Manifest, ReadError>,
    ) -> Result<Result<Manifest, ReadError>, StoreError> {
        let (Err(ReadError::Unresolved(digests)), Ok(format)) = (&understood, Format::among(self.formats, media_type))
        else {
            return Ok(understood);
        };
        let aliases = self.blobs.aliases().resolve_all(digests).await?;
        Ok((format.read)(bytes, &aliases))
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
                // An alias that is missing may come.
                let is_final = !matches!(contents.read, Err(ReadError::Unresolved(_)));
                Ok(Some(manifests.indexed(key, bytes, contents, is_final)))
            }
        };
        self.reads.join(&key, PATIENCE, read).await
    }

    fn indexed(&self, key: ReadAs, bytes: Bytes, contents: Contents, is_final: bool) -> Arc<LoadedManifest> {
        work_on(bytes.len(), || {
            let loaded = Arc::new(LoadedManifest::new(bytes, contents));
            // One that the cache cannot keep would stay in memory until the cache is looked through.
            if is_final && u64::from(key.weigh(&loaded)) <= REMEMBERED_BYTES {
                self.remembered.insert(key, Arc::clone(&loaded));
                // Freeing those that make room takes long, too.
                self.remembered.run_pending_tasks();
            }
            loaded
        })
    }

    /// Keeps a long release in Larder's own format that was just stored under its digest, with what
    /// [`Manifests::understand`] made of it, so that it is not read and parsed again to be committed and served.
    pub fn keep(&self, summary: &Summary, bytes: Bytes, manifest: Manifest) {
        let digest = summary.manifest.digest;
        if summary.media_type.is_some() || bytes.len() <= LONG || bytes.len() as u64 * 4 > REMEMBERED_BYTES {
            return;
        }
        let key = ReadAs { digest, media_type: None, composed: false };
        self.indexed(key, bytes, Contents { digest, read: Ok(manifest) }, true);
    }

    /// Like [`Manifests::load`], without cache and index.
    async fn read(
        &self,
        descriptor: Descriptor,
        media_type: Option<&str>,
    ) -> Result<Option<(Bytes, Contents)>, StoreError> {
        match self.open(descriptor.digest).await? {
            Some(object) => self.read_object(object, descriptor, media_type).await.map(Some),
            None => Ok(None),
        }
    }

    /// The bytes of something small that is attached to a version. `None` when they are gone.
    ///
    /// # Errors
    /// When the store fails, or holds other bytes.
    pub(super) async fn attachment(&self, blob: Descriptor) -> Result<Option<Bytes>, StoreError> {
        let Some(object) = self.open(blob.digest).await? else { return Ok(None) };
        let bytes = object.bytes(blob.size).await?;
        let is_sound = Digest::of(&bytes) == blob.digest;
        if is_sound { Ok(Some(bytes)) } else { Err(StoreError::new(StoreErrorKind::Corrupt, blob.digest, DAMAGED)) }
    }

    async fn open(&self, digest: Digest) -> Result<Option<Object>, StoreError> {
        match self.blobs.open(digest, None).await? {
            // A version whose manifest is damaged is not one whose bytes are gone for good.
            None if self.blobs.is_damaged(&digest) => Err(StoreError::new(StoreErrorKind::Corrupt, digest, DAMAGED)),
            found => Ok(found),
        }
    }

    async fn read_object(
        &self,
        object: Object,
        descriptor: Descriptor,
        media_type: Option<&str>,
    ) -> Result<(Bytes, Contents), StoreError> {
        let key = object.meta.key.clone();
        let bytes = object.bytes(descriptor.size).await?;
        let understood = work_on(bytes.len(), || {
            let is_sound = Digest::of(&bytes) == descriptor.digest;
            is_sound.then(|| self.understand(&bytes, media_type))
        });
        let Some(understood) = understood else { return Err(StoreError::new(StoreErrorKind::Corrupt, &key, DAMAGED)) };
        let read = self.resolve(&bytes, media_type, understood).await?;
        Ok((bytes, Contents { digest: descriptor.digest, read }))
    }

    /// Follows a manifest to everything that it needs. Reads each manifest on the way once.
    ///
    /// # Errors
    /// When the store fails, or a manifest cannot be read: what is needed is then unknown.
    pub async fn closure(&self, root: Descriptor, media_type: Option<&str>) -> Result<Closure, StoreError> {
        let mut closure = Closure { needed: vec![root], ..Closure::default() };
        let Some((bytes, contents)) = self.read(root, media_type).await? else {
            closure.absent.push(root);
            return Ok(closure);
        };
        closure.root = Some(bytes);
        if let Err(error @ ReadError::Unresolved(_)) = &contents.read {
            closure.malformed.push((root, error.to_string()));
            return Ok(closure);
        }
        let mut walk = ManifestWalk::default();
        let manifest = contents.get()?;
        closure.needed.extend(&manifest.blobs);
        walk.add(manifest.children.iter().cloned());
        while let Some(child) = walk.pop() {
            closure.needed.push(child.blob);
            closure.children.push(child.blob.digest);
            match self.read_child(&child).await? {
                ReadChild::Absent => closure.absent.push(child.blob),
                ReadChild::Malformed(why) => closure.malformed.push((child.blob, why)),
                ReadChild::Unresolved(digests) => {
                    closure.malformed.push((child.blob, ReadError::Unresolved(digests).to_string()));
                }
                ReadChild::Manifest(manifest) => {
                    closure.needed.extend(&manifest.blobs);
                    walk.add(manifest.children.iter().cloned());
                }
            }
        }
        Ok(closure)
    }
}

/// The error of the store for a manifest that cannot be read.
pub(crate) fn unreadable(digest: Digest, error: ReadError) -> StoreError {
    let kind = match error {
        ReadError::UnknownFormat(_) => StoreErrorKind::Newer,
        ReadError::Malformed(_) | ReadError::Unresolved(_) => StoreErrorKind::Corrupt,
    };
    StoreError::new(kind, digest, error)
}
