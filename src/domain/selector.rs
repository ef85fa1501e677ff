//! `NAME[@SELECTOR]`: selecting a version of a name.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;

use super::{Digest, ManifestName, NameError};

/// Selects one version of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
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
}

impl Selector {
    /// Whether the selector can select another version later, so that responses must be revalidated.
    #[must_use]
    pub fn is_moving(&self) -> bool {
        matches!(self, Self::Active | Self::Previous | Self::At(_))
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
        "the selector {0:?} is none of: active, previous, a version number, sha256:HEX of a manifest, or a UTC time \
         such as 2026-05-14T18:20:00Z"
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
            _ if text.starts_with("sha256:") => text.parse().map(Self::Manifest).map_err(|_| refuse()),
            _ if text.bytes().all(|b| b.is_ascii_digit()) => {
                let number: u64 = text.parse().map_err(|_| refuse())?;
                if number == 0 || text.starts_with('0') { Err(refuse()) } else { Ok(Self::Number(number)) }
            }
            _ => text.parse().map(Self::At).map_err(|_| refuse()),
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
        ] {
            assert_eq!(text.parse(), Ok(selector), "{text}");
            assert_eq!(selector.to_string(), text);
        }
        assert_eq!("2026-05-14T20:20:00+02:00".parse::<Selector>(), "2026-05-14T18:20:00Z".parse());
    }

    #[test]
    fn other_selectors_are_refused() {
        for bad in ["", "0", "01", "-1", "99999999999999999999", "Active", "yesterday", "2026-05-14", "sha256:12", "@1"]
        {
            assert!(bad.parse::<Selector>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_target_splits_at_its_first_at_sign() {
        let target: Target = "miren/main@3".parse().unwrap();
        assert_eq!((target.name.as_str(), target.selector), ("miren/main", Selector::Number(3)));
        assert_eq!(target.to_string(), "miren/main@3");
        assert_eq!("main".parse::<Target>().unwrap().to_string(), "main");
        for bad in ["@1", "main@", "main@1@2", "ma in@1"] {
            assert!(bad.parse::<Target>().is_err(), "{bad}");
        }
    }
}
