//! Keys and prefixes: strings that are safe both as S3 keys and as relative file paths.

use std::fmt;
use std::str::FromStr;

/// Maximum length of a key, in bytes. Some engines refuse more than 480; ours stay below 400.
pub const MAX_KEY: usize = 400;
/// Maximum length of a key segment, in bytes (some engines and most filesystems refuse 256 and more).
const MAX_SEGMENT: usize = 250;

/// The reason why a string is not a valid key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a legal key")]
pub struct KeyError(String);

/// The key of an object: `/`-separated segments of `A-Za-z0-9._-!@`, none of them empty, `.` or `..`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Box<str>);

impl Key {
    /// The key as a string slice.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether its last segment starts with a dot, like files that tools hide.
    #[must_use]
    pub fn is_hidden(&self) -> bool {
        self.0.rsplit('/').next().is_some_and(|segment| segment.starts_with('.'))
    }
}

impl FromStr for Key {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let legal_segment =
            |s: &str| !matches!(s, "" | "." | "..") && s.len() <= MAX_SEGMENT && s.bytes().all(is_legal);
        if text.len() <= MAX_KEY && text.split('/').all(legal_segment) {
            Ok(Self(text.into()))
        } else {
            Err(KeyError(text.chars().take(80).collect()))
        }
    }
}

fn is_legal(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._-!@".contains(&byte)
}

/// A prefix of keys: any string that a key can start with, including the empty one.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Prefix(Box<str>);

impl Prefix {
    /// The prefix as a string slice.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Prefix {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let (directories, rest) = text.rsplit_once('/').unwrap_or(("", text));
        let legal = (directories.is_empty() || directories.parse::<Key>().is_ok())
            && !text.starts_with('/')
            && rest.bytes().all(is_legal)
            && !matches!(rest, "." | "..")
            && text.len() <= MAX_KEY;
        if legal { Ok(Self(text.into())) } else { Err(KeyError(text.chars().take(80).collect())) }
    }
}

macro_rules! show_text {
    ($type:ty) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &self.0)
            }
        }
    };
}

show_text!(Key);
show_text!(Prefix);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_safe_relative_paths() {
        for good in ["a", "layout/1", "names/v1.0!3@", "heads/a/@/18/446"] {
            assert!(good.parse::<Key>().is_ok(), "{good}");
        }
        for bad in ["", "/a", "a/", "a//b", ".", "a/../b", "a/./b", "a b", "a\0", "é", "a:b", &"x".repeat(251)] {
            assert!(bad.parse::<Key>().is_err(), "{bad}");
        }
        assert!(vec!["x".repeat(200); 2].join("/").parse::<Key>().is_err());
    }

    #[test]
    fn prefixes_may_end_anywhere_in_a_key() {
        for good in ["", "a", "a/", "blobs/sha256/ab/cd/abcd.", "names/"] {
            assert!(good.parse::<Prefix>().is_ok(), "{good}");
        }
        for bad in ["/", "a//", "../", "a/..", "a b"] {
            assert!(bad.parse::<Prefix>().is_err(), "{bad}");
        }
    }
}
