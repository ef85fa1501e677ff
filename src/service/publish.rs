//! Publishing: a version becomes visible with all of its files in one step, or not at all.
//!
//! The order is essential (steps P1 to P3 of `docs/protocol.md`). P1 creates a head that lists the version as prepared,
//! which makes its blobs needed by a root; only then does P2 check each blob; only then does P3 commit the version. A
//! check before P1 could be invalidated by a collector that had not seen the root yet.

mod catalogs;
mod commit;
mod drafts;
mod error;
mod immutable;
mod looks;
mod parts;
mod push;
mod rules;
mod secure;
mod sessions;
mod signed;

use std::sync::Arc;

use bytes::Bytes;

pub use self::drafts::DraftKey;
pub use self::error::{ImmutableChanged, PartsError, PublishError};
use self::error::{complete, readable, to_upload};
use self::immutable::KnownFiles;
use self::looks::Looks;
pub use self::parts::Progress;
pub use self::push::Pushed;
use crate::domain::attestation::{Annex, Standing};
use crate::domain::head::Change;
use crate::domain::manifest::{Kind, Limits, oci};
use crate::domain::{
    Author, Digest, Expect, Head, LogName, Manifest, ManifestName, Origin, Rejection, Selector, State, VersionRow,
};
use crate::protocol::long_work::work_on;
use crate::protocol::manifests::Secured;
use crate::protocol::{Blobs, ChangeError, Changed, Heads, Manifests, MemberIndex};
use crate::service::sites::Sites;
use crate::service::wares::{ScanLimits, WareChecks};
use crate::store::StoreError;

/// Limit on storing a manifest again because it was collected before it was protected.
const MAX_PUTS: u32 = 8;

/// Largest archive that is read, in bytes once it is decompressed, unless [`Publish::with_wares`] says otherwise.
const UNPACKED: u64 = 128 << 30;

/// Size limits of manifests.
#[derive(Debug, Clone, Copy)]
pub struct PublishLimits {
    /// Maximum size of a manifest, in bytes.
    pub manifest_bytes: u64,
    /// Maximum number of artifacts in a manifest.
    pub artifacts: usize,
}

/// The result of a publish or promotion.
#[derive(Debug, Clone)]
pub struct Receipt {
    /// The name of the log.
    pub name: LogName,
    /// The newest generation of the log, after the change.
    pub generation: u64,
    /// The version, in its new state.
    pub row: VersionRow,
    /// The number of the version that was active before the active one, if any.
    pub previous: Option<u64>,
    /// Whether the name was already in the requested state.
    pub unchanged: bool,
    /// What verifying clients make of the version that became active, under a policy that requires signatures.
    pub standing: Option<Standing>,
}

impl Receipt {
    /// The receipt of a change to a version.
    pub(super) fn new(changed: Changed) -> Self {
        let row = changed.row.expect("only a deletion is about no version");
        Self { standing: changed.standing, ..Self::of(&changed.head, row, changed.unchanged) }
    }

    fn of(head: &Head, row: VersionRow, unchanged: bool) -> Self {
        let (name, generation, previous) = (head.name.clone(), head.generation, head.previous);
        Self { name, generation, row, previous, unchanged, standing: None }
    }
}

/// The result of preparing a session.
#[derive(Debug, Clone)]
pub enum Prepared {
    /// The same manifest is already published as requested.
    Unchanged(Receipt),
    /// The version's blobs are protected from now on; the listed digests must be uploaded before it can be committed.
    Session(Receipt, Vec<Digest>),
}

/// Whether an existing prepared version may be reused instead of creating a new one.
#[derive(Debug)]
enum Resume {
    /// Each request creates its own version; holds the origin that its row records, and what is attached to it.
    Never(Option<Origin>, Option<Box<Annex>>),
    /// Reuse the caller's own session for the same manifest, so that preparing is idempotent. A new one records this
    /// origin, and what is attached to it.
    OwnSession(Option<Origin>, Option<Box<Annex>>),
}

