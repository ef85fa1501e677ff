//! Reading catalogs: the document that is active, parsed once for each of its digests.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::domain::attestation::{KeyId, PublicKey};
use crate::domain::catalog::{Bundle, CatalogName, DOCUMENT, Document, MAX_DOCUMENT, Problems, Root, stated_signer};
use crate::domain::manifest::Descriptor;
use crate::domain::timeless::{Lineage, packed_kinds};
use crate::domain::{Digest, FileName, Selector, Target, Ware};
use crate::protocol::{AsOf, Blobs};
use crate::service::wares::WareChecks;
use crate::service::{Resolve, ResolveError, Resolved};
use crate::store::{StoreError, StoreErrorKind};

/// Memory for documents that are kept, in bytes, of the worst ones: usual ones take a tenth of what they count as.
const REMEMBERED_BYTES: u64 = 192 << 20;
/// Memory for lineages that are kept, in bytes. Slow readers of one lineage share its bytes.
const REMEMBERED_LINEAGES: u64 = 32 << 20;
/// Memory that a document takes at most for each of its bytes: a map whose entries are a name and little else.
const EXPANSION: u64 = 48;
/// Documents that are parsed at once. Anybody can cause it by asking for one catalog after the other.
const AT_ONCE: usize = 2;
/// Size of documents up to which looking through one costs less than handing that to another thread, in bytes.
const SMALL: u64 = 64 << 10;
/// Catalogs whose signers are kept, less than 3 KiB each.
const SIGNERS: u64 = 4096;
/// Longest wait for a turn to parse one.
const TURN_WITHIN: Duration = Duration::from_secs(10);

/// Why a catalog cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CatalogReadError {
    /// It is not there.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// What is published there is no catalog, or one that this binary cannot read.
    #[error("the catalog {name} cannot be read here: {why}")]
    Unreadable {
        /// The catalog's name.
        name: CatalogName,
        /// What is wrong.
        why: String,
    },
    /// Too many other documents are being read.
    #[error("too many other catalogs are being read")]
    Busy,
    /// It lists no such release.
    #[error("the catalog lists no release {0:?}")]
    NoSuchRelease(String),
    /// The release has no such item.
    #[error("the release has no item {0:?}")]
    NoSuchItem(String),
}

impl From<StoreError> for CatalogReadError {
    fn from(error: StoreError) -> Self {
        Self::Resolve(error.into())
    }
}

/// The active document of a catalog.
#[derive(Debug, Clone)]
pub struct ActiveCatalog {
    /// The version of `C/_catalog` that has it.
    pub found: Resolved,
    /// Digest and size of the document's bytes.
    pub blob: Descriptor,
    /// The document. It was not verified: that is for those who rely on it.
    pub document: Arc<Document>,
    /// The roots, the first one first.
    pub roots: Vec<Descriptor>,
    /// The targets of TUF, and their version, which need not be the serial of the document.
    pub targets: Option<(u64, Descriptor)>,
    /// The signatures.
    pub signatures: Vec<Descriptor>,
}

/// What is stored of a catalog, whose document has not been read.
struct Listed {
    found: Resolved,
    blob: Descriptor,
    roots: Vec<Descriptor>,
    targets: Option<(u64, Descriptor)>,
    signatures: Vec<Descriptor>,
}

impl Listed {
    fn with(self, name: &CatalogName, known: Known) -> Result<ActiveCatalog, CatalogReadError> {
        let document = known.read.map_err(|why| unreadable(name, &why))?;
        let Self { found, blob, roots, targets, signatures } = self;
        Ok(ActiveCatalog { found, blob, document, roots, targets, signatures })
    }
}

fn unreadable(name: &CatalogName, why: &str) -> CatalogReadError {
    CatalogReadError::Unreadable { name: name.clone(), why: why.to_owned() }
}

/// Who has signed a document, as its signatures say: the id of a key of minisign, and the key, if the root lists it.
pub type Signers = Arc<[(KeyId, Option<PublicKey>)]>;

/// A document that was read, or why it is none, and the size of its bytes.
#[derive(Debug, Clone)]
struct Known {
    read: Result<Arc<Document>, Arc<str>>,
    size: u64,
}

