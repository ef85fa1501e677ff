//! What was found when versions were looked at (step P2), so that nothing is looked at twice within minutes.
//!
//! A look holds as long as the version is needed by a root: the head that lists it was created before the look (P1), so
//! every tombstone that the look did not see is created after that head, and its collector sees the version when it
//! marks again (C4). So the commit of a session looks only for what was missing when it was prepared; a version that
//! was aborted meanwhile cannot be committed. And a version that follows another one needs no look at what both have: the
//! other one was needed from its own look until after the head that lists the new one, or it would not be active.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use tokio::time::Instant;

use super::{Publish, PublishError, Receipt};
use crate::domain::{Descriptor, Digest, LogName, Manifest, VersionRow};
use crate::protocol::blobs::Check;
use crate::protocol::manifests::Secured;

/// Maximum number of blobs that a version may lack: one that lacks more has to send so many that looks do not matter.
const MAX_LACKING: usize = 1000;
/// Number of blobs from which on it is worth finding out which of them the active version has.
const MANY: usize = 16;
/// Memory for what versions lack, in bytes.
const REMEMBERED_BYTES: u64 = 4 << 20;
/// How long a look is relied on. Bytes can be lost to a damaged disk, too, which a publish long after should notice.
const RELIED_ON: Duration = Duration::from_secs(600);

/// A version of a log, with the manifest that it had when its blobs were looked at.
type Version = (LogName, u64, Digest);

/// The result of a look.
#[derive(Debug, Clone)]
pub(super) struct Look {
    /// When the oldest part of it was made.
    at: Instant,
    /// What was missing.
    pub(super) lacking: Arc<[Descriptor]>,
}

/// The looks that this process has made.
#[derive(Debug)]
pub(super) struct Looks(Cache<Version, Look>);

/// Blobs that need no look, and since when.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) blobs: HashSet<Descriptor>,
    since: Instant,
}

impl Known {
    /// Nothing is known.
    pub(super) fn nothing() -> Self {
        Self { blobs: HashSet::new(), since: Instant::now() }
    }
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
        if !is_simple || secured.bad.len() > MAX_LACKING {
            return;
        }
        let missing = |check: &Check| if let Check::Missing(blob) = check { Some(*blob) } else { None };
        if let Some(lacking) = secured.bad.iter().map(missing).collect() {
            self.0.insert(version(log, row), Look { at: known.since, lacking });
        }
    }

    /// Remembers that what a version lacked has come.
    pub(super) fn complete(&self, log: &LogName, row: &VersionRow) {
        if let Some(look) = self.of(log, row).filter(|look| !look.lacking.is_empty()) {
            self.0.insert(version(log, row), Look { lacking: Arc::default(), ..look });
        }
    }

    /// The look at a version, if that may be relied on.
    pub(super) fn of(&self, log: &LogName, row: &VersionRow) -> Option<Look> {
        self.0.get(&version(log, row)).filter(|look| look.at.elapsed() < RELIED_ON)
    }
}

impl Publish {
    /// What a new version, whose head was created, has in common with the active one, if that was found whole.
    pub(super) async fn known(&self, receipt: &Receipt, manifest: &Manifest) -> Result<Known, PublishError> {
        if manifest.blobs.len() < MANY {
            return Ok(Known::nothing());
        }
        let log = &receipt.name;
        // In an older head a version may be active that nothing has needed any more since.
        let head = self.heads.current(log).await?.filter(|head| head.generation >= receipt.generation);
        let Some(row) = head.as_ref().and_then(|head| head.active()) else { return Ok(Known::nothing()) };
        let Some(look) = self.looks.of(log, row).filter(|look| look.lacking.is_empty()) else {
            return Ok(Known::nothing());
        };
        let loaded = self.manifests.load_alone(row.summary.manifest, row.summary.media_type.as_deref()).await?;
        let mut blobs: HashSet<Descriptor> = match &loaded {
            Some(loaded) => loaded.manifest()?.roots().into_iter().collect(),
            None => return Ok(Known::nothing()),
        };
        blobs.retain(|blob| !self.blobs.is_damaged(&blob.digest));
        Ok(Known { blobs, since: look.at })
    }
}

fn version(log: &LogName, row: &VersionRow) -> Version {
    (log.clone(), row.number, row.digest())
}