/// A manifest that passed the checks: its bytes and what was parsed from them.
#[derive(Debug)]
struct Document {
    bytes: Bytes,
    digest: Digest,
    manifest: Manifest,
}

/// How the client wants its manifest published.
#[derive(Debug, Clone)]
pub struct PublishOptions {
    /// Whether to make the version active at once; otherwise it is staged.
    pub activate: bool,
    /// The precondition on the state of the name.
    pub expect: Expect,
}

/// The publish service.
#[derive(Debug)]
pub struct Publish {
    heads: Arc<Heads>,
    blobs: Arc<Blobs>,
    manifests: Arc<Manifests>,
    members: MemberIndex,
    limits: PublishLimits,
    kept: KnownFiles,
    looks: Looks,
    wares: Arc<WareChecks>,
    sites: Option<Arc<Sites>>,
}

impl Publish {
    /// Creates the service from the parts it uses.
    #[must_use]
    pub fn new(heads: Arc<Heads>, blobs: Arc<Blobs>, manifests: Arc<Manifests>, limits: PublishLimits) -> Self {
        let members = MemberIndex::new(heads.store());
        let wares = Arc::new(WareChecks::new(heads.store(), Arc::clone(&blobs), ScanLimits::new(UNPACKED)));
        let (kept, looks) = Default::default();
        Self { heads, blobs, manifests, members, limits, kept, looks, wares, sites: None }
    }

    /// Shares the wares that were checked with others, and sets their limits.
    #[must_use]
    pub fn with_wares(self, wares: Arc<WareChecks>) -> Self {
        Self { wares, ..self }
    }

    /// The size limits of manifests.
    #[must_use]
    pub fn limits(&self) -> PublishLimits {
        self.limits
    }

    /// Publishes a manifest whose blobs are all stored, in one request.
    ///
    /// # Errors
    /// A [`PublishError`]; the name is then unchanged. Only after a failure of the store itself the manifest may have
    /// been published all the same; a retry then changes nothing and reports that.
    pub async fn publish(
        &self,
        name: &ManifestName,
        bytes: Bytes,
        options: PublishOptions,
        by: impl Into<Author> + Send,
    ) -> Result<Receipt, PublishError> {
        let document = self.checked(bytes).await?;
        self.publish_document(name, document, options, &by.into(), (None, None)).await
    }

    /// Publishes a manifest of this media type that was published before elsewhere, and records that origin. It only
    /// has to be readable: rules for publishing that were added since must not prevent copying an existing release.
    ///
    /// # Errors
    /// As [`Publish::publish`].
    pub async fn republish(
        &self,
        name: &ManifestName,
        bytes: Bytes,
        (media_type, from, annex): (Option<&str>, Origin, Option<Annex>),
        options: PublishOptions,
        by: impl Into<Author> + Send,
    ) -> Result<Receipt, PublishError> {
        let document = self.understood(bytes, media_type).await?;
        self.publish_document(name, document, options, &by.into(), (Some(from), annex)).await
    }

    async fn publish_document(
        &self,
        name: &ManifestName,
        document: Document,
        options: PublishOptions,
        by: &Author,
        (from, annex): (Option<Origin>, Option<Annex>),
    ) -> Result<Receipt, PublishError> {
        if options.activate {
            self.heads.require_movable(name, document.digest).await?;
        }
        // Rules that were added since must not prevent copying a release.
        let is_new = from.is_none() && document.manifest.kind == Kind::Static;
        let resume = Resume::Never(from, annex.map(Box::new));
        let (receipt, secured) = match Box::pin(self.protect(name, document, &options, by, resume)).await? {
            (receipt, _) if receipt.unchanged => return Ok(receipt),
            prepared => prepared,
        };
        let number = receipt.row.number;
        let checked = match complete(secured) {
            Ok(()) if is_new => Box::pin(self.check_rules_of(&receipt.row)).await,
            checked => checked,
        };
        let result = match checked {
            Ok(()) => Box::pin(self.commit_head(name, number, options, by)).await,
            Err(error) => Err(error),
        };
        if result.is_err() {
            self.abort_quietly(name, number, by).await;
        }
        result
    }

