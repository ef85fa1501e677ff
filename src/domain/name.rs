//! Names of logs, of which manifest names are those that users see, and artifact file names: the only texts from
//! outside that ever reach a key or a path.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Longest manifest name, in bytes.
pub const MAX_NAME: usize = 255;
/// Longest segment of a manifest name but the last, in bytes: it becomes a segment of keys.
pub const MAX_COMPONENT: usize = 250;
/// Longest kind of a hidden log, in bytes.
const MAX_KIND: usize = 16;
/// Longest artifact name, in bytes.
pub const MAX_FILE: usize = 1024;
/// Longest single segment of an artifact name, in bytes (what common filesystems allow).
pub const MAX_FILE_SEGMENT: usize = 255;

/// What is wrong with a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing was given.
    #[error("a name must not be empty")]
    Empty,
    /// Longer than the limit.
    #[error("a name has at most {limit} bytes, this one has {actual}")]
    TooLong {
        /// The limit that applies.
        limit: usize,
        /// What was given.
        actual: usize,
    },
    /// A segment does not follow the grammar.
    #[error("the segment {segment:?} is not allowed: {rule}")]
    Segment {
        /// The offending segment, shortened.
        segment: String,
        /// The rule it breaks, in words.
        rule: &'static str,
    },
}

impl NameError {
    fn segment(segment: &str, rule: &'static str) -> Self {
        Self::Segment { segment: segment.chars().take(64).collect(), rule }
    }
}

const COMPONENT_RULE: &str =
    "use at most 250 lower-case letters and digits, separated by one '.', one or two '_', or any number of '-'";
const TAG_RULE: &str = "use 1 to 128 letters, digits, '.', '_' and '-', starting with a letter, a digit or '_'";

const HIDDEN_RULE: &str = "a hidden log is PARENT/@KIND/HH, where KIND is 1 to 16 lower-case letters, and HH two \
                           lower-case hexadecimal digits";

/// The name of a log of heads: a [`ManifestName`], or `PARENT/@KIND/HH`, a hidden log that belongs to the manifest
/// name PARENT, such as `team/app/@untagged/9f`.
///
/// A hidden log holds versions that have no name of their own; it is spread by HH, the first byte of a digest. Its
/// roots count like all others, and the policies of PARENT apply to it, but nothing that users see lists it. Neither
/// `@` nor an empty segment occurs in a manifest name, so no text is both.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogName(Box<str>);

impl LogName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The manifest name and the rest, from `/@` on, if the log is hidden.
    #[must_use]
    pub fn split_hidden(&self) -> Option<(&str, &str)> {
        self.0.find("/@").map(|at| self.0.split_at(at))
    }

    /// The name under which users know the log. `None` when it is hidden.
    #[must_use]
    pub fn visible(&self) -> Option<ManifestName> {
        self.split_hidden().is_none().then(|| ManifestName(self.clone()))
    }

    /// The manifest name whose policies apply: its own, or that of the name that a hidden log belongs to.
    #[must_use]
    pub fn governing(&self) -> ManifestName {
        ManifestName(Self(self.split_hidden().map_or(&*self.0, |(parent, _)| parent).into()))
    }
}

impl FromStr for LogName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let Some((parent, hidden)) = text.split_once("/@") else { return Ok(text.parse::<ManifestName>()?.into()) };
        parent.parse::<ManifestName>()?;
        if is_hidden_part(hidden) { Ok(Self(text.into())) } else { Err(NameError::segment(hidden, HIDDEN_RULE)) }
    }
}

impl From<ManifestName> for LogName {
    fn from(name: ManifestName) -> Self {
        name.0
    }
}

/// `KIND/HH`.
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

/// `[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*` of the OCI distribution specification.
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

/// `[A-Za-z0-9_][A-Za-z0-9._-]{0,127}` of the OCI distribution specification.
fn is_tag(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let bytes = text.as_bytes();
    bytes.len() <= 128
        && bytes.first().is_some_and(|b| word(*b))
        && bytes.iter().all(|b| word(*b) || matches!(b, b'.' | b'-'))
}

/// The name of an artifact inside a manifest; it may hold `/` (a static site's `assets/app.js`).
///
/// A relative path without empty, `.` or `..` segments, without backslashes, control characters or a leading
/// `~`, so that a client can write it below a directory of its choice.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileName(Box<str>);

