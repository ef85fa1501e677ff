//! Upkeep of the index of versions by manifest ([`crate::protocol::MemberIndex`]): adds what older binaries and failed
//! requests left out, and deletes the entries of versions that have ended.
//!
//! Each run looks at a bounded part of the index, beginning elsewhere each hour. A small index is seen whole by every run.

use std::collections::HashSet;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::live::{Live, Root};
use super::{Collect, CollectError, RunContext};
use crate::domain::retention::Verdict;
use crate::domain::{Digest, LogName};
use crate::layout;
use crate::store::{Key, List, StoreErrorKind};

/// Maximum number of entries that a run lists, and that it adds and deletes.
const MAX_ENTRIES: usize = 10_000;

/// The version that an entry names, with its manifest.
type Member = (Digest, LogName, u64);

/// A part of the index.
struct Part {
    listed: Vec<Member>,
    /// The highest digest that the listing got to.
    last: [u8; 32],
}

impl Collect {
    /// Compares a part of the index with the roots that were marked, and corrects it. A failure ends only this: nothing
    /// relies on the index, and a later run tries again.
    pub(super) async fn tend_members(&self, run: &RunContext, live: &Live) {
        if let Err(error) = self.try_tend_members(run, live).await {
            tracing::warn!(%error, "the index of manifests could not be corrected");
        }
    }

    async fn try_tend_members(&self, run: &RunContext, live: &Live) -> Result<(), CollectError> {
        // Another beginning every hour.
        let middle = u8::try_from(1 + run.id.millisecond / 3_600_000 % 255).unwrap_or(1);
        let mut room = MAX_ENTRIES;
        for (first, last) in [(middle, u8::MAX), (0, middle - 1)] {
            if room > 0 {
                let part = self.list_members(first, last, room).await?;
                room -= part.listed.len();
                self.correct_members(run, live, first, &part).await?;
            }
        }
        Ok(())
    }

    async fn list_members(&self, first: u8, last: u8, room: usize) -> Result<Part, CollectError> {
        let start_after = Some(layout::before_members(first));
        let prefix = layout::all_members();
        let mut listing = self.store.list(&prefix, List { start_after, past_strays: true, ..List::default() });
        let mut listed = Vec::new();
        while let Some(meta) = listing.next().await {
            let meta = match meta {
                Err(error) if error.kind == StoreErrorKind::Stray => continue,
                meta => meta?,
            };
            // Keys that are no entries belong to a version that knows them.
            let Some(member) = layout::parse_member(&meta.key) else { continue };
            if member.0.bytes()[0] > last {
                break;
            }
            listed.push(member);
            if listed.len() == room {
                let last = *listed[room - 1].0.bytes();
                return Ok(Part { listed, last });
            }
        }
        let mut highest = [u8::MAX; 32];
        highest[0] = last;
        Ok(Part { listed, last: highest })
    }

    async fn correct_members(&self, run: &RunContext, live: &Live, first: u8, part: &Part) -> Result<(), CollectError> {
        let covered = |root: &&Root| {
            let digest = root.manifest.digest;
            digest.bytes()[0] >= first && *digest.bytes() <= part.last
        };
        let member = |root: &Root| (root.manifest.digest, root.name.clone(), root.version);
        let listed: HashSet<&Member> = part.listed.iter().collect();
        let roots: HashSet<Member> = live.roots().iter().filter(covered).map(member).collect();
        let lacking = live.roots().iter().filter(covered).filter(|root| is_complete(root.verdict)).map(member);
        let lacking = lacking.filter(|member| !listed.contains(member)).take(MAX_ENTRIES);
        let lacking: Vec<Key> =
            lacking.filter_map(|(digest, name, number)| layout::member(digest, &name, number)).collect();
        stream::iter(lacking)
            .map(|key| async move { self.store.create(&key, bytes::Bytes::new()).await })
            .buffer_unordered(run.jobs)
            .try_for_each(|_| std::future::ready(Ok(())))
            .await?;
        // A version that is no root never becomes one again, and its number is not used again; but a draft may have got its
        // manifest since it was marked. Names that were not marked are of another store.
        let open: HashSet<(&LogName, u64)> = live
            .roots()
            .iter()
            .filter(|root| matches!(root.verdict, Verdict::Prepared))
            .map(|root| (&root.name, root.version))
            .collect();
        let is_over = |(manifest, name, number): &&Member| {
            let is_root = roots.contains(&(*manifest, name.clone(), *number)) || open.contains(&(name, *number));
            !is_root && live.has_begun(name, *number)
        };
        let over = part.listed.iter().filter(is_over);
        let over: Vec<Key> = over.filter_map(|(digest, name, number)| layout::member(*digest, name, *number)).collect();
        self.delete(run, &over).await
    }
}

fn is_complete(verdict: Verdict) -> bool {
    !verdict.is_over() && !matches!(verdict, Verdict::Prepared | Verdict::UnknownState)
}
