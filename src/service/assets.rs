//! Publishing a flat layout: file by file, in any order and through any server, with a `version.json` that makes them one
//! version in one step.
//!
//! What was sent is kept in a draft ([`DraftKey`]). Several publishes may share one, such as two jobs with one token: a file
//! that `version.json` names is told apart by its digest, and what one of them leaves behind waits for the other. The
//! draft only protects blobs until they are published; the release is a version of its own, made of the blobs that
//! `version.json` names.

mod parts;
mod single;

use std::sync::Arc;

use bytes::Bytes;

use crate::domain::flat::{Listing, ReleasedFile, ReleasedFiles, VERSION_FILE};
use crate::domain::manifest::Descriptor;
use crate::domain::manifest::parts::Parts;
use crate::domain::{Author, Digest, Expect, FileName};
use crate::protocol::{BlobError, Blobs, Incoming};
use crate::service::publish::{DraftKey, PublishOptions};
use crate::service::{Publish, PublishError, Receipt, Resolve, ResolveError};
use crate::store::{Created, StoreError, StoreErrorKind};

/// How often a `version.json` is stored again because it was collected before a version protected it.
const MAX_PUTS: u32 = 8;

/// Why a file could not be taken, or a release not be published.
#[derive(Debug, thiserror::Error)]
pub enum AssetError {
    /// The digest in a `.sha256` is not that of the file.
    #[error("the file that was sent has another digest")]
    Sum {
        /// The digest that was stated.
        expected: Digest,
        /// The digest of what was sent, or is published; `None` if there is no such file.
        actual: Option<Digest>,
    },
    /// Files that `version.json` names are missing, or are not those that were sent.
    #[error("{} files are absent and {} differ", .0.absent.len(), .0.differ.len())]
    Incomplete(Incomplete),
    /// The bytes could not be stored.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// The name could not be changed.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// What is published cannot be read.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
}

impl From<StoreError> for AssetError {
    fn from(error: StoreError) -> Self {
        Self::Publish(error.into())
    }
}

/// What a release lacks.
#[derive(Debug, Clone, Default)]
pub struct Incomplete {
    /// Files that were never sent, with their stated digests and sizes.
    pub absent: Vec<(FileName, Descriptor)>,
    /// Files that are other ones than stated.
    pub differ: Vec<Different>,
}

/// A file that is another one than stated.
#[derive(Debug, Clone)]
pub struct Different {
    /// Its name.
    pub name: FileName,
    /// Digest of the file that is to be published.
    pub expected: Digest,
    /// Its size.
    pub expected_size: u64,
    /// What was sent: another digest, or another size.
    pub actual: Digest,
    /// Size of what was sent, unless only its digest is known.
    pub actual_size: Option<u64>,
}

/// The service for flat layouts.
#[derive(Debug)]
pub struct Assets {
    publish: Arc<Publish>,
    resolve: Arc<Resolve>,
    blobs: Arc<Blobs>,
}

impl Assets {
    /// Creates the service from the parts it uses.
    #[must_use]
    pub fn new(publish: Arc<Publish>, resolve: Arc<Resolve>, blobs: Arc<Blobs>) -> Self {
        Self { publish, resolve, blobs }
    }

    /// Takes a file into a draft. Sending it again changes nothing.
    ///
    /// # Errors
    /// An [`AssetError`]; the file has to be sent again then.
    pub async fn add(
        &self,
        key: &DraftKey,
        file: &FileName,
        incoming: Incoming,
        by: &Author,
    ) -> Result<(Descriptor, Created), AssetError> {
        let blob = incoming.blob();
        // The flag first: from here on the blob is needed, and the collector leaves it alone.
        self.publish.amend(key, by, |draft| parts::add(draft, file, blob)).await?;
        let created = self.blobs.adopt(incoming).await?;
        Ok((blob, created))
    }

    /// Compares a digest with the file that was sent. If that was not sent yet, the digest is kept until the release is
    /// published.
    ///
    /// # Errors
    /// [`AssetError::Sum`], or another [`AssetError`].
    pub async fn expect_sum(
        &self,
        key: &DraftKey,
        file: &FileName,
        expected: Digest,
        by: &Author,
    ) -> Result<(), AssetError> {
        let draft = self.publish.draft(key).await?;
        let sent = parts::sent(&draft, file);
        let is_sent = sent.iter().any(|artifact| artifact.blob == expected);
        if let Some(newest) = sent.last().filter(|_| !is_sent) {
            return Err(AssetError::Sum { expected, actual: Some(newest.blob) });
        }
        if is_sent && parts::sums(&draft, file).is_empty() {
            return Ok(());
        }
        Ok(self.publish.amend(key, by, |draft| parts::add_sum(draft, file, expected)).await?)
    }

