//! Releases made of parts: several jobs fill one draft, and the last of them completes it.
//!
//! The draft is found by the label of the release. Completing it takes two changes: the first replaces the parts by the
//! manifest that is made of them, so that its blobs stay needed by a root without a gap (P1), the second commits it (P3).
//! Whoever finds the first one done goes on with the second; so of several jobs that complete a release at once one does,
//! and the others get the same version.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::drafts::{DraftKey, MAX_MERGES};
use super::error::{PartsError, complete};
use super::sessions::SESSIONS_SOUGHT;
use super::{Document, Publish, PublishError, PublishOptions, Receipt};
use crate::domain::head::Change;
use crate::domain::manifest::Limits;
use crate::domain::manifest::parts::{Part, Parts};
use crate::domain::{Author, Descriptor, Digest, ManifestName, Rejection, State, Summary, VersionRow};
use crate::protocol::ChangeError;
use crate::protocol::long_work::work_on;
use crate::store::StoreError;

/// What the keys of these drafts begin with; the label follows.
const KEY: &str = "label:";

/// Which parts of a release are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The parts that were declared; their blobs may still be missing.
    pub done: Vec<String>,
    /// The parts that were not.
    pub waiting: Vec<String>,
}

impl Publish {
    /// Begins a release of these parts, or finds the one with this label that was begun or completed before. Returns its
    /// version, and whether that is new.
    ///
    /// # Errors
    /// [`PartsError::Differ`], or another [`PublishError`].
    pub async fn begin_parts(
        &self,
        name: &ManifestName,
        label: &str,
        parts: &BTreeSet<String>,
        by: &Author,
    ) -> Result<(VersionRow, bool), PublishError> {
        let key = DraftKey { name: name.clone(), session: format!("{KEY}{label}").into() };
        let announced = Parts::announced(label, parts);
        for _ in 0..MAX_MERGES {
            if let Some(row) = self.begun(&key).await? {
                let Some(found) = self.parts_of(&row).await? else { return Ok((row, false)) };
                // `None`: it was changed and the older document collected since the row was read.
                let Some(found) = found else { continue };
                if found.parts.keys().eq(parts) {
                    return Ok((row, false));
                }
                let (begun, stated) = (found.parts.into_keys().collect(), parts.iter().cloned().collect());
                return Err(PartsError::Differ { begun, stated }.into());
            }
            if self.try_amend(&key, by, None, &announced).await?
                && let Some(row) = self.begun(&key).await?
            {
                return Ok((row, true));
            }
        }
        Err(ChangeError::Contended.into())
    }

    /// Replaces a part as a whole; its blobs are needed by a root from then on (P1). Once the release is complete, only the
    /// part that it was made of is accepted.
    ///
    /// # Errors
    /// A [`PartsError`], or another [`PublishError`].
    pub async fn put_part(
        &self,
        name: &ManifestName,
        number: u64,
        part: &str,
        bytes: Bytes,
        by: &Author,
    ) -> Result<(), PublishError> {
        let limits = Limits { files: self.limits.artifacts };
        let sent = work_on(bytes.len(), || Part::read(&bytes, limits))?;
        for _ in 0..MAX_MERGES {
            let row = self.row(name, number).await?;
            let key = parts_key(name, &row)?;
            let Some(parts) = self.parts_of(&row).await? else {
                let is_same = self.is_part_of(&row, &sent).await?;
                return if is_same { Ok(()) } else { Err(PartsError::Complete(number).into()) };
            };
            let Some(mut parts) = parts else { continue };
            let Some(place) = parts.parts.get_mut(part) else {
                let parts = parts.parts.into_keys().collect();
                return Err(PartsError::Unknown { part: part.to_owned(), parts }.into());
            };
            if place.as_ref() == Some(&sent) {
                return Ok(());
            }
            *place = Some(sent.clone());
            parts.check_together().map_err(PartsError::from)?;
            if self.try_amend(&key, by, Some(&row), &parts).await? {
                return Ok(());
            }
        }
        Err(ChangeError::Contended.into())
    }

