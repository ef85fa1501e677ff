//! Publishing: a version becomes visible with all of its files in one step, or not at all.
//!
//! The order is the whole point (protocol section 5). First a head is created that lists the version as
//! prepared, so that its blobs are roots; only then is each blob checked; only then is the version committed. A
//! check made earlier could be undone by a collector that had not seen the root yet.

mod error;

use std::sync::Arc;

use bytes::Bytes;

pub use self::error::PublishError;
use self::error::{complete, to_upload};
use crate::domain::head::Change;
use crate::domain::manifest::{Descriptor, Limits};
use crate::domain::{
    Digest, Expect, Head, LogName, Manifest, ManifestName, Origin, Rejection, Selector, State, Subject, Summary,
    VersionRow,
};
use crate::protocol::blobs::Check;
use crate::protocol::{Blobs, ChangeError, Changed, Heads, Manifests};
use crate::store::{StoreError, StoreErrorKind};

/// How often a manifest is stored again that is collected before it is protected.
const MAX_PUTS: u32 = 8;

/// What a manifest may be at most.
#[derive(Debug, Clone, Copy)]
pub struct PublishLimits {
    /// Bytes of a manifest.
    pub manifest_bytes: u64,
    /// Artifacts of a manifest.
    pub artifacts: usize,
}

/// What a publish or promotion came to.
#[derive(Debug, Clone)]
pub struct Receipt {
    /// The name of the log.
    pub name: LogName,
    /// The name's newest generation.
    pub generation: u64,
    /// The version, in its new state.
    pub row: VersionRow,
    /// The version that was active before the active one.
    pub previous: Option<u64>,
    /// Whether everything was already so.
    pub unchanged: bool,
}

impl Receipt {
    /// The receipt of a change that was about a version.
    pub(super) fn new(changed: Changed) -> Self {
        let row = changed.row.expect("only a deletion is about no version");
        Self::of(&changed.head, row, changed.unchanged)
    }

    fn of(head: &Head, row: VersionRow, unchanged: bool) -> Self {
        Self { name: head.name.clone(), generation: head.generation, row, previous: head.previous, unchanged }
    }
}

/// What preparing a session came to.
#[derive(Debug, Clone)]
pub enum Prepared {
    /// The same manifest is already where it should be.
    Unchanged(Receipt),
    /// The version's blobs are protected from now on; these must be uploaded before it can be committed.
    Session(Receipt, Vec<Digest>),
}

/// Whether a version that is prepared already may be taken up again.
#[derive(Debug)]
enum Resume {
    /// One request, one version; and where that comes from.
    Never(Option<Origin>),
    /// A client that asks twice for a session gets the same one.
    OwnSession,
}

/// A manifest that may be published: its bytes, and what was read from them.
#[derive(Debug)]
struct Document {
    bytes: Bytes,
    manifest: Manifest,
}

/// How the client wants its manifest published.
#[derive(Debug, Clone)]
pub struct PublishOptions {
    /// Whether readers get the version at once; otherwise it is staged.
    pub activate: bool,
    /// What the client requires of the name.
    pub expect: Expect,
}

/// The publish service.
#[derive(Debug)]
pub struct Publish {
    heads: Arc<Heads>,
    blobs: Arc<Blobs>,
    manifests: Arc<Manifests>,
    limits: PublishLimits,
}

impl Publish {
    /// A service over these parts.
    #[must_use]
    pub fn new(heads: Arc<Heads>, blobs: Arc<Blobs>, manifests: Arc<Manifests>, limits: PublishLimits) -> Self {
        Self { heads, blobs, manifests, limits }
    }

    /// What a manifest may be at most.
    #[must_use]
    pub fn limits(&self) -> PublishLimits {
        self.limits
    }

    /// Publishes a manifest whose blobs are all there, in one request.
    ///
    /// # Errors
    /// A [`PublishError`]; the name is as before then. Only after a failure of the store itself it may have been
    /// published all the same; publishing it again then changes nothing and says so.
    pub async fn publish(
        &self,
        name: &ManifestName,
        bytes: Bytes,
        options: PublishOptions,
        by: &Subject,
    ) -> Result<Receipt, PublishError> {
        let document = self.checked(bytes)?;
        self.publish_document(name, document, options, by, None).await
    }

    /// Publishes a manifest of this media type that was published before, and comes from there. It must follow no rule but
    /// that it can be read: rules that were added since do not keep a release from being copied.
    ///
    /// # Errors
    /// As [`Publish::publish`].
    pub async fn republish(
        &self,
        name: &ManifestName,
        bytes: Bytes,
        (media_type, from): (Option<&str>, Origin),
        options: PublishOptions,
        by: &Subject,
    ) -> Result<Receipt, PublishError> {
        let manifest = self.manifests.understand(&bytes, media_type)?;
        self.publish_document(name, Document { bytes, manifest }, options, by, Some(from)).await
    }

