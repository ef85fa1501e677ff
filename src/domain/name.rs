//! Names of logs, including the manifest names that users see, and artifact file names: the only strings from outside
//! that ever become part of a key or a path.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::text;

/// Maximum length of a manifest name, in bytes.
pub const MAX_NAME: usize = 255;
/// Maximum length of a manifest name's segment other than the last, in bytes: it becomes a segment of keys.
pub const MAX_COMPONENT: usize = 250;
/// Maximum length of a hidden log's kind, in bytes.
const MAX_KIND: usize = 16;
/// Maximum length of an artifact name, in bytes.
pub const MAX_FILE: usize = 1024;
/// Maximum length of an artifact name's segment, in bytes (the limit of common filesystems).
pub const MAX_FILE_SEGMENT: usize = 255;

/// The reason why a string is not a valid name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The name is empty.
    #[error("a name must not be empty")]
    Empty,
    /// The name or a segment exceeds its maximum length.
    #[error("a name has at most {limit} bytes, this one has {actual}")]
    TooLong {
        /// The limit that applies, in bytes.
        limit: usize,
        /// The actual length, in bytes.
        actual: usize,
    },
    /// A segment holds a character that hides or reorders text, or controls a terminal.
    #[error("the segment {segment:?} holds {}, which would hide or reorder text; leave it out", text::describe(*.character))]
    Hidden {
        /// The offending segment, truncated to 64 characters.
        segment: String,
        /// The character.
        character: char,
    },
    /// A segment does not follow the grammar.
    #[error("the segment {segment:?} is not allowed: {rule}")]
    Segment {
        /// The offending segment, truncated to 64 characters.
        segment: String,
        /// The rule it breaks, in words.
        rule: &'static str,
    },
}

impl NameError {
    fn segment(segment: &str, rule: &'static str) -> Self {
        Self::Segment { segment: segment.chars().take(64).collect(), rule }
    }
    pub(in crate::domain) fn no_tag(text: &str) -> Self {
        Self::segment(text, TAG_RULE)
    }
    fn hidden(segment: &str, character: char) -> Self {
        Self::Hidden { segment: segment.chars().take(64).collect(), character }
    }
}

/// Last segments of names that are for programs.
const SYSTEM: [&str; 4] = ["_catalog", "_warehouse", "_root", "_tuf"];

const COMPONENT_RULE: &str =
    "use at most 250 lower-case letters and digits, separated by one '.', one or two '_', or any number of '-'";
const TAG_RULE: &str = "use 1 to 128 letters, digits, '.', '_' and '-', starting with a letter, a digit or '_'";
const HIDDEN_RULE: &str = "a hidden log is PARENT/@KIND/HH: 1 to 16 lower-case letters, two lower-case hex digits";

/// The name of a log of heads: a [`ManifestName`], or `PARENT/@KIND/HH`, a hidden log that belongs to the name or
/// repository PARENT, such as `team/app/@untagged/9f`.
///
/// A hidden log holds versions that have no name of their own; versions are distributed over 256 logs by HH, the first
/// byte of a digest. Its roots count like all others, and policies of names that belong to PARENT apply to it, but it never
/// appears in listings for users. Neither `@` nor an empty segment occurs in a manifest name, so no string is both.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogName(Box<str>);

impl LogName {
    /// The name as a string slice.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// If the log is hidden, its parent's name and the rest, starting with `/@`.
    #[must_use]
    pub fn split_hidden(&self) -> Option<(&str, &str)> {
        self.0.find("/@").map(|at| self.0.split_at(at))
    }

    /// The manifest name of the log. `None` if it is hidden.
    #[must_use]
    pub fn visible(&self) -> Option<ManifestName> {
        self.split_hidden().is_none().then(|| ManifestName(self.clone()))
    }

    /// The log's own manifest name, or the parent's if it is hidden.
    #[must_use]
    pub fn governing(&self) -> ManifestName {
        ManifestName(Self(self.split_hidden().map_or(&*self.0, |(parent, _)| parent).into()))
    }
}

impl FromStr for LogName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let Some((parent, hidden)) = text.split_once("/@") else { return Ok(text.parse::<ManifestName>()?.into()) };
        format!("{parent}/x").parse::<ManifestName>().or_else(|_| parent.parse())?;
        if is_hidden_part(hidden) { Ok(Self(text.into())) } else { Err(NameError::segment(hidden, HIDDEN_RULE)) }
    }
}

impl From<ManifestName> for LogName {
    fn from(name: ManifestName) -> Self {
        name.0
    }
}

