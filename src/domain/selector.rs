//! `NAME[@SELECTOR]`: selecting a version of a name.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::label::{Label, Range};
use super::{Digest, ManifestName, NameError};

/// Selects one version of a name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Selector {
    /// The active version. The default if there is no selector.
    #[default]
    Active,
    /// The version that was active immediately before the active one.
    Previous,
    /// A version by its number.
    Number(u64),
    /// The newest version with this manifest digest.
    Manifest(Digest),
    /// The version that was active at this time.
    At(Timestamp),
    /// The newest version with this label; else, for `v1` and `v1.2`, the highest stable version in that line.
    Label(Label),
    /// The highest version in a range.
    Range(Range),
    /// The version with the highest label that is no prerelease.
    Stable,
    /// The version with the highest label, prereleases included.
    Newest,
    /// The newest staged version.
    Next,
}

impl Selector {
    /// Whether the selector can select another version later, so that responses must be revalidated. A label can, unless
    /// the policy of the name says that labels are used once.
    #[must_use]
    pub fn is_moving(&self) -> bool {
        !matches!(self, Self::Number(_) | Self::Manifest(_))
    }

    /// Whether there are any number of selectors of this kind for the same version, so that whoever keeps something for
    /// each of them could be made to keep the same thing many times.
    #[must_use]
    pub fn has_many_spellings(&self) -> bool {
        matches!(self, Self::Range(_) | Self::At(_))
    }

    /// Whether it selects by the labels or states of versions, which takes a look at all of them.
    #[must_use]
    pub fn is_by_label(&self) -> bool {
        matches!(self, Self::Label(_) | Self::Range(_) | Self::Stable | Self::Newest | Self::Next)
    }
}

/// The reason why a text is not a valid `NAME[@SELECTOR]`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// The name is invalid.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The selector is invalid.
    #[error(
        "the selector {0:?} is none of: active, previous, stable, newest, next, a version number, a label such as v1.4.0 \
         (letters, digits, '.', '_', '+', '-', beginning with a letter), a line such as v1 or v1.4, a range such as ^1.4 \
         or ~1.4.2, sha256:HEX of a manifest, or a UTC time such as 2026-05-14T18:20:00Z"
    )]
    Selector(String),
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let refuse = || SelectorError::Selector(text.chars().take(80).collect());
        match text {
            "active" => Ok(Self::Active),
            "previous" => Ok(Self::Previous),
            "stable" => Ok(Self::Stable),
            "newest" => Ok(Self::Newest),
            "next" => Ok(Self::Next),
            _ if text.starts_with("sha256:") => text.parse().map(Self::Manifest).map_err(|_| refuse()),
            _ if text.bytes().all(|b| b.is_ascii_digit()) => {
                let number: u64 = text.parse().map_err(|_| refuse())?;
                if number == 0 || text.starts_with('0') { Err(refuse()) } else { Ok(Self::Number(number)) }
            }
            _ if text.starts_with(['^', '~']) => text.parse().map(Self::Range).map_err(|_| refuse()),
            _ => text.parse().map(Self::Label).or_else(|_| text.parse().map(Self::At)).map_err(|_| refuse()),
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Active => f.write_str("active"),
            Self::Previous => f.write_str("previous"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Manifest(digest) => write!(f, "{digest}"),
            Self::At(time) => write!(f, "{time}"),
            Self::Label(label) => fmt::Display::fmt(label, f),
            Self::Range(range) => fmt::Display::fmt(range, f),
            Self::Stable => f.write_str("stable"),
            Self::Newest => f.write_str("newest"),
            Self::Next => f.write_str("next"),
        }
    }
}

/// A name with an optional selector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The name before the `@`.
    pub name: ManifestName,
    /// The selector after the `@`; [`Selector::Active`] if there is none.
    pub selector: Selector,
    /// Whether there was a selector in the text.
    pub explicit: bool,
}

impl Target {
    /// The version of `name` with this number.
    #[must_use]
    pub fn numbered(name: ManifestName, number: u64) -> Self {
        Self { name, selector: Selector::Number(number), explicit: true }
    }

    /// The active version of `name`.
    #[must_use]
    pub fn active(name: ManifestName) -> Self {
        Self { name, selector: Selector::Active, explicit: false }
    }
}

impl FromStr for Target {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        match text.split_once('@') {
            None => Ok(Self::active(text.parse()?)),
            Some((name, selector)) => Ok(Self { name: name.parse()?, selector: selector.parse()?, explicit: true }),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.explicit { write!(f, "{}@{}", self.name, self.selector) } else { fmt::Display::fmt(&self.name, f) }
    }
}

impl Serialize for Target {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_selector_has_one_reading() {
        let digest = Digest::of(b"x");
        for (text, selector) in [
            ("active", Selector::Active),
            ("previous", Selector::Previous),
            ("17", Selector::Number(17)),
            (digest.to_string().as_str(), Selector::Manifest(digest)),
            ("2026-05-14T18:20:00Z", Selector::At("2026-05-14T18:20:00Z".parse().unwrap())),
            ("v1.4.0", Selector::Label("v1.4.0".parse().unwrap())),
            ("v1", Selector::Label("v1".parse().unwrap())),
            ("1.4.0", Selector::Label("1.4.0".parse().unwrap())),
            ("^1.4", Selector::Range("^1.4".parse().unwrap())),
            ("~1.4.2", Selector::Range("~1.4.2".parse().unwrap())),
            ("stable", Selector::Stable),
            ("newest", Selector::Newest),
            ("next", Selector::Next),
        ] {
            assert_eq!(selector.to_string(), text);
            assert_eq!(text.parse(), Ok(selector), "{text}");
        }
        assert_eq!("2026-05-14T20:20:00+02:00".parse::<Selector>(), "2026-05-14T18:20:00Z".parse());
    }

    #[test]
    fn other_selectors_are_refused() {
        for bad in [
            "",
            "0",
            "01",
            "-1",
            "1.4",
            "99999999999999999999",
            "2026-05-14",
            "sha256:12",
            "@1",
            "main:abc1234",
            "^",
            "~x",
            "v1 ",
            "é",
        ] {
            assert!(bad.parse::<Selector>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_target_splits_at_its_first_at_sign() {
        let target: Target = "miren/main@3".parse().unwrap();
        assert_eq!((target.name.as_str(), &target.selector), ("miren/main", &Selector::Number(3)));
        assert_eq!(target.to_string(), "miren/main@3");
        assert_eq!("main".parse::<Target>().unwrap().to_string(), "main");
        for bad in ["@1", "main@", "main@1@2", "ma in@1"] {
            assert!(bad.parse::<Target>().is_err(), "{bad}");
        }
    }
}
