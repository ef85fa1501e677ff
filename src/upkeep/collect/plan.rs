//! The plan (C2): the fate of every generation of every blob. This is the only place that selects what may be deleted;
//! the decision itself is a pure function.

use std::ops::RangeInclusive;

use futures_util::TryStreamExt as _;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::fate::{Candidate, Fate};
use super::live::Live;
use super::report::{Entry, Totals};
use super::{CollectError, RunContext};
use crate::domain::Digest;
use crate::layout::{self, LayoutKey};
use crate::protocol::blobs::BlobCopies;
use crate::store::{Key, List, ObjectStore};

/// The bound below which bytes are young: nothing, or what was created or relied on after some moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct AgeLimit(Option<Timestamp>);

impl AgeLimit {
    /// With a minimum age of zero nothing is young, whatever the clocks say.
    pub(super) fn new(now: Timestamp, min_age: SignedDuration) -> Self {
        Self(min_age.is_positive().then(|| now.checked_sub(min_age).unwrap_or(Timestamp::MIN)))
    }

    pub(super) fn includes(self, last_sign: Timestamp) -> bool {
        self.0.is_some_and(|limit| last_sign > limit)
    }
}

/// The fate of each generation of a digest that has bytes, by ascending number.
pub(super) fn judge(copies: &BlobCopies, is_live: bool, young: AgeLimit) -> impl Iterator<Item = (u64, u64, Fate)> {
    copies.with_bytes().map(move |generation| {
        let fate = match () {
            () if generation.condemned => Fate::Condemned,
            () if is_live => Fate::Needed,
            () if young.includes(generation.last_sign()) => Fate::Young,
            () => Fate::Unreferenced,
        };
        (generation.number, generation.size, fate)
    })
}

/// The plan for a part of the store's blobs.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) candidates: Vec<Candidate>,
    /// Stale hints, which are deleted.
    pub(super) litter: Vec<Key>,
    pub(super) totals: Totals,
}

/// Plans all blobs whose digests begin with one of these bytes, and reports every decision. An object in between that
/// is not part of a blob is an unknown key.
pub(super) async fn plan(
    store: &dyn ObjectStore,
    run: &RunContext,
    bytes: RangeInclusive<u8>,
    live: &Live,
    tell: impl FnMut(Entry<'_>) + Send,
) -> Result<Plan, CollectError> {
    let (first, last) = (*bytes.start(), *bytes.end());
    let start_after = (first > 0).then(|| layout::before_blobs(first));
    let end = last.checked_add(1).map(layout::before_blobs);
    let mut listing = store.list(&layout::blobs(), List { start_after, ..List::default() });
    let mut planner = Planner { run, live, tell, plan: Plan::default(), current: None };
    let (mut listed, mut began) = (0, Instant::now());
    while let Some(meta) = listing.try_next().await? {
        if end.as_ref().is_some_and(|end| meta.key >= *end) {
            break;
        }
        let parsed = LayoutKey::parse(&meta.key).and_then(|key| Some((key.digest_of_blob()?, key)));
        let Some((digest, key)) = parsed else { return Err(CollectError::UnknownKey(meta.key)) };
        planner.add(digest, &key, meta);
        listed += 1;
        if listed % PACED == 0 {
            run.check()?;
            run.lists.wait(PACED).await;
            run.rest.since(began).await;
            began = Instant::now();
        }
    }
    planner.close();
    Ok(planner.plan)
}

/// Number of keys between checks of the rate limit.
const PACED: usize = 256;

struct Planner<'a, F> {
    run: &'a RunContext,
    live: &'a Live,
    tell: F,
    plan: Plan,
    current: Option<(Digest, BlobCopies)>,
}

impl<F: FnMut(Entry<'_>)> Planner<'_, F> {
    fn add(&mut self, digest: Digest, key: &LayoutKey, meta: crate::store::ObjectMeta) {
        if self.current.as_ref().is_none_or(|(current, _)| *current != digest) {
            self.close();
            self.current = Some((digest, BlobCopies::default()));
        }
        if let Some((_, copies)) = &mut self.current {
            copies.add(key, meta);
        }
    }

    /// Decides about the digest whose last key was just listed.
    fn close(&mut self) {
        let Some((digest, copies)) = self.current.take() else { return };
        let root = self.live.needed_by(&digest);
        for (generation, size, fate) in judge(&copies, root.is_some(), self.run.young) {
            self.plan.totals.count(fate, size);
            if !fate.stays() {
                let condemned = fate == Fate::Condemned;
                self.plan.candidates.push(Candidate { digest, generation, size, condemned });
            }
            let needed_by = root.map(|root| (&root.name, root.version, root.verdict));
            (self.tell)(Entry::Blob { digest, generation, size, fate, needed_by });
        }
        self.plan
            .litter
            .extend(copies.stale_hints().map(|(generation, hour)| LayoutKey::Seen(digest, generation, hour).key()));
    }
}

#[cfg(test)]
mod tests;