impl FileName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last segment, what a browser should save the file as.
    #[must_use]
    pub fn base(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

impl FromStr for FileName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > MAX_FILE {
            return Err(NameError::TooLong { limit: MAX_FILE, actual: text.len() });
        }
        for segment in text.split('/') {
            if let Some(rule) = broken_rule(segment) {
                return Err(NameError::segment(segment, rule));
            }
        }
        Ok(Self(text.into()))
    }
}

fn broken_rule(segment: &str) -> Option<&'static str> {
    if segment.is_empty() {
        Some("a file name has no empty segment, and no '/' at its ends")
    } else if matches!(segment, "." | "..") {
        Some("a file name has no '.' or '..' segment")
    } else if segment.len() > MAX_FILE_SEGMENT {
        Some("a segment of a file name has at most 255 bytes")
    } else if segment.chars().any(|c| c.is_control() || c == '\\') {
        Some("a file name holds no control characters and no backslash")
    } else if segment.starts_with('~') {
        Some("a segment of a file name does not start with '~'")
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
mod tests {
    use super::*;

    #[test]
    fn manifest_names_follow_the_oci_grammars() {
        for good in
            ["main", "latest", "v0.5.0", "_x", "Main", "miren/main", "domain.org/team/project", "a-b__c/x-", "a--b/c"]
        {
            assert!(good.parse::<ManifestName>().is_ok(), "{good}");
        }
        for bad in [
            "", "/", "a/", "/a", "a//b", ".", "..", "../x", "a/../b", ".a", "-a", "a b", "a@b", "a:b", "a\0b", "é",
            "A/b", "a._b/c", "a___b/c", "a..b/c", "-a/b", "a-/b", "a%2fb", "a\\b",
        ] {
            assert!(bad.parse::<ManifestName>().is_err(), "{bad}");
        }
        assert!("x".repeat(128).parse::<ManifestName>().is_ok());
        assert!("x".repeat(129).parse::<ManifestName>().is_err());
        assert!(format!("{}/x", "a".repeat(250)).parse::<ManifestName>().is_ok());
        assert!(format!("{}/x", "a".repeat(251)).parse::<ManifestName>().is_err());
        assert!(format!("a/{}/xyz", "a".repeat(249)).parse::<ManifestName>().is_ok());
        assert!(format!("a/{}/xyzz", "a".repeat(249)).parse::<ManifestName>().is_err());
    }

    #[test]
    fn logs_are_manifest_names_or_hidden_below_one() {
        for good in ["main", "team/Main", "team/app/@untagged/9f", "Main/@x/00", "a/b/@abcdefghijklmnop/ff"] {
            assert_eq!(good.parse::<LogName>().unwrap().as_str(), good);
            assert_eq!(good.parse::<ManifestName>().is_ok(), !good.contains('@'));
        }
        for bad in [
            "", "@x/00", "/@x/00", "a/@/00", "a/@X/00", "a/@x1/00", "a/@x/0", "a/@x/000", "a/@x/0F", "a/@x/00/b", "a/@x",
            "a/@x/00/@x/00", "a@x/00", "a//@x/00", "a/@abcdefghijklmnopq/ff", "A/b/@x/00", "a/@x/@x/00",
        ] {
            assert!(bad.parse::<LogName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_hidden_log_is_governed_by_the_name_it_belongs_to() {
        let (plain, hidden) = ("a/Main".parse::<LogName>().unwrap(), "a/Main/@x/0f".parse::<LogName>().unwrap());
        assert_eq!(plain.visible().map(LogName::from).as_ref(), Some(&plain));
        assert_eq!((hidden.visible(), hidden.governing().as_str()), (None, "a/Main"));
        assert_eq!(plain.governing().as_str(), "a/Main");
    }

    #[test]
    fn file_names_stay_below_their_directory() {
        for good in ["miren.tar.gz", "assets/app.js", "naïve file.txt", "a@b", ".well-known/x", "..."] {
            assert!(good.parse::<FileName>().is_ok(), "{good}");
        }
        for bad in ["", "/etc/passwd", "a//b", "a/", "..", "a/../b", ".", "a\\b", "a\nb", "a\0", "~root/x", "x\u{7f}"] {
            assert!(bad.parse::<FileName>().is_err(), "{bad}");
        }
        assert!("x".repeat(256).parse::<FileName>().is_err());
        assert!(vec!["x".repeat(200); 6].join("/").parse::<FileName>().is_err());
    }
}