/// What tools of the Timeless Stack read of a catalog.
#[derive(Debug, Clone)]
pub struct TimelessView {
    /// The lineage.
    pub lineage: Bytes,
    /// Digest of the lineage.
    pub digest: Digest,
    /// The types of ware of which the catalog has files.
    pub packed: Arc<[&'static str]>,
}

/// The service that reads catalogs.
#[derive(Debug)]
pub struct Catalogs {
    resolve: Arc<Resolve>,
    blobs: Arc<Blobs>,
    known: Cache<Digest, Known>,
    views: Cache<Digest, TimelessView>,
    /// By the manifest of the catalog.
    signers: Cache<Digest, Signers>,
    turns: Semaphore,
    wares: Arc<WareChecks>,
}

impl Catalogs {
    /// Creates the service from the parts it uses.
    #[must_use]
    pub fn new(resolve: Arc<Resolve>, blobs: Arc<Blobs>, wares: Arc<WareChecks>) -> Self {
        let weigh = |_: &Digest, known: &Known| {
            let document = if known.read.is_ok() { known.size * EXPANSION } else { 0 };
            // What weighs more than all of it would never be kept, and be parsed for every request.
            u32::try_from((512 + document).min(REMEMBERED_BYTES)).unwrap_or(u32::MAX)
        };
        let known = Cache::builder().max_capacity(REMEMBERED_BYTES).weigher(weigh);
        let known = known.eviction_policy(EvictionPolicy::lru()).build();
        let weigh = |_: &Digest, view: &TimelessView| u32::try_from(512 + view.lineage.len()).unwrap_or(u32::MAX);
        let views = Cache::builder().max_capacity(REMEMBERED_LINEAGES).weigher(weigh);
        let views = views.eviction_policy(EvictionPolicy::lru()).build();
        let signers = Cache::builder().max_capacity(SIGNERS).build();
        Self { resolve, blobs, known, views, signers, turns: Semaphore::new(AT_ONCE), wares }
    }

    /// The active document of a catalog.
    ///
    /// # Errors
    /// A [`CatalogReadError`].
    pub async fn active(&self, name: &CatalogName, fresh: AsOf) -> Result<ActiveCatalog, CatalogReadError> {
        self.at(name, Selector::Active, fresh).await
    }

    /// The same of another version.
    ///
    /// # Errors
    /// A [`CatalogReadError`].
    pub async fn at(
        &self,
        name: &CatalogName,
        selector: Selector,
        fresh: AsOf,
    ) -> Result<ActiveCatalog, CatalogReadError> {
        let listed = self.listed(name, selector, fresh).await?;
        if let Some(known) = self.known.get(&listed.blob.digest) {
            return listed.with(name, known);
        }
        let _turn = self.turn().await?;
        let known = self.parse(listed.blob).await?;
        listed.with(name, known)
    }

    /// Looks through the active document of a catalog: for a large one on a thread of its own, and in a turn, because the
    /// cache may let go of the document meanwhile. Returns the version that has it and its serial as well.
    ///
    /// # Errors
    /// A [`CatalogReadError`].
    pub async fn look_through<T: Send + 'static>(
        &self,
        name: &CatalogName,
        fresh: AsOf,
        look: impl FnOnce(&Document) -> T + Send + 'static,
    ) -> Result<(Resolved, u64, T), CatalogReadError> {
        let listed = self.listed(name, Selector::Active, fresh).await?;
        if listed.blob.size <= SMALL
            && let Some(known) = self.known.get(&listed.blob.digest)
        {
            let ActiveCatalog { found, document, .. } = listed.with(name, known)?;
            return Ok((found, document.serial, look(&document)));
        }
        let _turn = self.turn().await?;
        let known = self.parse(listed.blob).await?;
        let ActiveCatalog { found, blob, document, .. } = listed.with(name, known)?;
        let failed = |error| StoreError::new(StoreErrorKind::Internal, blob.digest, error);
        let serial = document.serial;
        let looked = tokio::task::spawn_blocking(move || look(&document)).await.map_err(failed)?;
        Ok((found, serial, looked))
    }

    async fn listed(&self, name: &CatalogName, selector: Selector, fresh: AsOf) -> Result<Listed, CatalogReadError> {
        let target = Target { name: name.manifest(), selector, explicit: false };
        let (found, loaded) = self.resolve.manifest(&target, fresh).await?;
        let unreadable = |problems: Problems| unreadable(name, &problems.to_string());
        let bundle = Bundle::of(loaded.manifest()?).map_err(unreadable)?;
        let (blob, roots) = (bundle.document.blob, bundle.roots.iter().map(|root| root.blob).collect());
        let targets = bundle.targets.map(|(version, file)| (version, file.blob));
        let signatures = bundle.signatures.iter().map(|signature| signature.blob).collect();
        Ok(Listed { found, blob, roots, targets, signatures })
    }

