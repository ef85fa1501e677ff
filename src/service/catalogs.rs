//! Reading catalogs: the document that is active, parsed once for each of its digests.

use std::sync::Arc;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use tokio::sync::Semaphore;

use crate::domain::catalog::{Bundle, CatalogName, DOCUMENT, Document, MAX_DOCUMENT, Root};
use crate::domain::manifest::Descriptor;
use crate::domain::{Digest, Selector, Target};
use crate::protocol::{AsOf, Blobs};
use crate::service::{Resolve, ResolveError, Resolved};
use crate::store::{StoreError, StoreErrorKind};

/// Size of all documents that are kept, in bytes of the documents. Parsed they take a few times as much.
const REMEMBERED_BYTES: u64 = 16 << 20;
/// Documents that are parsed at once. Anybody can cause it by asking for one catalog after the other.
const AT_ONCE: usize = 2;

/// Why a catalog cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CatalogReadError {
    /// It is not there.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// What is published there is no catalog, or one that this binary cannot read.
    #[error("{name} is no catalog that can be read here: {why}")]
    Unreadable {
        /// The catalog's name.
        name: CatalogName,
        /// What is wrong.
        why: String,
    },
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
    /// The newest root.
    pub root: Option<Descriptor>,
}

/// The service that reads catalogs.
#[derive(Debug)]
pub struct Catalogs {
    resolve: Arc<Resolve>,
    blobs: Arc<Blobs>,
    known: Cache<Digest, Arc<Document>>,
    turns: Semaphore,
}

impl Catalogs {
    /// Creates the service from the parts it uses.
    #[must_use]
    pub fn new(resolve: Arc<Resolve>, blobs: Arc<Blobs>) -> Self {
        // Not less than what a document without releases takes.
        let weigh = |_: &Digest, document: &Arc<Document>| {
            u32::try_from(512 + 1024 * document.releases.len()).unwrap_or(u32::MAX)
        };
        let known = Cache::builder().max_capacity(REMEMBERED_BYTES).weigher(weigh);
        let known = known.eviction_policy(EvictionPolicy::lru()).build();
        Self { resolve, blobs, known, turns: Semaphore::new(AT_ONCE) }
    }

    /// The active document of a catalog.
    ///
    /// # Errors
    /// A [`CatalogReadError`].
    pub async fn active(&self, name: &CatalogName, fresh: AsOf) -> Result<ActiveCatalog, CatalogReadError> {
        let unreadable = |why: String| CatalogReadError::Unreadable { name: name.clone(), why };
        let target = Target { name: name.manifest(), selector: Selector::Active, explicit: false };
        let (found, loaded) = self.resolve.manifest(&target, fresh).await?;
        let manifest = loaded.manifest()?;
        let bundle = Bundle::of(manifest).map_err(|problems| unreadable(problems.to_string()))?;
        let (blob, root) = (bundle.document.blob, bundle.roots.last().map(|root| root.blob));
        let document = match self.known.get(&blob.digest) {
            Some(document) => document,
            None => self.parse(blob).await?.map_err(unreadable)?,
        };
        Ok(ActiveCatalog { found, blob, document, root })
    }

    async fn parse(&self, blob: Descriptor) -> Result<Result<Arc<Document>, String>, StoreError> {
        // The semaphore is never closed.
        let _turn = self.turns.acquire().await.ok();
        if let Some(document) = self.known.get(&blob.digest) {
            return Ok(Ok(document));
        }
        let gone =
            || StoreError::new(StoreErrorKind::Corrupt, blob.digest, format!("the bytes of {DOCUMENT} are gone"));
        let bytes = self.blobs.open(blob.digest, None).await?.ok_or_else(gone)?.bytes(MAX_DOCUMENT).await?;
        let failed = |error| StoreError::new(StoreErrorKind::Internal, blob.digest, error);
        // Large documents take tens of milliseconds.
        let read = tokio::task::spawn_blocking(move || Document::read(&bytes)).await.map_err(failed)?;
        Ok(read.map_err(|error| error.to_string()).map(|document| {
            let document = Arc::new(document);
            self.known.insert(blob.digest, Arc::clone(&document));
            document
        }))
    }

    /// The newest root of a catalog; `None` if it has none that can be read. It was not verified.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn root(&self, catalog: &ActiveCatalog) -> Result<Option<Root>, StoreError> {
        let Some(blob) = catalog.root else { return Ok(None) };
        let Some(object) = self.blobs.open(blob.digest, None).await? else { return Ok(None) };
        Ok(Root::read(&object.bytes(blob.size).await?).ok())
    }
}
