//! The areas of a store, by key prefix, and how the commands that traverse the whole store treat them.

use super::LayoutKey;
use super::spelling::{parse_generation, spell_generation};
use crate::domain::UploadId;
use crate::store::{Key, Prefix};

/// How `larder copy-store` treats an area.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copying {
    /// Blobs and their tombstones: verified while copying; condemned bytes only where there are no others.
    Blobs,
    /// Objects named by their digest, verified while copying.
    Hashed,
    /// Empty objects whose content is their key.
    Marks,
    /// Copied byte for byte, except for some prefixes that hold secrets of one deployment.
    AsIs {
        /// Prefixes that are not copied.
        except: &'static [&'static str],
    },
    /// Log by log, oldest state first, up to the state that was newest before anything else was copied.
    Logs,
    /// Last, once everything else has been copied and all references have been followed.
    AtTheEnd,
    /// Not copied: only of use to the processes of one store.
    Never,
}

/// How `larder verify` treats an object of an area.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verifying {
    /// The digest of its bytes must match its key.
    Bytes,
    /// Read only where a reference leads to it; on its own, only its key must be known.
    References,
    /// Its key must be known.
    Key,
    /// Any key is valid: other versions of Larder may keep objects here that this one does not know.
    Anything,
}

/// An area of the store: all keys with a common prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Area {
    /// The prefix, including the `/`.
    pub prefix: &'static str,
    /// How `larder copy-store` treats it.
    pub copied: Copying,
    /// Whether its objects can make a blob live. If so, the collector must read all of it both in C1 and in C4.
    pub holds_roots: bool,
    /// How `larder verify` treats it.
    pub verified: Verifying,
}

impl Area {
    /// The prefix of all its keys.
    #[must_use]
    pub fn all(&self) -> Prefix {
        super::prefix(self.prefix)
    }
}

/// All areas, in copying order: references come after what they refer to.
pub const AREAS: [Area; 10] = [
    Area { prefix: "blobs/", copied: Copying::Blobs, holds_roots: false, verified: Verifying::Bytes },
    // A segment's needs only count while a head refers to the segment.
    Area { prefix: "segments/", copied: Copying::Hashed, holds_roots: false, verified: Verifying::References },
    Area { prefix: "names/", copied: Copying::Marks, holds_roots: false, verified: Verifying::References },
    Area {
        prefix: "aux/",
        copied: Copying::AsIs { except: &["aux/keys/"] },
        holds_roots: false,
        verified: Verifying::Anything,
    },
    Area { prefix: "heads/", copied: Copying::Logs, holds_roots: true, verified: Verifying::References },
    Area { prefix: "layout/", copied: Copying::AtTheEnd, holds_roots: false, verified: Verifying::Key },
    Area { prefix: "uploads/", copied: Copying::Never, holds_roots: false, verified: Verifying::Key },
    Area { prefix: "collector/", copied: Copying::Never, holds_roots: false, verified: Verifying::Key },
    Area { prefix: "probe/", copied: Copying::Never, holds_roots: false, verified: Verifying::Key },
    Area { prefix: "tmp/", copied: Copying::Never, holds_roots: false, verified: Verifying::Anything },
];

/// The area that a key belongs to.
#[must_use]
pub fn area_of(key: &Key) -> Option<&'static Area> {
    AREAS.iter().find(|area| key.as_str().starts_with(area.prefix))
}

/// Whether a key has no place in this layout: it is unknown, and not in an area that allows unknown keys.
#[must_use]
pub fn is_stranger(key: &Key) -> bool {
    LayoutKey::parse(key).is_none() && area_of(key).is_none_or(|area| area.verified != Verifying::Anything)
}

/// The area below `tmp/` of uploads whose digest is not known yet.
const INCOMING: &str = "incoming";

/// The prefix of the bytes of all uploads whose digest is not known yet.
#[must_use]
pub fn incoming() -> Prefix {
    super::prefix(&format!("tmp/{INCOMING}/"))
}

