//! What was found when versions were looked at (step P2), so that nothing is looked at twice within minutes.
//!
//! A look holds as long as the version is needed by a root: the head that lists it was created before the look (P1), so
//! every tombstone that the look did not see is created after that head, and its collector sees the version when it
//! marks again (C4). So the commit of a session looks only for what was missing when it was prepared; a version that
//! was aborted meanwhile cannot be committed. And a version that follows another one needs no look at what both have: the
//! other one was needed from its own look until after the head that lists the new one, or it would not be active.
//!
//! Bytes that a version needs are taken away by nobody but those who discard damaged ones, who count that first: a look
//! from before another count ([`Blobs::discards`](crate::protocol::Blobs::discards)) is not relied on. What a disk loses,
//! or somebody deletes in the bucket by hand, leaves no trace until a reader misses it
//! ([`Blobs::missed`](crate::protocol::Blobs::missed)), so no look is relied on for longer than [`RELIED_ON`].

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use tokio::time::Instant;

use super::{Publish, PublishError, Receipt};
use crate::domain::pauses::Pauses as _;
use crate::domain::{Descriptor, Digest, LogName, VersionRow};
use crate::protocol::blobs::Check;
use crate::protocol::long_work::work_on;
use crate::protocol::manifests::Secured;
use crate::store::StoreError;

/// Maximum number of blobs that a version may lack: one that lacks more has to send so many that looks do not matter.
const MAX_LACKING: usize = 1000;
/// Number of files from which on it is worth finding out which of them were looked at before. Versions with fewer are
/// looked at as a whole each time.
const MANY: u64 = 16;
/// Memory for what versions lack, in bytes.
const REMEMBERED_BYTES: u64 = 4 << 20;
/// How long a look is relied on: a loss that nobody counted should be noticed by a publish long after.
const RELIED_ON: Duration = Duration::from_secs(600);

/// A version of a log, with the manifest that it had when its blobs were looked at.
type Version = (LogName, u64, Digest);

/// The result of a look.
#[derive(Debug, Clone)]
pub(super) struct Look {
    begun: Begun,
    /// What was missing.
    pub(super) lacking: Arc<[Descriptor]>,
}

/// The looks that this process has made.
#[derive(Debug)]
pub(super) struct Looks(Cache<Version, Look>);

/// When a look began.
#[derive(Debug, Clone, Copy)]
struct Begun {
    at: Instant,
    /// How often bytes had been discarded then.
    discards: u64,
}

/// Blobs that need no look.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) blobs: HashSet<Descriptor>,
    /// When the oldest look at them began, or the one that is about to be made; `None` if it is not to be remembered.
    begun: Option<Begun>,
}

impl Default for Looks {
    fn default() -> Self {
        let weigh = |(log, ..): &Version, look: &Look| {
            u32::try_from(log.as_str().len() + size_of_val(&*look.lacking) + 256).unwrap_or(u32::MAX)
        };
        Self(Cache::builder().max_capacity(REMEMBERED_BYTES).weigher(weigh).time_to_live(RELIED_ON).build())
    }
}

impl Looks {
    /// Remembers a look, if blobs are all that the version lacks, and they are few. One that names other manifests is
    /// looked at anew, as those may name more.
    pub(super) fn remember(&self, log: &LogName, row: &VersionRow, secured: &Secured, known: &Known) {
        let is_simple = secured.children.is_empty() && secured.malformed.is_empty() && secured.unresolved.is_empty();
        let Some(begun) = known.begun.filter(|_| is_simple && secured.bad.len() <= MAX_LACKING) else { return };
        let missing = |check: &Check| if let Check::Missing(blob) = check { Some(*blob) } else { None };
        if let Some(lacking) = secured.bad.iter().map(missing).collect() {
            self.0.insert(version(log, row), Look { begun, lacking });
        }
    }

    /// Remembers that what a version lacked has come.
    fn complete(&self, log: &LogName, row: &VersionRow) {
        if let Some(look) = self.of(log, row).filter(|look| !look.lacking.is_empty()) {
            self.0.insert(version(log, row), Look { lacking: Arc::default(), ..look });
        }
    }

    /// The look at a version, unless it is too old.
    fn of(&self, log: &LogName, row: &VersionRow) -> Option<Look> {
        self.0.get(&version(log, row)).filter(|look| look.begun.at.elapsed() < RELIED_ON)
    }
}

impl Publish {
    /// What a new version, whose head was created, has in common with the active one, if that was found whole.
    pub(super) async fn known(&self, receipt: &Receipt) -> Result<Known, PublishError> {
        if receipt.row.summary.files < MANY {
            return Ok(Known::default());
        }
        let log = &receipt.name;
        let unknown = self.begin().await?;
        // In an older head a version may be active that nothing has needed any more since.
        let head = self.heads.current(log).await?.filter(|head| head.generation >= receipt.generation);
        let Some(row) = head.as_ref().and_then(|head| head.active()) else { return Ok(unknown) };
        let Some(look) = self.look(log, row, &unknown).filter(|look| look.lacking.is_empty()) else {
            return Ok(unknown);
        };
        let loaded = self.manifests.load_alone(row.summary.manifest, row.summary.media_type.as_deref()).await?;
        let Some(loaded) = loaded else { return Ok(unknown) };
        let missed = self.blobs.missed(RELIED_ON);
        let is_sound = |blob: &Descriptor| !self.blobs.is_damaged(&blob.digest) && !missed.contains(&blob.digest);
        let sound = || {
            let named = loaded.manifest()?.roots();
            // A set that grew would move all blobs at once, without a pause.
            let mut sound = HashSet::with_capacity(named.len());
            sound.extend(named.into_iter().with_pauses().filter(is_sound));
            Ok::<_, StoreError>(sound)
        };
        Ok(Known { blobs: work_on(loaded.bytes.len(), sound)?, begun: Some(look.begun) })
    }

    /// Step P2 for a version that is committed: looks only for what it lacked when it was prepared, if that is known, and
    /// for what was attached to it since.
    pub(super) async fn check_again(&self, name: &LogName, row: &VersionRow) -> Result<Secured, PublishError> {
        if row.summary.files < MANY {
            return self.check(name, row).await;
        }
        let begun = self.begin().await?;
        let Some(look) = self.look(name, row, &begun) else {
            let secured = self.check(name, row).await?;
            self.looks.remember(name, row, &secured, &begun);
            return Ok(secured);
        };
        let mut blobs = self.heads.needs(name, row).await?;
        blobs.extend(look.lacking.iter());
        let secured = Secured { bad: self.blobs.secure(blobs).await?, ..Secured::default() };
        if secured.is_whole() {
            self.looks.complete(name, row);
        }
        Ok(secured)
    }

    /// A look that begins now, and knows nothing beforehand.
    async fn begin(&self) -> Result<Known, PublishError> {
        let at = Instant::now();
        Ok(Known { blobs: HashSet::new(), begun: Some(Begun { at, discards: self.blobs.discards().await? }) })
    }

    /// The look at a version, if it may be relied on by one that begins now.
    fn look(&self, log: &LogName, row: &VersionRow, now: &Known) -> Option<Look> {
        let discards = now.begun.map(|begun| begun.discards);
        self.looks.of(log, row).filter(|look| Some(look.begun.discards) == discards)
    }
}

fn version(log: &LogName, row: &VersionRow) -> Version {
    (log.clone(), row.number, row.digest())
}
