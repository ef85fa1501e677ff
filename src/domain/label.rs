//! Labels: the publisher's own text of a version, such as `v1.4.0`, and how versions are selected and ordered by it.
//!
//! Any text can be a label; only a [`Label`] can follow the `@` of a selector. For the order of versions a label counts
//! if it is a version number by [`precedence`].

mod candidate;

use std::fmt;
use std::str::FromStr;

pub use candidate::{Candidate, Standing};
use semver::{Version, VersionReq};

/// Maximum length of a selectable label, in bytes.
pub const MAX_SELECTABLE: usize = 128;
/// Words that are selectors of their own, so that a label of the same text cannot be selected.
pub const RESERVED: [&str; 5] = ["active", "previous", "stable", "newest", "next"];

/// Text that is not a selectable label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a label that selects begins with a letter, or is a full version number such as 1.4.0, and has at most 128 letters, \
     digits, '.', '_', '+' and '-'"
)]
pub struct LabelError;

/// A label that can select: `[A-Za-z][A-Za-z0-9._+-]{0,127}` that is no [reserved word](RESERVED), or a full semantic
/// version such as `1.4.0`, which no other selector looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label(Box<str>);

impl Label {
    /// The label as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it means the version with this label: the same text, or the same full version number with or without a
    /// `v` before it.
    #[must_use]
    pub fn means(&self, label: &str) -> bool {
        *self.0 == *label || (without_v(&self.0) == without_v(label) && Version::parse(without_v(label)).is_ok())
    }

    /// The line of versions that it stands for if no version has this label: `v1` or `v1.2`.
    #[must_use]
    pub fn line(&self) -> Option<Line> {
        let digits = self.0.strip_prefix('v')?;
        match digits.split_once('.') {
            None => Some(Line { major: numeric(digits)?, minor: None }),
            Some((major, minor)) => Some(Line { major: numeric(major)?, minor: Some(numeric(minor)?) }),
        }
    }
}

impl FromStr for Label {
    type Err = LabelError;

    fn from_str(text: &str) -> Result<Self, LabelError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte);
        let begins = text.starts_with(|first: char| first.is_ascii_alphabetic()) || Version::parse(text).is_ok();
        let fits = text.len() <= MAX_SELECTABLE && text.bytes().all(allowed);
        if begins && fits && !RESERVED.contains(&text) { Ok(Self(text.into())) } else { Err(LabelError) }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// All stable versions with the same major number, or the same major and minor number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    major: u64,
    minor: Option<u64>,
}

impl Line {
    /// Whether a version belongs to the line. Prereleases do not.
    #[must_use]
    pub fn contains(self, version: &Version) -> bool {
        is_stable(version) && self.major == version.major && self.minor.is_none_or(|minor| minor == version.minor)
    }
}

/// A range of versions, `^1.4` or `~1.4.2`, with the meaning that Cargo gives to it. It contains prereleases only if it
/// names one of the same version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    text: Box<str>,
    versions: VersionReq,
}

impl Range {
    /// Whether the range contains a version.
    #[must_use]
    pub fn contains(&self, version: &Version) -> bool {
        self.versions.matches(version)
    }
}

impl FromStr for Range {
    type Err = LabelError;

    fn from_str(text: &str) -> Result<Self, LabelError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".+-".contains(&byte);
        let number = text.strip_prefix(['^', '~']).ok_or(LabelError)?;
        let fits = number.starts_with(|first: char| first.is_ascii_digit()) && number.len() < MAX_SELECTABLE;
        if !fits || !number.bytes().all(allowed) {
            return Err(LabelError);
        }
        let versions = VersionReq::parse(text).map_err(|_| LabelError)?;
        Ok(Self { text: text.into(), versions })
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The version number that a label states, by which versions are ordered; `None` if it states none.
///
/// It is a semantic version, with or without a `v` before it. The patch number may be left out, and behind a `v` the
/// minor number as well: `v1.2` counts as 1.2.0 and `v1` as 1.0.0, but `20261129` is no version number.
#[must_use]
pub fn precedence(label: &str) -> Option<Version> {
    let text = without_v(label);
    if !text.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let (numbers, rest) = text.split_at(text.find(['-', '+']).unwrap_or(text.len()));
    match numbers.matches('.').count() {
        0 if text.len() < label.len() => Version::parse(&format!("{numbers}.0.0{rest}")).ok(),
        1 => Version::parse(&format!("{numbers}.0{rest}")).ok(),
        2 => Version::parse(text).ok(),
        _ => None,
    }
}

/// Whether a version is no prerelease.
#[must_use]
pub fn is_stable(version: &Version) -> bool {
    version.pre.is_empty()
}

fn without_v(label: &str) -> &str {
    label.strip_prefix('v').unwrap_or(label)
}

/// A number without leading zeros.
fn numeric(digits: &str) -> Option<u64> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    if plain { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests;
