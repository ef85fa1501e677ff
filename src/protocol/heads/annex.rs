//! The blobs that a version needs besides its manifest and those that the manifest refers to, and what is attached to it.
//!
//! A row names up to eight such blobs itself. The rest is named by its annex, a document under the segment key of the
//! name, so that it is kept as long as the row: `{"format": 1, "needs": [{"digest": …, "size": …}], …}`. The collector,
//! publishers and `verify` all determine a version's needs here, so that none of them can miss a part.
//!
//! An annex is never changed. To attach something, an annex with all that the old one has is stored first, then the head
//! that names it, and only then is the attached blob looked at (P1 before P2). A crash in between leaves an annex that
//! nothing names, or an attachment without bytes, which attaching it again repairs.

use std::collections::HashSet;
use std::sync::Arc;

use serde::Deserialize;

use super::change::MAX_RACES;
use super::{ChangeError, Changed, Heads, segments};
use crate::domain::attestation::{Annex, NewAttachment};
use crate::domain::manifest::Descriptor;
use crate::domain::{Author, Change, Digest, Head, LogName, Rejection, Selector, VersionRow};
use crate::layout::LayoutKey;
use crate::store::{StoreError, StoreErrorKind};

/// Largest annex, in bytes.
const MAX_ANNEX: u64 = 1 << 20;

/// The members of an annex that matter to the collector. A newer binary may have added others, or given those that this
/// one knows another shape, which must not end a run.
#[derive(Deserialize)]
struct Needs {
    #[serde(default)]
    needs: Vec<Descriptor>,
}

impl Heads {
    /// The blobs that a version needs beyond its manifest and those that the manifest refers to, without duplicates. They
    /// are protected as long as the version is a root.
    ///
    /// # Errors
    /// When the store fails, or the annex is missing, damaged, larger than `MAX_ANNEX`, or of a format that only a newer
    /// binary knows. The needs of the version are unknown in that case.
    pub async fn needs(&self, name: &LogName, row: &VersionRow) -> Result<Vec<Descriptor>, StoreError> {
        let mut needs = row.needs.clone();
        if let Some(annex) = row.annex {
            needs.extend(match self.annexes.get(&annex.digest) {
                Some(annex) => annex.needs.clone(),
                None => self.read_annex::<Needs>(name, annex).await?.needs,
            });
        }
        let mut seen = HashSet::with_capacity(needs.len());
        needs.retain(|blob| seen.insert(blob.digest));
        Ok(needs)
    }

    /// The annex of a version; an empty one if it has none.
    ///
    /// # Errors
    /// As [`Heads::needs`].
    pub async fn annex(&self, name: &LogName, row: &VersionRow) -> Result<Arc<Annex>, StoreError> {
        let Some(annex) = row.annex else { return Ok(Arc::default()) };
        if let Some(known) = self.annexes.get(&annex.digest) {
            return Ok(known);
        }
        let read = Arc::new(self.read_annex::<Annex>(name, annex).await?);
        self.annexes.insert(annex.digest, Arc::clone(&read));
        Ok(read)
    }

    async fn read_annex<T: serde::de::DeserializeOwned>(
        &self,
        name: &LogName,
        annex: Descriptor,
    ) -> Result<T, StoreError> {
        segments::document(&*self.store, name, annex.digest, annex.size.min(MAX_ANNEX)).await
    }

    /// Stores an annex, which has no effect before a row names it. `None` if it is larger than any reader accepts.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn put_annex(&self, name: &LogName, annex: Annex) -> Result<Option<Descriptor>, StoreError> {
        let bytes =
            serde_json::to_vec(&annex).map_err(|error| StoreError::new(StoreErrorKind::Internal, name, error))?;
        let descriptor = Descriptor { digest: Digest::of(&bytes), size: bytes.len() as u64 };
        if descriptor.size > MAX_ANNEX {
            return Ok(None);
        }
        self.store.create(&LayoutKey::Segment(name.clone(), descriptor.digest).key(), bytes.into()).await?;
        self.annexes.insert(descriptor.digest, Arc::new(annex));
        Ok(Some(descriptor))
    }

    /// Attaches something to a version that is prepared or complete. Unchanged if it is attached already.
    ///
    /// # Errors
    /// A [`ChangeError`]; [`Rejection::AttachmentsFull`] if there is no room.
    pub async fn attach(
        &self,
        name: &LogName,
        selector: &Selector,
        new: &NewAttachment,
        by: &Author,
    ) -> Result<Changed, ChangeError> {
        // The version that is selected now, whatever the selector selects after a lost race.
        let mut selector = selector.clone();
        for _ in 0..MAX_RACES {
            let head = self.current_durable(name).await?.ok_or(Rejection::NoSuchVersion)?;
            let row = self.select(&head, &selector).await?.ok_or(Rejection::NoSuchVersion)?;
            selector = Selector::Number(row.number);
            let annex = self.annex(name, &row).await?;
            if annex.find(new).is_some() && row.state.is_root() {
                return Ok(unchanged(head, row));
            }
            let full = Rejection::AttachmentsFull(row.number);
            let annex = Annex::clone(&annex).with(new.clone(), by.subject.clone(), self.now());
            let annex = annex.ok_or_else(|| full.clone())?;
            let annex = self.put_annex(name, annex).await?.ok_or(full)?;
            let change = Change::Attach { number: row.number, base: row.annex, annex };
            let changed = self.change(name, &change, by).await?;
            if changed.row.as_ref().is_some_and(|row| row.annex == Some(annex)) {
                return Ok(changed);
            }
        }
        Err(ChangeError::Contended)
    }
}

fn unchanged(head: Arc<Head>, row: VersionRow) -> Changed {
    Changed { head, row: Some(row), unchanged: true, standing: None }
}