    /// Publishes what `version.json` lists as one version, with everything else that is in the draft. Files that were sent
    /// for another name need not be sent again: what counts is that their bytes are stored.
    ///
    /// # Errors
    /// [`AssetError::Incomplete`], or another [`AssetError`]; nothing is published then.
    pub async fn release(&self, key: &DraftKey, document: Bytes, by: &Author) -> Result<Receipt, AssetError> {
        let listing = Listing::parse(&document).map_err(PublishError::from)?;
        let draft = self.publish.draft(key).await?;
        let mut files = listing.files();
        let mut lacks = Incomplete::default();
        for (name, file) in &files {
            lacks.differ.extend(parts::difference(&draft, name, file.blob));
        }
        lacks.absent = self.absent(&files).await?;
        lacks.absent.retain(|(name, _)| lacks.differ.iter().all(|different| different.name != *name));
        self.add_unlisted(&draft, &mut files, &mut lacks).await?;
        if !(lacks.absent.is_empty() && lacks.differ.is_empty()) {
            return Err(AssetError::Incomplete(lacks));
        }
        let own = Descriptor { digest: Digest::of(&document), size: document.len() as u64 };
        self.add_published(key, own, &mut files).await?;
        let name = VERSION_FILE.parse().expect("it is a legal name");
        files.insert(name, ReleasedFile { blob: own, platform: None, arch: None });
        let receipt = self.publish_files(key, &listing, &files, document, by).await?;
        // It is published, whatever becomes of the draft; if that stays, its time limit ends it.
        if let Err(error) = self.publish.amend(key, by, |draft| parts::remove(draft, &files)).await {
            tracing::warn!(manifest.name = %key.name, %error, "the draft of a release could not be settled");
        }
        Ok(receipt)
    }

    async fn publish_files(
        &self,
        key: &DraftKey,
        listing: &Listing,
        files: &ReleasedFiles,
        document: Bytes,
        by: &Author,
    ) -> Result<Receipt, AssetError> {
        let manifest = Bytes::from(listing.manifest(files));
        let own = Digest::of(&document);
        for _ in 0..MAX_PUTS {
            self.blobs.put(document.clone()).await?;
            let options = PublishOptions { activate: true, expect: Expect::Anything };
            match Box::pin(self.publish.publish(&key.name, manifest.clone(), options, by)).await {
                Err(PublishError::Blobs { missing, .. }) if missing.iter().any(|blob| blob.digest == own) => {}
                Err(PublishError::Blobs { missing, wrong_size, .. }) => {
                    return Err(AssetError::Incomplete(named(files, &missing, &wrong_size)));
                }
                published => return Ok(published?),
            }
        }
        let why = "the version.json is being collected faster than it can be stored";
        Err(StoreError::new(StoreErrorKind::Unavailable, own, why).into())
    }

    /// The listed files whose bytes are not stored.
    async fn absent(&self, files: &ReleasedFiles) -> Result<Vec<(FileName, Descriptor)>, StoreError> {
        let missing = self.blobs.missing(files.values().map(|file| file.blob.digest).collect()).await?;
        let is_missing = |file: &ReleasedFile| missing.contains(&file.blob.digest);
        Ok(files.iter().filter(|(_, file)| is_missing(file)).map(|(name, file)| (name.clone(), file.blob)).collect())
    }

    /// If this very `version.json` is published already, adds what was published with it: the request is sent again because
    /// its reply was lost, when the draft is gone.
    async fn add_published(
        &self,
        key: &DraftKey,
        own: Descriptor,
        files: &mut ReleasedFiles,
    ) -> Result<(), AssetError> {
        let Some((_, loaded)) = self.active(&key.name).await? else { return Ok(()) };
        let published = &loaded.manifest()?.files;
        if !published.iter().any(|file| file.name.as_str() == VERSION_FILE && file.blob == own) {
            return Ok(());
        }
        for file in published {
            let (platform, arch) = (file.platform.clone(), file.arch.clone());
            let released = ReleasedFile { blob: file.blob, platform, arch };
            files.entry(file.name.clone()).or_insert(released);
        }
        Ok(())
    }

    /// Adds the files of a draft that are not listed: of each name the newest one whose bytes arrived.
    async fn add_unlisted(
        &self,
        draft: &Parts,
        files: &mut ReleasedFiles,
        lacks: &mut Incomplete,
    ) -> Result<(), StoreError> {
        let unlisted = parts::all(draft).filter(|artifact| !files.contains_key(&artifact.name));
        let unlisted: Vec<_> = unlisted.filter(|artifact| artifact.name.as_str() != VERSION_FILE).collect();
        let missing = self.blobs.missing(unlisted.iter().map(|artifact| artifact.blob).collect()).await?;
        for artifact in unlisted.into_iter().filter(|artifact| !missing.contains(&artifact.blob)) {
            let file = ReleasedFile { blob: artifact.descriptor(), platform: None, arch: None };
            files.insert(artifact.name.clone(), file);
        }
        for (name, file) in files.iter().filter(|(name, _)| !parts::sums(draft, name).is_empty()) {
            let known = lacks.differ.iter().any(|different| different.name == *name);
            lacks.differ.extend(parts::difference(draft, name, file.blob).filter(|_| !known));
        }
        Ok(())
    }
}

/// The names of the files whose bytes are missing, or have another size.
fn named(files: &ReleasedFiles, missing: &[Descriptor], wrong_size: &[(Descriptor, u64)]) -> Incomplete {
    let of = |blob: Descriptor| files.iter().filter(move |(_, file)| file.blob == blob).map(|(name, _)| name.clone());
    let absent = missing.iter().flat_map(|blob| of(*blob).map(|name| (name, *blob))).collect();
    let differ = wrong_size.iter().flat_map(|(blob, actual)| {
        of(*blob).map(|name| Different {
            name,
            expected: blob.digest,
            expected_size: blob.size,
            actual: blob.digest,
            actual_size: Some(*actual),
        })
    });
    Incomplete { absent, differ: differ.collect() }
}