/// Whether `text` is `KIND/HH`.
fn is_hidden_part(text: &str) -> bool {
    let Some((kind, byte)) = text.split_once('/') else { return false };
    (1..=MAX_KIND).contains(&kind.len())
        && kind.bytes().all(|b| b.is_ascii_lowercase())
        && byte.len() == 2
        && byte.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// The mutable name of a manifest, such as `main` or `miren/v0.5.0`.
///
/// One or more `/`-separated segments, 255 bytes in all. Every segment but the last is an OCI repository
/// component, the last an OCI tag; so `host/miren:main` in OCI terms is the name `miren/main`. Every manifest name is
/// the name of a log.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ManifestName(LogName);

impl ManifestName {
    /// Whether the name is for programs: its last segment is `_catalog`, `_warehouse`, `_root` or `_tuf`. Lists for people
    /// and lists of tags leave it out.
    #[must_use]
    pub fn is_system(&self) -> bool {
        self.as_str().rsplit('/').next().is_some_and(|last| SYSTEM.contains(&last))
    }
}

impl Deref for ManifestName {
    type Target = LogName;

    fn deref(&self) -> &LogName {
        &self.0
    }
}

impl FromStr for ManifestName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > MAX_NAME {
            return Err(NameError::TooLong { limit: MAX_NAME, actual: text.len() });
        }
        let (components, tag) = match text.rsplit_once('/') {
            Some((components, tag)) => (Some(components), tag),
            None => (None, text),
        };
        for component in components.into_iter().flat_map(|c| c.split('/')) {
            if !is_component(component) {
                return Err(NameError::segment(component, COMPONENT_RULE));
            }
        }
        if !is_tag(tag) {
            return Err(NameError::segment(tag, TAG_RULE));
        }
        Ok(Self(LogName(text.into())))
    }
}

/// Whether `text` matches `[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*` of the OCI distribution specification.
fn is_component(text: &str) -> bool {
    let alnum = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    if !alnum(*first) || !alnum(*last) || bytes.len() > MAX_COMPONENT {
        return false;
    }
    bytes
        .split(|b| alnum(*b))
        .all(|separator| matches!(separator, b"" | b"." | b"_" | b"__") || separator.iter().all(|b| *b == b'-'))
}

/// Whether `text` matches `[A-Za-z0-9_][A-Za-z0-9._-]{0,127}` of the OCI distribution specification.
fn is_tag(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let bytes = text.as_bytes();
    bytes.len() <= 128
        && bytes.first().is_some_and(|b| word(*b))
        && bytes.iter().all(|b| word(*b) || matches!(b, b'.' | b'-'))
}

/// The name of an artifact within a manifest; it may contain `/` (a static site's `assets/app.js`).
///
/// A relative path without empty, `.` or `..` segments, backslashes or control characters, so that a client can safely
/// write it below a directory of its choice. [`FileName::check`] has the further rules for new names: a name that was
/// published must stay readable whatever the rules of publishing become.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileName(Arc<str>);

impl FileName {
    /// The name as a string slice.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last segment, under which a browser should save the file.
    #[must_use]
    pub fn base(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// Checks that an artifact with this name may be published: at most [`MAX_FILE`] bytes, at most
    /// [`MAX_FILE_SEGMENT`] bytes per segment, no segment that starts with `~`, which shells expand, and no character
    /// that hides or reorders text ([`text::first_hidden`]).
    ///
    /// # Errors
    /// The first rule that it violates.
    pub fn check(&self) -> Result<(), NameError> {
        self.check_of_site()?;
        match self.0.split('/').find(|segment| segment.starts_with('~')) {
            Some(segment) => Err(NameError::segment(segment, "a segment of a file name does not start with '~'")),
            None => Ok(()),
        }
    }

    /// As [`FileName::check`], for a file of a static site: segments may start with `~`, because such directories are
    /// usual there and nobody types their names into a shell.
    ///
    /// # Errors
    /// The first rule that it violates.
    pub fn check_of_site(&self) -> Result<(), NameError> {
        if self.0.len() > MAX_FILE {
            return Err(NameError::TooLong { limit: MAX_FILE, actual: self.0.len() });
        }
        for segment in self.0.split('/') {
            if segment.len() > MAX_FILE_SEGMENT {
                return Err(NameError::segment(segment, "a segment of a file name has at most 255 bytes"));
            }
            if let Some((_, character)) = text::first_hidden(segment) {
                return Err(NameError::hidden(segment, character));
            }
        }
        Ok(())
    }
}

impl FromStr for FileName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        for segment in text.split('/') {
            if let Some(control) = segment.chars().find(|c| c.is_control()) {
                return Err(NameError::hidden(segment, control));
            }
            if let Some(rule) = danger(segment) {
                return Err(NameError::segment(segment, rule));
            }
        }
        Ok(Self(text.into()))
    }
}

/// The rule that a segment violates, if it would be unsafe in a path.
fn danger(segment: &str) -> Option<&'static str> {
    if segment.is_empty() {
        Some("a file name has no empty segment, and no '/' at its ends")
    } else if matches!(segment, "." | "..") {
        Some("a file name has no '.' or '..' segment")
    } else if segment.contains('\\') {
        Some("a file name holds no backslash")
    } else {
        None
    }
}

macro_rules! text_type {
    ($type:ty) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.as_str())
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

text_type!(LogName);
text_type!(ManifestName);
text_type!(FileName);

#[cfg(test)]
mod tests;