    /// Which parts of a release are there. `None` if the version is not made of parts, or is complete. No part at all is
    /// named while it is being completed.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn progress(&self, row: &VersionRow) -> Result<Option<Progress>, PublishError> {
        if row.state != State::Prepared || row.session.as_ref().is_none_or(|key| !key.starts_with(KEY)) {
            return Ok(None);
        }
        let parts = self.parts_of(row).await?.flatten().unwrap_or_default();
        Ok(Some(Progress { done: parts.names(true), waiting: parts.names(false) }))
    }

    /// Makes the parts of a draft its manifest, so that it can be committed. Does nothing if the version is no draft, or
    /// none of these.
    ///
    /// # Errors
    /// [`PartsError::Compose`] or [`PublishError::Blobs`] while something is missing: the draft stays as it is then.
    pub(super) async fn assemble(
        &self,
        name: &ManifestName,
        number: u64,
        options: &PublishOptions,
        by: &Author,
    ) -> Result<(), PublishError> {
        for _ in 0..MAX_MERGES {
            let row = self.row(name, number).await?;
            if parts_key(name, &row).is_err() {
                return Ok(());
            }
            let Some(parts) = self.parts_of(&row).await? else { return Ok(()) };
            let Some(parts) = parts else { continue };
            let bytes = Bytes::from(parts.compose().map_err(PartsError::from)?);
            complete(self.check(name, &row).await?)?;
            let document = self.checked(bytes).await?;
            self.holds(name, options, &document).await?;
            if self.replace_parts(name, &row, document, by).await? {
                return Ok(());
            }
        }
        Err(ChangeError::Contended.into())
    }

    /// One attempt to replace the parts by their manifest; `false` if the draft has changed since `row` was read.
    async fn replace_parts(
        &self,
        name: &ManifestName,
        row: &VersionRow,
        Document { bytes, digest, manifest }: Document,
        by: &Author,
    ) -> Result<bool, PublishError> {
        let summary = Some(Summary::of(&manifest, self.blobs.put_hashed(digest, bytes.clone()).await?));
        let change = Change::Amend { number: row.number, generation: row.generation, summary };
        let changed = match self.heads.change(name, &change, by).await {
            Ok(changed) if !changed.unchanged => changed,
            Ok(_) | Err(ChangeError::Rejected(Rejection::WrongState { .. })) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        let receipt = Receipt::new(changed);
        complete(self.secure(&manifest, &receipt, bytes).await?).map(|()| true)
    }

    /// Fails if the commit of a completion would be refused, before anything is changed, so that the draft keeps its parts;
    /// the commit decides.
    async fn holds(
        &self,
        name: &ManifestName,
        options: &PublishOptions,
        document: &Document,
    ) -> Result<(), PublishError> {
        let head = self.heads.current_durable(name).await?;
        let current: Option<Digest> = head.as_ref().and_then(|head| head.active().map(VersionRow::digest));
        if !options.expect.holds(current) {
            return Err(ChangeError::Rejected(Rejection::Precondition { current }).into());
        }
        let Some(head) = head else { return Ok(()) };
        let descriptor = Descriptor { digest: document.digest, size: document.bytes.len() as u64 };
        let summary = Summary::of(&document.manifest, descriptor);
        self.heads.require_label(name, &head, &summary).await.map_err(PublishError::from)
    }

    /// The version with this key, among the newest ones of the name.
    async fn begun(&self, key: &DraftKey) -> Result<Option<VersionRow>, StoreError> {
        let Some(head) = self.heads.current_durable(&key.name).await? else { return Ok(None) };
        if let Some(row) = head.rows.iter().rfind(|row| row.is_from(&key.session)) {
            return Ok(Some(row.clone()));
        }
        let rows = self.heads.rows(&head, u64::MAX, SESSIONS_SOUGHT).await?;
        Ok(rows.into_iter().find(|row| row.is_from(&key.session)))
    }

    /// The parts of a version: `None` if it has a manifest already, `Some(None)` if its document is not there any more.
    async fn parts_of(&self, row: &VersionRow) -> Result<Option<Option<Parts>>, StoreError> {
        if row.is_draft() { self.parts(row).await.map(Some) } else { Ok(None) }
    }

    /// Whether a version has all files of a part.
    async fn is_part_of(&self, row: &VersionRow, part: &Part) -> Result<bool, PublishError> {
        if row.state != State::Prepared && !row.state.is_complete() {
            return Err(ChangeError::Rejected(Rejection::NoSuchVersion).into());
        }
        let Some(loaded) = self.manifests.load(row.summary.manifest, row.summary.media_type.as_deref()).await? else {
            return Ok(false);
        };
        for artifact in &part.artifacts {
            let file = loaded.file(&artifact.name)?;
            if file.is_none_or(|file| file.name != artifact.name || file.blob != artifact.descriptor()) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The key of a release that is made of parts.
fn parts_key(name: &ManifestName, row: &VersionRow) -> Result<DraftKey, PartsError> {
    let session = row.session.clone().filter(|key| key.starts_with(KEY));
    let session = session.ok_or(PartsError::NotParts(row.number))?;
    Ok(DraftKey { name: name.clone(), session })
}