    /// A turn to read a document or to write one anew. Whoever waits for it should hold no document.
    async fn turn(&self) -> Result<SemaphorePermit<'_>, CatalogReadError> {
        let turn = timeout(TURN_WITHIN, self.turns.acquire()).await;
        turn.ok().and_then(Result::ok).ok_or(CatalogReadError::Busy)
    }

    /// Reads a document; the caller has a turn.
    async fn parse(&self, blob: Descriptor) -> Result<Known, CatalogReadError> {
        // Somebody else who waited for a turn may have read it.
        if let Some(known) = self.known.get(&blob.digest) {
            return Ok(known);
        }
        let gone =
            || StoreError::new(StoreErrorKind::Corrupt, blob.digest, format!("the bytes of {DOCUMENT} are gone"));
        let bytes = self.blobs.open(blob.digest, None).await?.ok_or_else(gone)?.bytes(MAX_DOCUMENT).await?;
        let failed = |error| StoreError::new(StoreErrorKind::Internal, blob.digest, error);
        // Large documents take tens of milliseconds.
        let read = tokio::task::spawn_blocking(move || Document::read(&bytes)).await.map_err(failed)?;
        let read = read.map(Arc::new).map_err(|error| error.to_string().into());
        let known = Known { read, size: blob.size };
        self.known.insert(blob.digest, known.clone());
        Ok(known)
    }

    /// Whether the ware of a release's file was computed from it once, and is the stated one. Authors name any files, so the
    /// caller decides who may learn it of this release.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn is_verified(&self, release: &Target, file: &FileName, stated: &Ware) -> Result<bool, StoreError> {
        let loaded = match self.resolve.manifest(release, AsOf::Now).await {
            Ok((_, loaded)) => loaded,
            Err(ResolveError::Store(error)) => return Err(error),
            Err(_) => return Ok(false),
        };
        match loaded.manifest()?.files.iter().find(|artifact| artifact.name == *file) {
            Some(artifact) => self.wares.is_verified(artifact.blob.digest, stated).await,
            None => Ok(false),
        }
    }

    /// The active document of a catalog, and what tools of the Timeless Stack read of it, which is made once for each
    /// document.
    ///
    /// # Errors
    /// A [`CatalogReadError`].
    pub async fn timeless(
        &self,
        name: &CatalogName,
        fresh: AsOf,
    ) -> Result<(ActiveCatalog, TimelessView), CatalogReadError> {
        let listed = self.listed(name, Selector::Active, fresh).await?;
        let digest = listed.blob.digest;
        if let (Some(known), Some(view)) = (self.known.get(&digest), self.views.get(&digest)) {
            return Ok((listed.with(name, known)?, view));
        }
        let _turn = self.turn().await?;
        let known = self.parse(listed.blob).await?;
        let active = listed.with(name, known)?;
        let view = match self.views.get(&digest) {
            Some(view) => view,
            None => self.view(&active).await?,
        };
        Ok((active, view))
    }

    async fn view(&self, catalog: &ActiveCatalog) -> Result<TimelessView, StoreError> {
        let document = Arc::clone(&catalog.document);
        let make = move || {
            let lineage = Bytes::from(Lineage::of(&document).write());
            TimelessView { digest: Digest::of(&lineage), lineage, packed: packed_kinds(&document).into() }
        };
        let failed = |error| StoreError::new(StoreErrorKind::Internal, catalog.blob.digest, error);
        let view = tokio::task::spawn_blocking(make).await.map_err(failed)?;
        self.views.insert(catalog.blob.digest, view.clone());
        Ok(view)
    }

    /// Who has signed a catalog. What cannot be read is left out.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn signers(&self, catalog: &ActiveCatalog, root: Option<&Root>) -> Result<Signers, StoreError> {
        let manifest = catalog.found.row.digest();
        if let Some(known) = self.signers.get(&manifest) {
            return Ok(known);
        }
        let mut signers = Vec::new();
        for blob in &catalog.signatures {
            let Some(object) = self.blobs.open(blob.digest, None).await? else { continue };
            let bytes = object.bytes(blob.size).await?;
            signers.extend(root.and_then(|root| stated_signer(&bytes, &root.targets)));
        }
        let signers = Signers::from(signers);
        self.signers.insert(manifest, Arc::clone(&signers));
        Ok(signers)
    }

    /// The newest root of a catalog; `None` if it has none that can be read. It was not verified.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn root(&self, catalog: &ActiveCatalog) -> Result<Option<Root>, StoreError> {
        let Some(blob) = catalog.roots.last() else { return Ok(None) };
        let Some(object) = self.blobs.open(blob.digest, None).await? else { return Ok(None) };
        Ok(Root::read(&object.bytes(blob.size).await?).ok())
    }
}
