//! The areas of a store: what its keys begin with, and what the commands that go through all of it do there.

use super::LayoutKey;
use super::spelling::{parse_generation, spell_generation};
use crate::store::{Key, Prefix};

/// How `larder copy-store` treats an area.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copying {
    /// Blobs and their tombstones: hashed on their way, doomed bytes only where there are no others.
    Blobs,
    /// Objects that are named by their digest, and hashed on their way.
    Hashed,
    /// Empty objects whose keys say it all.
    Marks,
    /// Byte for byte, but for what begins with one of these: secrets that belong to one deployment.
    AsIs {
        /// What is left out.
        except: &'static [&'static str],
    },
    /// Log by log, oldest state first, and no further than was noted before anything else was copied.
    Logs,
    /// Once everything else is there and has been followed.
    AtTheEnd,
    /// Not at all: it is only of use to the processes of one store.
    Never,
}

/// How `larder verify` treats an object of an area.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verifying {
    /// Its bytes must have the digest that its key says.
    Bytes,
    /// Read wherever a reference leads to it. That its key is known is all that is asked of it by itself.
    References,
    /// Its key must be known.
    Key,
    /// Whatever its key is: other versions of larder may keep things here that this one does not know.
    Anything,
}

/// A part of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Area {
    /// What its keys begin with, the `/` included.
    pub prefix: &'static str,
    /// How it is copied.
    pub copied: Copying,
    /// Whether what it holds can make a blob needed. Then the collector must read all of it in both of its markings.
    pub holds_roots: bool,
    /// How it is verified.
    pub verified: Verifying,
}

impl Area {
    /// The prefix of all its keys.
    #[must_use]
    pub fn all(&self) -> Prefix {
        super::prefix(self.prefix)
    }
}

/// All areas, in the order in which they are copied: what refers to something comes after it.
pub const AREAS: [Area; 10] = [
    Area { prefix: "blobs/", copied: Copying::Blobs, holds_roots: false, verified: Verifying::Bytes },
    // What a segment needs counts as long as a head names it.
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

/// The area of a key.
#[must_use]
pub fn area_of(key: &Key) -> Option<&'static Area> {
    AREAS.iter().find(|area| key.as_str().starts_with(area.prefix))
}

/// Whether a key is one that this layout has no place for: it is not known, nor in an area where others may be.
#[must_use]
pub fn is_stranger(key: &Key) -> bool {
    LayoutKey::parse(key).is_none() && area_of(key).is_none_or(|area| area.verified != Verifying::Anything)
}

/// What follows an area in the keys of the log that it keeps.
const STATES: &str = "@/";

/// The prefix of all states of the log that an area below `aux/` keeps, newest first. `None` if the area has no legal
/// name.
#[must_use]
pub fn states(area: &str) -> Option<Prefix> {
    AreaPath::of_state(area, 0)?;
    Some(super::prefix(&format!("aux/{area}/{STATES}")))
}

/// A key below `aux/` or `tmp/`, without that: `<area>/<rest>`, where the area is 1 to 16 lower-case letters and digits.
/// Only the area knows what its rest means.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AreaPath(Box<str>);

impl AreaPath {
    /// The path of these parts. `None` if it does not spell a legal key.
    #[must_use]
    pub fn new(area: &str, rest: &str) -> Option<Self> {
        Self::parse(&format!("{area}/{rest}"))
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let (area, _) = text.split_once('/')?;
        let letters = area.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        // `tmp/` is as long.
        let is_legal = (1..=16).contains(&area.len()) && letters && format!("aux/{text}").parse::<Key>().is_ok();
        is_legal.then(|| Self(text.into()))
    }

    /// The path of one state of the log that an area keeps. `None` if the area has no legal name.
    #[must_use]
    pub fn of_state(area: &str, generation: u64) -> Option<Self> {
        Self::new(area, &format!("{STATES}{}", spell_generation(generation)))
    }

    /// The generation of the state that the path is of, if it is one.
    #[must_use]
    pub fn generation(&self) -> Option<u64> {
        let (_, rest) = self.0.split_once('/')?;
        let generation = parse_generation(rest.strip_prefix(STATES)?)?;
        (Self::of_state(self.area(), generation)? == *self).then_some(generation)
    }

    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The area.
    #[must_use]
    pub fn area(&self) -> &str {
        self.0.split('/').next().unwrap_or(&self.0)
    }
}
