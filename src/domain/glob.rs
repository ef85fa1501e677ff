//! Globs over claims of identity tokens: refs, paths of workflows, branches.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Maximum length of a glob, in bytes.
pub const MAX_GLOB: usize = 512;

/// A pattern for texts: `*` matches any characters but `/`, `**` any characters, and everything else matches itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Glob(Box<str>);

/// The text that is not a glob.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a pattern has 1 to {MAX_GLOB} bytes, without control characters and without three '*' in a row")]
pub struct GlobError;

impl Glob {
    /// The pattern as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it matches one text only.
    #[must_use]
    pub fn is_literal(&self) -> bool {
        !self.0.contains('*')
    }

    /// Whether it matches the whole of `text`. Takes time proportional to the product of the two lengths, whatever they
    /// hold.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        matches(self.0.as_bytes(), text.as_bytes())
    }
}

/// Follows all positions in the pattern at which a match of the text so far can stand.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut next) = (vec![false; pattern.len() + 1], vec![false; pattern.len() + 1]);
    at[0] = true;
    skip_stars(pattern, &mut at);
    for byte in text {
        next.fill(false);
        for (place, _) in at.iter().enumerate().filter(|(place, here)| **here && *place < pattern.len()) {
            match star(pattern, place) {
                Some(2) => next[place] = true,
                Some(_) if *byte != b'/' => next[place] = true,
                None if pattern[place] == *byte => next[place + 1] = true,
                Some(_) | None => {}
            }
        }
        skip_stars(pattern, &mut next);
        std::mem::swap(&mut at, &mut next);
    }
    at[pattern.len()]
}

/// The number of stars of the wildcard at this place. A place within a `**` is never stood at.
fn star(pattern: &[u8], place: usize) -> Option<usize> {
    match (pattern[place], pattern.get(place + 1)) {
        (b'*', Some(b'*')) => Some(2),
        (b'*', _) => Some(1),
        _ => None,
    }
}

/// A wildcard also matches nothing.
fn skip_stars(pattern: &[u8], at: &mut [bool]) {
    for place in 0..pattern.len() {
        if at[place]
            && let Some(stars) = star(pattern, place)
        {
            at[place + stars] = true;
        }
    }
}

impl FromStr for Glob {
    type Err = GlobError;

    fn from_str(text: &str) -> Result<Self, GlobError> {
        let holds = (1..=MAX_GLOB).contains(&text.len()) && !text.chars().any(char::is_control);
        if holds && !text.contains("***") { Ok(Self(text.into())) } else { Err(GlobError) }
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &self.0)
    }
}

impl Serialize for Glob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Glob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn holds(pattern: &str, text: &str) -> bool {
        pattern.parse::<Glob>().unwrap().matches(text)
    }

    #[test]
    fn one_star_stops_at_a_slash_and_two_do_not() {
        for (pattern, text) in [
            ("refs/tags/v*", "refs/tags/v1.2"),
            ("refs/tags/v*", "refs/tags/v"),
            ("refs/heads/**", "refs/heads/a/b"),
            ("**", ""),
            ("a*b*c", "a1b2b3c"),
            ("o/r/.github/workflows/*.yml@refs/tags/*", "o/r/.github/workflows/x.yml@refs/tags/v1"),
            ("a**z", "az"),
        ] {
            assert!(holds(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("refs/tags/v*", "refs/tags/v1/x"),
            ("refs/tags/v*", "xrefs/tags/v1"),
            ("main", "Main"),
            ("main", "main2"),
            ("a*a", "a"),
            ("*", "a/b"),
        ] {
            assert!(!holds(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for bad in ["", "a***", "a\nb", &"x".repeat(MAX_GLOB + 1)] {
            assert!(bad.parse::<Glob>().is_err(), "{bad:?}");
        }
    }

    /// The same by trying everything.
    fn by_trying(pattern: &str, text: &str) -> bool {
        if let Some(rest) = pattern.strip_prefix("**") {
            return (0..=text.len()).any(|at| text.is_char_boundary(at) && by_trying(rest, &text[at..]));
        }
        if let Some(rest) = pattern.strip_prefix('*') {
            let end = text.find('/').unwrap_or(text.len());
            return (0..=end).any(|at| by_trying(rest, &text[at..]));
        }
        match (pattern.chars().next(), text.chars().next()) {
            (None, None) => true,
            (Some(one), Some(other)) if one == other => {
                by_trying(&pattern[one.len_utf8()..], &text[other.len_utf8()..])
            }
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn it_matches_what_trying_everything_finds(pattern in "[ab/]{0,3}\\*{0,2}[ab/]{0,2}\\*{0,2}[ab/]{0,2}", text in "[ab/]{0,9}") {
            if let Ok(glob) = pattern.parse::<Glob>() {
                prop_assert_eq!(glob.matches(&text), by_trying(&pattern, &text));
            }
        }
    }
}