    /// The version of a session, and which of its blobs must still be uploaded.
    ///
    /// # Errors
    /// [`Rejection::NoSuchVersion`] when there is no such session, or the error of the store.
    pub async fn session(&self, name: &ManifestName, number: u64) -> Result<(VersionRow, Vec<Digest>), PublishError> {
        let row = self.row(name, number).await?;
        if row.state != State::Prepared {
            return Ok((row, Vec::new()));
        }
        let missing = to_upload(self.check(name, &row).await?.bad);
        Ok((row, missing))
    }

    /// Completes a session (steps P2 and P3). One that is made of parts gets its manifest first.
    ///
    /// # Errors
    /// [`PublishError::Blobs`] or [`PublishError::Parts`] while something is missing: the session stays open. Otherwise another [`PublishError`].
    pub async fn commit(
        &self,
        name: &ManifestName,
        number: u64,
        options: PublishOptions,
        by: impl Into<Author> + Send,
    ) -> Result<Receipt, PublishError> {
        let by = by.into();
        Box::pin(self.assemble(name, number, &options, &by)).await?;
        let row = self.row(name, number).await?;
        if row.state == State::Prepared {
            let secured = self.check_again(name, &row).await?;
            let children = secured.children.clone();
            complete(secured)?;
            Box::pin(self.check_rules_of(&row)).await?;
            self.index((name, number), children, None).await?;
        }
        self.commit_head(name, number, options, &by).await
    }

    /// Aborts a session.
    ///
    /// # Errors
    /// A [`ChangeError`].
    pub async fn abort(&self, name: &LogName, number: u64, by: impl Into<Author> + Send) -> Result<(), ChangeError> {
        self.heads.change(name, &Change::Abort { number }, by).await.map(|_| ())
    }

    /// Checks a manifest sent by a client against the rules for publishing.
    async fn checked(&self, bytes: Bytes) -> Result<Document, PublishError> {
        let media_type = work_on(bytes.len(), || oci::media_type_by_shape(&bytes));
        self.checked_as(bytes, media_type).await
    }

    /// Checks a manifest of this media type; `None` stands for a release in Larder's own format.
    async fn checked_as(&self, bytes: Bytes, media_type: Option<&'static str>) -> Result<Document, PublishError> {
        let limit = self.limits.manifest_bytes;
        if bytes.len() as u64 > limit {
            return Err(PublishError::TooLarge { limit });
        }
        let limits = Limits { files: self.limits.artifacts };
        work_on(bytes.len(), || self.manifests.check(&bytes, media_type, limits))?;
        self.understood(bytes, media_type).await
    }

    async fn understood(&self, bytes: Bytes, media_type: Option<&str>) -> Result<Document, PublishError> {
        let digest = work_on(bytes.len(), || Digest::of(&bytes));
        let read = work_on(bytes.len(), || self.manifests.understand(&bytes, media_type));
        let manifest = readable(&bytes, self.manifests.resolve(&bytes, media_type, read).await?)?;
        Ok(Document { bytes, digest, manifest })
    }

