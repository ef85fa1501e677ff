//! Repositories: what registry clients see of names and versions.
//!
//! The tag `R:T` is the name `R/T`. A manifest can be read by its digest through any complete version of the repository
//! that holds it ([`Membership`]). A release in Larder's own format is shown as its rendering, which is computed when it is
//! asked for: it is a pure function of the bytes of the manifest.

mod attachments;
mod catalog;
mod delete;
mod push;
mod referrers;

use std::sync::Arc;

use bytes::Bytes;
use moka::sync::Cache;

pub use self::attachments::PushedStatement;
use self::catalog::KnownRepositories;
pub use self::catalog::Page;
pub use self::delete::DeleteError;
pub use self::push::{PushRequest, PushedManifest};
pub use self::referrers::{Referrer, ReferrerPage};
use super::{Publish, Versions};
use crate::domain::manifest::{Descriptor, MAX_CHILD, oci, rendering};
use crate::domain::{Digest, LogName, RepositoryName, VersionRow};
use crate::protocol::{AsOf, Blobs, Heads, Holding, Member, Membership};
use crate::store::{ObjectStore, StoreError, StoreErrorKind};

/// Memory for manifests as clients get them, in bytes.
const REMEMBERED_BYTES: u64 = 16 << 20;

/// A manifest as registry clients get it.
#[derive(Debug, Clone)]
pub struct ShownManifest {
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// Its media type.
    pub media_type: Box<str>,
    /// Its bytes, if they had to be read to know this.
    bytes: Option<Bytes>,
}

impl ShownManifest {
    fn of(media_type: &str, bytes: Bytes) -> Self {
        let (digest, size) = (Digest::of(&bytes), bytes.len() as u64);
        Self { digest, size, media_type: media_type.into(), bytes: Some(bytes) }
    }
}

/// The service for registry clients.
#[derive(Debug)]
pub struct Repositories {
    store: Arc<dyn ObjectStore>,
    heads: Arc<Heads>,
    blobs: Arc<Blobs>,
    members: Membership,
    publish: Arc<Publish>,
    versions: Arc<Versions>,
    /// By the digest of what is stored: a rendering by that of the manifest that it shows.
    shown: Cache<Digest, Arc<ShownManifest>>,
    known: KnownRepositories,
}

impl Repositories {
    /// Creates the service from the parts it uses.
    #[must_use]
    pub fn new(heads: Arc<Heads>, blobs: Arc<Blobs>, publish: Arc<Publish>, versions: Arc<Versions>) -> Self {
        let weigh = |_: &Digest, shown: &Arc<ShownManifest>| u32::try_from(512 + shown.size).unwrap_or(u32::MAX);
        let shown = Cache::builder().max_capacity(REMEMBERED_BYTES).weigher(weigh).build();
        let (store, members) = (heads.store(), Membership::new(Arc::clone(&heads)));
        Self { store, heads, blobs, members, publish, versions, shown, known: KnownRepositories::default() }
    }

    /// The manifest that registry clients get of a version. `None` if they get none: its format is not for them, its
    /// rendering would be too large, or its bytes are gone.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn shown(&self, row: &VersionRow) -> Result<Option<Arc<ShownManifest>>, StoreError> {
        let descriptor = row.summary.manifest;
        match row.summary.media_type.as_deref() {
            Some(media_type) if oci::is_oci(media_type) => {
                let (Descriptor { digest, size }, media_type) = (descriptor, media_type.into());
                Ok(Some(Arc::new(ShownManifest { digest, size, media_type, bytes: None })))
            }
            Some(_) => Ok(None),
            None => {
                let render = |bytes: Bytes| Some(ShownManifest::of(oci::IMAGE, rendering::render(&bytes)?));
                self.read(descriptor, render).await
            }
        }
    }

    /// The manifest with this digest, if a complete version of the repository holds it in a log that `visible` lets the
    /// caller see, and that version. `for_anybody`: what was found absent lately is not looked for again.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn by_digest(
        &self,
        repository: &RepositoryName,
        digest: Digest,
        (fresh, for_anybody): (AsOf, bool),
        visible: impl Fn(&LogName) -> bool + Send + Sync,
    ) -> Result<Option<(Member, Arc<ShownManifest>)>, StoreError> {
        let found = if for_anybody && fresh == AsOf::Recent {
            self.members.find_for_anybody(repository, digest, visible).await?
        } else {
            self.members.find(repository, digest, fresh, visible).await?
        };
        let Some(member) = found else { return Ok(None) };
        let shown = match member.holding {
            // Larder's own format is nothing that these clients read.
            Holding::Own if member.row.summary.media_type.is_none() => None,
            Holding::Own | Holding::Rendering => self.shown(&member.row).await?,
            Holding::Child => self.child(digest).await?,
        };
        Ok(shown.filter(|shown| shown.digest == digest).map(|shown| (member, shown)))
    }

    /// The bytes of a manifest. `None` when they are gone: the version was retired and collected since.
    ///
    /// # Errors
    /// When the store fails, or holds other bytes than were published.
    pub async fn bytes(&self, shown: &ShownManifest) -> Result<Option<Bytes>, StoreError> {
        if let Some(bytes) = &shown.bytes {
            return Ok(Some(bytes.clone()));
        }
        let descriptor = Descriptor { digest: shown.digest, size: shown.size };
        let found = self.read(descriptor, |bytes| Some(ShownManifest::of(&shown.media_type, bytes))).await?;
        Ok(found.and_then(|shown| shown.bytes.clone()))
    }

    /// A manifest that another one names: its type follows from its bytes.
    async fn child(&self, digest: Digest) -> Result<Option<Arc<ShownManifest>>, StoreError> {
        if let Some(shown) = self.shown.get(&digest) {
            return Ok(Some(shown));
        }
        let Some(meta) = self.blobs.stat(digest).await?.filter(|meta| meta.size <= MAX_CHILD) else { return Ok(None) };
        let show = |bytes: Bytes| Some(ShownManifest::of(oci::media_type_of(&bytes).ok()?, bytes));
        self.read(Descriptor { digest, size: meta.size }, show).await
    }

    /// Reads what is stored, unless it was read before, and keeps what `show` makes of it.
    async fn read(
        &self,
        stored: Descriptor,
        show: impl FnOnce(Bytes) -> Option<ShownManifest>,
    ) -> Result<Option<Arc<ShownManifest>>, StoreError> {
        if let Some(shown) = self.shown.get(&stored.digest) {
            return Ok(Some(shown));
        }
        let Some(object) = self.blobs.open(stored.digest, None).await? else { return Ok(None) };
        let bytes = object.bytes(stored.size).await?;
        if Digest::of(&bytes) != stored.digest {
            let why = "the bytes of this manifest do not have its digest";
            return Err(StoreError::new(StoreErrorKind::Corrupt, stored.digest, why));
        }
        let shown = show(bytes).map(Arc::new);
        if let Some(shown) = &shown {
            self.shown.insert(stored.digest, Arc::clone(shown));
        }
        Ok(shown)
    }
}
