//! Stale resumable uploads, and uncommitted objects that no upload refers to.
//!
//! No blob that a version needs depends on either: a completed upload has made its object, which is affected neither by
//! deleting its records nor by aborting its parts, and an incomplete one has made nothing yet. So ages, which are taken
//! from the store's own time stamps, only decide how long clients may pause; a client that continues at that very
//! moment is told to begin a new upload.

use std::collections::HashSet;

use futures_util::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;

use super::plan::AgeLimit;
use super::report::Totals;
use super::{Collect, CollectError, RunContext};
use crate::domain::UploadId;
use crate::layout::{self, LayoutKey};
use crate::protocol::uploads::{self, UploadState};
use crate::store::{Key, List, Parts, Prefix, StoreErrorKind};

/// Whether Larder creates objects under this key as streams, as copies or in parts.
fn is_ours(key: &Key) -> bool {
    LayoutKey::parse(key).is_some_and(|key| key.is_streamed())
}

/// Whether this is the key of bytes that were received for [`crate::protocol::LateUpload`], or of a record of
/// [`crate::protocol::Chunks`]. Others below the same prefixes are of another binary.
fn is_incoming(key: &Key) -> bool {
    matches!(LayoutKey::parse(key), Some(LayoutKey::Tmp(path)) if path.is_incoming() || path.is_chunk())
}

/// Whether to change anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Uploads {
    /// Abort what is stale.
    GiveUp,
    /// Only count what is stale.
    Count,
}

impl Collect {
    /// Aborts what is stale: uploads without an append for too long, records of complete ones, and uncommitted objects
    /// in the store that no upload refers to.
    pub(super) async fn uploads(
        &self,
        run: &RunContext,
        what: Uploads,
        totals: &mut Totals,
    ) -> Result<(), CollectError> {
        let young = AgeLimit::new(run.now, self.settings.uploads_for);
        let (mut known, mut foreign) = (HashSet::new(), false);
        for (id, newest) in self.newest_steps().await? {
            run.check()?;
            let found = uploads::find(&self.store, id).await?;
            match found {
                UploadState::Open { parts, done } => {
                    if !young.includes(newest) {
                        self.give_up(id, &parts, done, what, totals).await?;
                    }
                    known.insert(parts.id);
                }
                UploadState::Remains if young.includes(newest) => {}
                UploadState::Remains => self.forget(id, what).await?,
                UploadState::Foreign => {
                    // Uploads of another binary are left for that binary to abort. Uncommitted objects may belong to
                    // this one, so they are kept as well.
                    tracing::warn!(upload = %id, "this upload cannot be read; it is left alone");
                    foreign = true;
                }
            }
        }
        if foreign { Ok(()) } else { self.strays(run, young, &known, what, totals).await }
    }

    /// All uploads, with the time stamps of their newest records.
    async fn newest_steps(&self) -> Result<Vec<(UploadId, Timestamp)>, CollectError> {
        let prefix = layout::uploads();
        let mut listing = self.store.list(&prefix, List::default());
        let mut found: Vec<(UploadId, Timestamp)> = Vec::new();
        while let Some(meta) = listing.try_next().await? {
            let Some(LayoutKey::Upload(id, _)) = LayoutKey::parse(&meta.key) else {
                return Err(CollectError::UnknownKey(meta.key));
            };
            match found.last_mut().filter(|(last, _)| *last == id) {
                Some((_, newest)) => *newest = meta.modified.max(*newest),
                None => found.push((id, meta.modified)),
            }
        }
        Ok(found)
    }

    /// Deletes chunks of uploads that nobody closed in time, their records, and received bytes whose process died before it
    /// made a blob of them. Nothing ever relies on these.
    pub(super) async fn forget_incoming(&self, run: &RunContext) -> Result<(), CollectError> {
        for prefix in [layout::chunks(), layout::incoming()] {
            self.forget_old(run, &prefix).await?;
        }
        Ok(())
    }

    async fn forget_old(&self, run: &RunContext, prefix: &Prefix) -> Result<(), CollectError> {
        let young = AgeLimit::new(run.now, self.settings.uploads_for);
        let mut listing = self.store.list(prefix, List { past_strays: true, ..List::default() });
        let mut old = Vec::new();
        while let Some(listed) = listing.next().await {
            match listed {
                Ok(meta) if is_incoming(&meta.key) && !young.includes(meta.modified) => old.push(meta.key),
                Err(error) if error.kind != StoreErrorKind::Stray => return Err(error.into()),
                Ok(_) | Err(_) => {}
            }
        }
        self.delete(run, &old).await
    }

    async fn give_up(
        &self,
        id: UploadId,
        parts: &Parts,
        done: bool,
        what: Uploads,
        totals: &mut Totals,
    ) -> Result<(), CollectError> {
        totals.uploads += u64::from(!done);
        if what == Uploads::GiveUp {
            // Parts first: without the records it would be unknown which upload they belong to.
            self.store.abort_parts(parts).await?;
        }
        self.forget(id, what).await
    }

    async fn forget(&self, id: UploadId, what: Uploads) -> Result<(), CollectError> {
        if what == Uploads::GiveUp {
            uploads::forget(&self.store, id).await?;
        }
        Ok(())
    }

    /// Aborts uncommitted objects that no upload refers to: their process died before it recorded them, or while it
    /// received a blob in one request.
    ///
    /// Only those whose future key is one under which Larder creates objects this way. A bucket reveals nothing else
    /// about a multipart upload: the metadata given at its creation cannot be read before it is complete, and a record
    /// for each would cost every large upload two more requests. If another tool copies a Larder store directly into
    /// this prefix, its uploads have such keys, too; those older than `uploads_for` are taken for our own.
    async fn strays(
        &self,
        run: &RunContext,
        young: AgeLimit,
        known: &HashSet<String>,
        what: Uploads,
        totals: &mut Totals,
    ) -> Result<(), CollectError> {
        let mut unfinished = self.store.unfinished();
        while let Some(found) = unfinished.try_next().await? {
            run.check()?;
            if !is_ours(&found.parts.key) {
                tracing::debug!(key = %found.parts.key, "what another application has in the making is left alone");
                continue;
            }
            if known.contains(&found.parts.id) || young.includes(found.begun) {
                continue;
            }
            totals.uploads += 1;
            if what == Uploads::GiveUp {
                self.store.abort_parts(&found.parts).await?;
            }
        }
        Ok(())
    }
}
