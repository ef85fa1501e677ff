//! What a server adds to the targets of a catalog so that clients of TUF can read it: a snapshot, which says which
//! targets are current, and a timestamp, which says that this is still so.
//!
//! Both are made of what is stored and of the time alone, so every server of a store makes the same and nothing is
//! stored. The snapshot has the version and the end of the targets. The version of the timestamp is the number of its
//! minute since 1970 and that of the targets, added up: it grows by itself, and with each change, for clients ignore what
//! changes under a version that they have. It ends a day later, so nobody can show an old one for longer than that.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::metadata::NewMetadata;
use crate::domain::manifest::Descriptor;

/// How long a timestamp has the same version if nothing changes, in seconds.
const SLOT: i64 = 60;
/// How long a timestamp is valid.
const VALID: SignedDuration = SignedDuration::from_hours(24);
/// How far what is stored may be dated ahead of a clock before that counts as wrong: servers' clocks differ by seconds.
const AHEAD: SignedDuration = SignedDuration::from_secs(5);

/// The minute of a timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot(i64);

impl Slot {
    /// The present minute. `newest` is when what is current became so. `None` if the clock is behind that: then clients
    /// may have seen later minutes than it knows of.
    #[must_use]
    pub fn at(now: Timestamp, newest: Timestamp) -> Option<Self> {
        let is_behind = newest.duration_since(now) > AHEAD;
        let second = now.max(newest).as_second();
        (!is_behind && second >= SLOT).then_some(Self(second / SLOT))
    }
}

/// The snapshot with these targets.
#[must_use]
pub fn snapshot(version: u64, expires: Timestamp, targets: Descriptor) -> NewMetadata {
    NewMetadata::new("snapshot", version, expires, json!({"meta": {"targets.json": meta(version, targets)}}))
}

/// The timestamp of a snapshot with this version and these bytes. `None` at the end of time.
#[must_use]
pub fn timestamp(Slot(slot): Slot, version: u64, snapshot: Descriptor) -> Option<NewMetadata> {
    let expires = Timestamp::from_second(slot * SLOT).ok()?.checked_add(VALID).ok()?;
    let members = json!({"meta": {"snapshot.json": meta(version, snapshot)}});
    let own = slot.unsigned_abs().saturating_add(version);
    Some(NewMetadata::new("timestamp", own, expires, members))
}

fn meta(version: u64, Descriptor { digest, size }: Descriptor) -> Value {
    json!({"version": version, "length": size, "hashes": {"sha256": digest.hex()}})
}