/// The area below `tmp/` of the records of uploads that arrive in chunks.
const CHUNKS: &str = "chunks";

/// The prefix of the records of all uploads that arrive in chunks.
#[must_use]
pub fn chunks() -> Prefix {
    super::prefix(&format!("tmp/{CHUNKS}/"))
}

/// Separates an area from the generation in the keys of the log that it keeps.
const STATES: &str = "@/";

/// The prefix of all states of the log that an area below `aux/` keeps, newest first. `None` if the area's name is not
/// legal.
#[must_use]
pub fn states(area: &str) -> Option<Prefix> {
    AreaPath::of_state(area, 0)?;
    Some(super::prefix(&format!("aux/{area}/{STATES}")))
}

/// The prefix of all that an area below `tmp/` holds. `None` if the area's name is not legal.
#[must_use]
pub fn temporary(area: &str) -> Option<Prefix> {
    AreaPath::new(area, "x")?;
    Some(super::prefix(&format!("tmp/{area}/")))
}

/// A key below `aux/` or `tmp/` without that prefix: `<area>/<rest>`, where the area is 1 to 16 lower-case letters and
/// digits. Only code that knows the area understands the rest.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AreaPath(Box<str>);

impl AreaPath {
    /// Joins an area and a rest. `None` if the result is not a legal key.
    #[must_use]
    pub fn new(area: &str, rest: &str) -> Option<Self> {
        Self::parse(&format!("{area}/{rest}"))
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let (area, _) = text.split_once('/')?;
        let letters = area.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        // `tmp/` has the same length, so this covers both.
        let is_legal = (1..=16).contains(&area.len()) && letters && format!("aux/{text}").parse::<Key>().is_ok();
        is_legal.then(|| Self(text.into()))
    }

    /// The path of an upload whose digest is not known yet, by a random id.
    #[must_use]
    pub fn of_incoming(id: u128) -> Self {
        Self(format!("{INCOMING}/{id:032x}").into())
    }

    /// Whether this is the path of an upload whose digest is not known yet.
    #[must_use]
    pub fn is_incoming(&self) -> bool {
        let id = self.0.strip_prefix(INCOMING).and_then(|rest| rest.strip_prefix('/'));
        id.and_then(|id| u128::from_str_radix(id, 16).ok()).is_some_and(|id| Self::of_incoming(id) == *self)
    }

    /// The path of the record of one chunk of an upload; chunks are numbered from 1, to at most [`super::MAX_STEP`].
    #[must_use]
    pub fn of_chunk(upload: UploadId, number: u32) -> Self {
        Self(format!("{CHUNKS}/{upload}.{number:05}").into())
    }

    /// Whether this is the path of the record of a chunk.
    #[must_use]
    pub fn is_chunk(&self) -> bool {
        let rest = self.0.strip_prefix(CHUNKS).and_then(|rest| rest.strip_prefix('/'));
        let parts = rest.and_then(|rest| rest.split_once('.'));
        let read = parts.and_then(|(upload, number)| Some(Self::of_chunk(upload.parse().ok()?, number.parse().ok()?)));
        read.is_some_and(|read| read == *self)
    }

    /// The path of one state of an area's log. `None` if the area's name is not legal.
    #[must_use]
    pub fn of_state(area: &str, generation: u64) -> Option<Self> {
        Self::new(area, &format!("{STATES}{}", spell_generation(generation)))
    }

    /// The generation, if this is the path of a log's state.
    #[must_use]
    pub fn generation(&self) -> Option<u64> {
        let (_, rest) = self.0.split_once('/')?;
        let generation = parse_generation(rest.strip_prefix(STATES)?)?;
        (Self::of_state(self.area(), generation)? == *self).then_some(generation)
    }

    /// The path as a string slice.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The area's name.
    #[must_use]
    pub fn area(&self) -> &str {
        self.0.split('/').next().unwrap_or(&self.0)
    }
}
