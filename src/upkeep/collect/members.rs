//! Upkeep of the indexes of versions by manifest ([`crate::protocol::MemberIndex`]): adds what older binaries and failed
//! requests left out, and deletes the entries of versions that have ended.
//!
//! Each run looks at a bounded part of the index, beginning elsewhere each hour. A small index is seen whole by every run.

use std::collections::HashSet;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::live::{Live, Root};
use super::{Collect, CollectError, RunContext};
use crate::domain::retention::Verdict;
use crate::domain::{Digest, LogName};
use crate::layout::{MEMBERS, REFERRERS, VersionIndex};
use crate::store::{Key, List, StoreErrorKind};

/// Maximum number of entries that a run lists, and that it adds and deletes.
const MAX_ENTRIES: usize = 10_000;

/// The version that an entry names, with its manifest.
type Member = (Digest, LogName, u64);

/// A part of an index.
struct Part {
    index: VersionIndex,
    listed: Vec<Member>,
    /// The first byte of the lowest digests.
    first: u8,
    /// The highest digest that the listing got to.
    last: [u8; 32],
}

impl Collect {
    /// Compares a part of each index with the roots that were marked, and corrects it. A failure ends only this: a later
    /// run tries again.
    pub(super) async fn tend_members(&self, run: &RunContext, live: &Live) {
        for index in [MEMBERS, REFERRERS] {
            if let Err(error) = self.try_tend(index, run, live).await {
                tracing::warn!(%error, "an index of manifests could not be corrected");
            }
        }
    }

    async fn try_tend(&self, index: VersionIndex, run: &RunContext, live: &Live) -> Result<(), CollectError> {
        // Another beginning every hour.
        let middle = u8::try_from(1 + run.id.millisecond / 3_600_000 % 255).unwrap_or(1);
        let mut room = MAX_ENTRIES;
        for (first, last) in [(middle, u8::MAX), (0, middle - 1)] {
            if room > 0 {
                let part = self.list_part(index, (first, last), room).await?;
                room -= part.listed.len();
                self.correct(run, live, &part).await?;
            }
        }
        Ok(())
    }

    async fn list_part(&self, index: VersionIndex, (first, last): (u8, u8), room: usize) -> Result<Part, CollectError> {
        let start_after = Some(index.before(first));
        let prefix = index.all();
        let mut listing = self.store.list(&prefix, List { start_after, past_strays: true, ..List::default() });
        let mut listed = Vec::new();
        while let Some(meta) = listing.next().await {
            let meta = match meta {
                Err(error) if error.kind == StoreErrorKind::Stray => continue,
                meta => meta?,
            };
            // Keys that are no entries belong to a version that knows them.
            let Some(member) = index.parse(&meta.key) else { continue };
            if member.0.bytes()[0] > last {
                break;
            }
            listed.push(member);
            if listed.len() == room {
                let last = *listed[room - 1].0.bytes();
                return Ok(Part { index, listed, first, last });
            }
        }
        let mut highest = [u8::MAX; 32];
        highest[0] = last;
        Ok(Part { index, listed, first, last: highest })
    }

    async fn correct(&self, run: &RunContext, live: &Live, part: &Part) -> Result<(), CollectError> {
        let listed: HashSet<(Digest, &LogName, u64)> =
            part.listed.iter().map(|(manifest, name, number)| (*manifest, name, *number)).collect();
        let mut roots: HashSet<(Digest, &LogName, u64)> = HashSet::new();
        let mut lacking: Vec<Key> = Vec::new();
        for root in live.roots() {
            for manifest in part.index_of(root).filter(|manifest| part.covers(manifest)) {
                let member = (manifest, &root.name, root.version);
                roots.insert(member);
                if is_complete(root.verdict) && !listed.contains(&member) && lacking.len() < MAX_ENTRIES {
                    lacking.extend(part.index.key(manifest, &root.name, root.version));
                }
            }
        }
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
            let is_root = roots.contains(&(*manifest, name, *number)) || open.contains(&(name, *number));
            !is_root && live.has_begun(name, *number)
        };
        let over = part.listed.iter().filter(is_over);
        let over: Vec<Key> = over.filter_map(|(digest, name, number)| part.index.key(*digest, name, *number)).collect();
        self.delete(run, &over).await
    }
}

impl Part {
    /// The manifests under which the index has a root.
    fn index_of<'a>(&self, root: &'a Root) -> impl Iterator<Item = Digest> + use<'a> {
        let (own, others, subject) = match self.index {
            MEMBERS => (Some(root.manifest.digest), &root.others[..], None),
            _ => (None, &[][..], root.subject),
        };
        own.into_iter().chain(others.iter().copied()).chain(subject)
    }

    fn covers(&self, manifest: &Digest) -> bool {
        manifest.bytes()[0] >= self.first && *manifest.bytes() <= self.last
    }
}

fn is_complete(verdict: Verdict) -> bool {
    !verdict.is_over() && !matches!(verdict, Verdict::Prepared | Verdict::UnknownState)
}