    async fn publish_document(
        &self,
        name: &ManifestName,
        document: Document,
        options: PublishOptions,
        by: &Subject,
        from: Option<Origin>,
    ) -> Result<Receipt, PublishError> {
        let (receipt, bad) = match self.protect(name, document, &options, by, Resume::Never(from)).await? {
            (receipt, _) if receipt.unchanged => return Ok(receipt),
            prepared => prepared,
        };
        let number = receipt.row.number;
        let result = match complete(bad) {
            Ok(()) => self.commit_head(name, number, options, by).await,
            Err(error) => Err(error),
        };
        if result.is_err() {
            self.abort_quietly(name, number, by).await;
        }
        result
    }

    /// Prepares a session: protects the blobs of the manifest and says which must be uploaded.
    ///
    /// # Errors
    /// A [`PublishError`]; the name is as before then.
    pub async fn prepare(
        &self,
        name: &ManifestName,
        bytes: Bytes,
        options: &PublishOptions,
        by: &Subject,
    ) -> Result<Prepared, PublishError> {
        let document = self.checked(bytes)?;
        let (receipt, bad) = self.protect(name, document, options, by, Resume::OwnSession).await?;
        if receipt.unchanged {
            return Ok(Prepared::Unchanged(receipt));
        }
        Ok(Prepared::Session(receipt, to_upload(bad)))
    }

    /// A session's version, and which of its blobs must still be uploaded.
    ///
    /// # Errors
    /// [`Rejection::NoSuchVersion`] when there is none, or the store's.
    pub async fn session(&self, name: &ManifestName, number: u64) -> Result<(VersionRow, Vec<Digest>), PublishError> {
        let row = self.row(name, number).await?;
        if row.state != State::Prepared {
            return Ok((row, Vec::new()));
        }
        let missing = to_upload(self.check(name, &row).await?);
        Ok((row, missing))
    }

    /// Completes a session.
    ///
    /// # Errors
    /// [`PublishError::Blobs`] while blobs are missing: the session stays open. Else a [`PublishError`].
    pub async fn commit(
        &self,
        name: &ManifestName,
        number: u64,
        options: PublishOptions,
        by: &Subject,
    ) -> Result<Receipt, PublishError> {
        let row = self.row(name, number).await?;
        if row.state == State::Prepared {
            complete(self.check(name, &row).await?)?;
        }
        self.commit_head(name, number, options, by).await
    }

    /// Gives a session up.
    ///
    /// # Errors
    /// A [`ChangeError`].
    pub async fn abort(&self, name: &ManifestName, number: u64, by: &Subject) -> Result<(), ChangeError> {
        self.heads.change(name, &Change::Abort { number }, by).await.map(|_| ())
    }

    /// Checks a manifest that a client sent.
    fn checked(&self, bytes: Bytes) -> Result<Document, PublishError> {
        let limit = self.limits.manifest_bytes;
        if bytes.len() as u64 > limit {
            return Err(PublishError::TooLarge { limit });
        }
        self.manifests.check(&bytes, None, Limits { files: self.limits.artifacts })?;
        let manifest = self.manifests.understand(&bytes, None)?;
        Ok(Document { bytes, manifest })
    }

    /// The unchanged name, or a prepared version and what is wrong with its blobs.
    async fn protect(
        &self,
        name: &ManifestName,
        Document { bytes, manifest }: Document,
        options: &PublishOptions,
        by: &Subject,
        resume: Resume,
    ) -> Result<(Receipt, Vec<Check>), PublishError> {
        if let Some(receipt) = self.unchanged(name, Digest::of(&bytes), options.activate).await?
            && self.is_whole(&manifest, &receipt).await?
        {
            return Ok((receipt, Vec::new()));
        }
        let descriptor = self.blobs.put(bytes.clone()).await?;
        let summary = Summary::of(&manifest, descriptor);
        let (resumed, from) = match resume {
            Resume::OwnSession => (self.own_session(name, descriptor.digest, options, by).await?, None),
            Resume::Never(from) => (None, from.map(Box::new)),
        };
        let change = Change::Prepare { summary, from, expect: options.expect.clone() };
        let receipt = match resumed {
            Some(receipt) => receipt,
            None => Receipt::new(self.heads.change(name, &change, by).await?),
        };
        match self.secure(&manifest, &receipt, bytes).await {
            Ok(bad) => Ok((receipt, bad)),
            Err(error) => {
                self.abort_quietly(name, receipt.row.number, by).await;
                Err(error.into())
            }
        }
    }

