//! Patterns over manifest names, used by grants and by policies.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::ManifestName;

/// A pattern over manifest names: `*` matches within one segment, `**` as a whole segment matches any number
/// of segments, everything else matches itself.
#[derive(Clone, PartialEq, Eq)]
pub struct NamePattern(Box<str>);

impl NamePattern {
    /// The pattern that matches every name.
    #[must_use]
    pub fn any() -> Self {
        Self("**".into())
    }

    /// Whether `name` is matched, segment by segment.
    #[must_use]
    pub fn matches(&self, name: &ManifestName) -> bool {
        let pattern: Vec<&str> = self.0.split('/').collect();
        let segments: Vec<&str> = name.as_str().split('/').collect();
        match_segments(&pattern, &segments)
    }
}

fn match_segments(pattern: &[&str], segments: &[&str]) -> bool {
    match pattern.split_first() {
        None => segments.is_empty(),
        Some((&"**", rest)) => (0..=segments.len()).any(|skip| match_segments(rest, &segments[skip..])),
        Some((head, rest)) => segments
            .split_first()
            .is_some_and(|(first, others)| match_segment(head, first) && match_segments(rest, others)),
    }
}

/// Matches `*` wildcards inside one segment: the first and the last piece are anchored, those between are
/// found from left to right, which is exact for this kind of pattern.
fn match_segment(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let mut pieces: Vec<&str> = rest.split('*').collect();
    let last = pieces.pop().unwrap_or_default();
    for piece in pieces {
        match text.find(piece) {
            Some(at) => text = &text[at + piece.len()..],
            None => return false,
        }
    }
    text.len() >= last.len() && text.ends_with(last)
}

impl FromStr for NamePattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let segments: Vec<&str> = text.split('/').collect();
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '*');
        if segments.iter().any(|s| s.is_empty() || !s.chars().all(legal)) {
            return Err(format!(
                "{text:?} is not a name pattern: write name segments separated by '/', with '*' for any text within a \
                 segment and '**' for any number of segments"
            ));
        }
        if segments.iter().filter(|s| **s == "**").count() > 2 || text.len() > super::name::MAX_NAME {
            return Err(format!("{text:?} is too long a name pattern, or has more than two '**'"));
        }
        if segments.iter().any(|s| *s != "**" && s.contains("**")) {
            return Err(format!("in {text:?}, '**' must be a whole segment"));
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &self.0)
    }
}

impl Serialize for NamePattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for NamePattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        pattern.parse::<NamePattern>().unwrap().matches(&name.parse().unwrap())
    }

    #[test]
    fn a_star_stays_within_its_segment() {
        assert!(matches("miren/*", "miren/main"));
        assert!(!matches("miren/*", "miren/a/main"));
        assert!(!matches("miren/*", "other/main"));
        assert!(matches("v*.0", "v1.2.0"));
        assert!(!matches("v*.0", "v1.2.1"));
        assert!(matches("a*b*c", "a1b2b3c"));
        assert!(!matches("a*a", "a"));
        assert!(matches("main", "main"));
        assert!(!matches("main", "mainx"));
        assert!(!matches("main", "x/main"));
    }

    #[test]
    fn two_stars_cross_segments() {
        for name in ["main", "a/main", "a/b/c"] {
            assert!(matches("**", name));
        }
        assert!(matches("miren/**", "miren/a/b"));
        assert!(matches("**/main", "main"));
        assert!(matches("a/**/z", "a/z"));
        assert!(matches("a/**/z", "a/b/c/z"));
        assert!(!matches("a/**/z", "a/b/c"));
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in ["", "/a", "a/", "a//b", "a b", "a**", "x/**y", "a@b", "é", "**/**/**"] {
            assert!(bad.parse::<NamePattern>().is_err(), "{bad}");
        }
    }
}
