//! What sessions still lacked when they were prepared, so that their commit looks only for that.
//!
//! Step P2 need not be repeated for what it found: the head that lists the version was created before (P1), so every
//! tombstone that P2 did not see is created after that head, and its collector sees the version when it marks again
//! (C4). That holds as long as the version is prepared, and a version that was aborted meanwhile cannot be committed.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;

use crate::domain::{Descriptor, Digest, LogName, VersionRow};
use crate::protocol::blobs::Check;
use crate::protocol::manifests::Secured;

/// Maximum number of blobs that a session may lack: one that lacks more has to send so many that the looks do not
/// matter.
const MAX_LACKING: usize = 1000;
/// Memory for what sessions lack, in bytes.
const REMEMBERED_BYTES: u64 = 4 << 20;
/// How long it is relied on. Bytes can be lost to a damaged disk, too, which a commit long after should notice.
const RELIED_ON: Duration = Duration::from_secs(600);

/// A version of a log, with the manifest that it had when its blobs were looked at.
type Session = (LogName, u64, Digest);

/// The blobs that sessions lacked.
#[derive(Debug)]
pub(super) struct Lacking(Cache<Session, Arc<[Descriptor]>>);

impl Default for Lacking {
    fn default() -> Self {
        let weigh = |(log, ..): &Session, blobs: &Arc<[Descriptor]>| {
            u32::try_from(log.as_str().len() + size_of_val(&**blobs) + 256).unwrap_or(u32::MAX)
        };
        Self(Cache::builder().max_capacity(REMEMBERED_BYTES).weigher(weigh).time_to_live(RELIED_ON).build())
    }
}

impl Lacking {
    /// Remembers the result of a look, if blobs are all that the version lacks, and they are few. One that names other
    /// manifests is looked at anew, as those may name more.
    pub(super) fn remember(&self, log: &LogName, row: &VersionRow, secured: &Secured) {
        let is_simple = secured.children.is_empty() && secured.malformed.is_empty() && secured.unresolved.is_empty();
        if !is_simple || secured.bad.len() > MAX_LACKING {
            return;
        }
        let missing = |check: &Check| if let Check::Missing(blob) = check { Some(*blob) } else { None };
        if let Some(blobs) = secured.bad.iter().map(missing).collect() {
            self.0.insert(session(log, row), blobs);
        }
    }

    /// What the version lacked, if that is known.
    pub(super) fn of(&self, log: &LogName, row: &VersionRow) -> Option<Arc<[Descriptor]>> {
        self.0.get(&session(log, row))
    }
}

fn session(log: &LogName, row: &VersionRow) -> Session {
    (log.clone(), row.number, row.digest())
}
