//! Resumable uploads that nobody goes on with, and objects in the making that nobody knows of.
//!
//! No blob that a version needs depends on either: an upload that was completed has made its object, which neither deleting
//! its records nor aborting its parts touches, and one that was not has made nothing yet. So ages, which are the store's
//! own, only decide how long clients may pause, and whoever goes on at the very moment is told to begin anew.

use std::collections::HashSet;

use futures_util::TryStreamExt as _;
use jiff::Timestamp;

use super::plan::AgeLimit;
use super::report::Totals;
use super::{Collect, CollectError, RunContext};
use crate::domain::UploadId;
use crate::layout::{self, LayoutKey};
use crate::protocol::uploads::{self, UploadState};
use crate::store::{Key, List, Parts};

/// Whether Larder makes objects under this key as streams, copies or in parts.
fn is_ours(key: &Key) -> bool {
    LayoutKey::parse(key).is_some_and(|key| key.is_streamed())
}

/// Whether anything is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Uploads {
    /// What is abandoned is given up.
    GiveUp,
    /// It is only counted.
    Count,
}

impl Collect {
    /// Gives up what is abandoned: uploads to which nothing was appended for too long, records of complete ones, and what
    /// the store has in the making without an upload that refers to it.
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
                    // What another binary made, that one gives up. What is in the making may be of this upload.
                    tracing::warn!(upload = %id, "this upload cannot be read; it is left alone");
                    foreign = true;
                }
            }
        }
        if foreign { Ok(()) } else { self.strays(run, young, &known, what, totals).await }
    }

    /// All uploads, with the time stamps of their newest steps.
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
            // Parts first: without the records nobody would know whose they are.
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

    /// Aborts what the store has in the making, but no upload refers to: its process died before it could say so, or was
    /// sending a blob in one request.
    ///
    /// Only what will get a key under which Larder makes objects in this way. A bucket tells nothing else of a multipart
    /// upload: the metadata with which it was begun cannot be asked for before it is complete, and to leave a record of
    /// each would cost every large upload two more requests. A copy of a Larder store that another tool is making right
    /// into this prefix has such keys, too; parts of it that are older than `uploads_for` are taken for our own.
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