    /// Step P2 for a manifest whose bytes are at hand, so that it cannot be missing itself.
    async fn secure(&self, manifest: &Manifest, receipt: &Receipt, bytes: Bytes) -> Result<Vec<Check>, StoreError> {
        let descriptor = receipt.row.summary.manifest;
        for _ in 0..MAX_PUTS {
            if self.blobs.secure(vec![descriptor]).await?.is_empty() {
                return self.manifests.secure(manifest, self.needs(receipt).await?).await;
            }
            self.blobs.put(bytes.clone()).await?;
        }
        let why = "the manifest is being collected faster than it can be stored";
        Err(StoreError::new(StoreErrorKind::Unavailable, descriptor.digest, why))
    }

    /// Whether nothing that a published version needs was lost. Publishing it again heals it.
    async fn is_whole(&self, manifest: &Manifest, receipt: &Receipt) -> Result<bool, StoreError> {
        let mut beyond = self.needs(receipt).await?;
        beyond.push(receipt.row.summary.manifest);
        Ok(self.manifests.secure(manifest, beyond).await?.is_empty())
    }

    /// What a version needs beyond its manifest.
    async fn needs(&self, receipt: &Receipt) -> Result<Vec<Descriptor>, StoreError> {
        self.heads.needs(&receipt.name, &receipt.row).await
    }

    /// Step P2 for a version that was prepared earlier.
    async fn check(&self, name: &LogName, row: &VersionRow) -> Result<Vec<Check>, PublishError> {
        let descriptor = row.summary.manifest;
        let own = self.blobs.secure(vec![descriptor]).await?;
        if !own.is_empty() {
            return Ok(own);
        }
        match self.manifests.load(descriptor, row.summary.media_type.as_deref()).await? {
            Some(loaded) => {
                let beyond = self.heads.needs(name, row).await?;
                Ok(self.manifests.secure(loaded.manifest()?, beyond).await?)
            }
            // The version was given up and its manifest collected in between.
            None => Ok(vec![Check::Missing(descriptor)]),
        }
    }

    async fn commit_head(
        &self,
        name: &ManifestName,
        number: u64,
        options: PublishOptions,
        by: &Subject,
    ) -> Result<Receipt, PublishError> {
        let change = Change::Commit { number, activate: options.activate, expect: options.expect };
        Ok(Receipt::new(self.heads.change(name, &change, by).await?))
    }

    /// The same manifest, active already, or staged already when it is to be staged.
    async fn unchanged(
        &self,
        name: &ManifestName,
        digest: Digest,
        activate: bool,
    ) -> Result<Option<Receipt>, StoreError> {
        let Some(head) = self.heads.current_durable(name).await? else { return Ok(None) };
        let wanted = |row: &&VersionRow| {
            row.digest() == digest && (row.state == State::Active || (!activate && row.state == State::Ready))
        };
        Ok(head.rows.iter().rev().find(wanted).map(|row| Receipt::of(&head, row.clone(), true)))
    }

    /// A session that the same by opened for the same manifest: its answer was lost, or its client died.
    async fn own_session(
        &self,
        name: &ManifestName,
        digest: Digest,
        options: &PublishOptions,
        by: &Subject,
    ) -> Result<Option<Receipt>, StoreError> {
        let Some(head) = self.heads.current_durable(name).await? else { return Ok(None) };
        if !options.expect.holds(head.active().map(VersionRow::digest)) {
            return Ok(None);
        }
        let own = |row: &&VersionRow| row.state == State::Prepared && row.digest() == digest && row.created_by == *by;
        Ok(head.rows.iter().rev().find(own).map(|row| Receipt::of(&head, row.clone(), false)))
    }

    async fn row(&self, name: &ManifestName, number: u64) -> Result<VersionRow, PublishError> {
        let none = || ChangeError::Rejected(Rejection::NoSuchVersion);
        let head = self.heads.current(name).await?.ok_or_else(none)?;
        let row = self.heads.select(&head, Selector::Number(number)).await?;
        Ok(row.filter(|row| row.state != State::Aborted).ok_or_else(none)?)
    }

    /// Gives up a version after a failure that the client is told of instead. If this fails too, the version's
    /// time-out ends it.
    async fn abort_quietly(&self, name: &ManifestName, number: u64, by: &Subject) {
        if let Err(error) = self.abort(name, number, by).await {
            tracing::warn!(manifest.name = %name, version = number, %error, "could not abort a failed publish");
        }
    }
}