    /// Steps P1 and P2: returns the receipt of a name that is already as requested, or a prepared version and what is
    /// wrong with its blobs.
    async fn protect(
        &self,
        name: &ManifestName,
        Document { bytes, digest, manifest }: Document,
        options: &PublishOptions,
        by: &Author,
        resume: Resume,
    ) -> Result<(Receipt, Secured), PublishError> {
        if let Some(receipt) = self.unchanged(name, digest, options.activate).await?
            && self.is_whole(&manifest, &receipt).await?
        {
            return Ok((receipt, Secured::default()));
        }
        if let Resume::Never(None, _) | Resume::OwnSession(None, _) = &resume {
            // Before anything is uploaded; the commit compares once more.
            Box::pin(self.check_immutable(name, &manifest, digest)).await?;
        }
        let descriptor = self.blobs.put_hashed(digest, bytes.clone()).await?;
        let summary = self.manifests.summarise(&bytes, &manifest, descriptor).await?;
        let (resumed, from, annex) = match resume {
            Resume::OwnSession(from, annex) => {
                let resumed = self.own_session(name, descriptor.digest, options, by).await?;
                let annex = annex.filter(|_| resumed.is_none());
                (resumed, from, annex)
            }
            Resume::Never(from, annex) => (None, from, annex),
        };
        let (from, annex) = (from.map(Box::new), self.attached(name, annex).await?);
        let change = Change::Prepare { summary, from, annex, expect: options.expect.clone() };
        let (receipt, is_new) = match resumed {
            Some(receipt) => (receipt, false),
            None => (Receipt::new(self.heads.change(name, &change, by).await?), true),
        };
        match self.secure(&manifest, &receipt, bytes.clone()).await {
            Ok(secured) => {
                self.manifests.keep(&receipt.row.summary, bytes, manifest);
                Ok((receipt, secured))
            }
            Err(error) => {
                // A session that was open before stays open: its client may repeat the request.
                if is_new {
                    self.abort_quietly(name, receipt.row.number, by).await;
                }
                Err(error)
            }
        }
    }

    /// The version that makes this publish a no-op: the same manifest is active already, or staged if that was
    /// requested. What is untagged is published anew once half of its time is over, so that it has its full time again.
    async fn unchanged(&self, name: &LogName, digest: Digest, activate: bool) -> Result<Option<Receipt>, StoreError> {
        let Some(head) = self.heads.current_durable(name).await? else { return Ok(None) };
        let wanted = |row: &&VersionRow| {
            let staged =
                || !activate && row.state == State::Ready && (name.visible().is_some() || self.is_young(name, row));
            row.digest() == digest && (row.state == State::Active || staged())
        };
        Ok(head.rows.iter().rev().find(wanted).map(|row| Receipt::of(&head, row.clone(), true)))
    }

    fn is_young(&self, log: &LogName, row: &VersionRow) -> bool {
        let age = self.heads.now().duration_since(row.published_at.unwrap_or(row.prepared_at));
        age < self.heads.policy(log).untagged_for / 2
    }

    /// An open session of the same subject for the same manifest: its reply was lost, or its client died.
    async fn own_session(
        &self,
        name: &ManifestName,
        digest: Digest,
        options: &PublishOptions,
        by: &Author,
    ) -> Result<Option<Receipt>, StoreError> {
        let Some(head) = self.heads.current_durable(name).await? else { return Ok(None) };
        if !options.expect.holds(head.active().map(VersionRow::digest)) {
            return Ok(None);
        }
        let is_of = |row: &VersionRow| row.digest() == digest && row.created_by == by.subject;
        let own = |row: &&VersionRow| row.state == State::Prepared && is_of(row);
        Ok(head.rows.iter().rev().find(own).map(|row| Receipt::of(&head, row.clone(), false)))
    }

    async fn row(&self, name: &ManifestName, number: u64) -> Result<VersionRow, PublishError> {
        let none = || ChangeError::Rejected(Rejection::NoSuchVersion);
        let head = self.heads.current(name).await?.ok_or_else(none)?;
        let row = self.heads.select(&head, Selector::Number(number)).await?;
        Ok(row.filter(|row| row.state != State::Aborted).ok_or_else(none)?)
    }

    /// Aborts a version after a failure; the client gets that failure rather than this one. If the abort fails too, the
    /// collector aborts the version when its time is up (C0).
    async fn abort_quietly(&self, name: &LogName, number: u64, by: &Author) {
        if let Err(error) = self.abort(name, number, by).await {
            tracing::warn!(manifest.name = %name, version = number, %error, "could not abort a failed publish");
        }
    }
}
