//! Patterns over manifest names, used by grants and by policies.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{ManifestName, RepositoryName};

/// A pattern for manifest names: `*` matches within one segment, `**` as a whole segment matches any number of
/// segments, and everything else matches itself.
#[derive(Clone, PartialEq, Eq)]
pub struct NamePattern(Box<str>);

impl NamePattern {
    /// The pattern that matches every name.
    #[must_use]
    pub fn any() -> Self {
        Self("**".into())
    }

    /// Whether the pattern matches `name`, segment by segment.
    #[must_use]
    pub fn matches(&self, name: &ManifestName) -> bool {
        match_segments(Some(&self.0), Some(name.as_str()))
    }

    /// How many of the tags that a repository could have are among the names that the pattern matches. Exact for one
    /// pattern; several patterns that match every tag together are not recognised.
    #[must_use]
    pub fn reach(&self, repository: &RepositoryName) -> Reach {
        reach_segments(&self.0, repository.as_str())
    }

    /// Whether this pattern provably matches every name that `other` matches. May be `false` in non-obvious cases.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        if self == other || &*self.0 == "**" {
            return true;
        }
        // `P/**` matches P and everything below it, provided that `other` starts with P literally.
        let below = self.0.strip_suffix("/**").filter(|prefix| !prefix.contains('*'));
        below.is_some_and(|prefix| {
            other.0.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }
}

/// How many of the names directly below a repository a pattern matches, that is, of its tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// No name that a tag of the repository can have.
    None,
    /// Some of them.
    Some,
    /// Every one.
    Every,
}

/// Splits off the first segment.
fn split_first(path: &str) -> (&str, Option<&str>) {
    path.split_once('/').map_or((path, None), |(first, rest)| (first, Some(rest)))
}

/// Matches the remaining segments, `None` meaning that there are none. Works on slices so that a request allocates
/// nothing.
fn match_segments(pattern: Option<&str>, segments: Option<&str>) -> bool {
    let Some(pattern) = pattern else { return segments.is_none() };
    let (head, behind) = split_first(pattern);
    if head == "**" {
        let mut left = segments;
        return loop {
            if match_segments(behind, left) {
                break true;
            }
            let Some(more) = left else { break false };
            left = split_first(more).1;
        };
    }
    segments.is_some_and(|segments| {
        let (first, others) = split_first(segments);
        match_segment(head, first) && match_segments(behind, others)
    })
}

/// As [`match_segments`], for the remaining segments of a repository and one more: any tag.
fn reach_segments(pattern: &str, repository: &str) -> Reach {
    let (head, behind) = split_first(pattern);
    if head != "**" {
        let (first, others) = split_first(repository);
        let behind = behind.filter(|_| match_segment(head, first));
        return behind.map_or(Reach::None, |behind| reach_rest(behind, others));
    }
    let Some(behind) = behind else { return Reach::Every };
    let mut reach = reach_tag(behind);
    let mut left = Some(repository);
    while let Some(segments) = left {
        reach = reach.max(reach_segments(behind, segments));
        left = split_first(segments).1;
    }
    reach
}

fn reach_rest(pattern: &str, repository: Option<&str>) -> Reach {
    repository.map_or_else(|| reach_tag(pattern), |segments| reach_segments(pattern, segments))
}

/// How many tags a pattern matches.
fn reach_tag(pattern: &str) -> Reach {
    let mut only = pattern.split('/').filter(|segment| *segment != "**");
    match (only.next(), only.next()) {
        (None, _) | (Some("*"), None) => Reach::Every,
        // A tag starts with a letter, a digit or an underscore.
        (Some(segment), None) if !segment.starts_with(['.', '-']) => Reach::Some,
        _ => Reach::None,
    }
}

/// Matches `*` wildcards within one segment: the first and the last literal piece are anchored, those in between are
/// found from left to right, which is exact for this kind of pattern.
fn match_segment(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let (pieces, last) = rest.rsplit_once('*').map_or((None, rest), |(pieces, last)| (Some(pieces), last));
    for piece in pieces.into_iter().flat_map(|pieces| pieces.split('*')) {
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
    fn how_many_tags_of_a_repository_match_is_exact() {
        let reach = |pattern: &str, of: &str| pattern.parse::<NamePattern>().unwrap().reach(&of.parse().unwrap());
        for pattern in ["**", "a/b/*", "a/**", "*/b/**", "a/**/*", "**/*", "*/*/*", "a/b/**/*", "**/b/**", "**/b/*"] {
            assert_eq!(reach(pattern, "a/b"), Reach::Every, "{pattern}");
        }
        for pattern in ["a/b/v*", "a/b/main", "**/main", "a/**/x*", "**/b/**/x", "*/*/*1", "a/b/_", "a/b/**/v1"] {
            assert_eq!(reach(pattern, "a/b"), Reach::Some, "{pattern}");
        }
        for pattern in ["a/b", "a/*", "*", "a/b/*/*", "a/b/.x", "a/b/-*", "b/**", "**/c/*", "a/b/c/**/d", "*/a/*"] {
            assert_eq!(reach(pattern, "a/b"), Reach::None, "{pattern}");
        }
    }

    #[test]
    fn the_reach_agrees_with_what_matches() {
        let segments = ["a", "b", "*", "**", "a*", ".a"];
        let one = segments.iter().map(|one| (*one).to_owned());
        let two = segments.iter().flat_map(|one| segments.iter().map(move |two| format!("{one}/{two}")));
        let three = two.clone().flat_map(|two| segments.iter().map(move |three| format!("{two}/{three}")));
        let tags = ["a", "b", "ax", "B", "_", "0.a-"];
        for pattern in one.chain(two.clone()).chain(three) {
            let Ok(pattern) = pattern.parse::<NamePattern>() else { continue };
            for repository in ["a", "b", "a/b", "a/a/b"] {
                let matched = tags.iter().filter(|tag| matches(&pattern.0, &format!("{repository}/{tag}"))).count();
                let reach = match matched {
                    0 => Reach::None,
                    some if some < tags.len() => Reach::Some,
                    _ => Reach::Every,
                };
                assert_eq!(pattern.reach(&repository.parse().unwrap()), reach, "{pattern} over {repository}");
            }
        }
    }

    #[test]
    fn covering_is_said_only_where_it_is_certain() {
        let covers =
            |one: &str, other: &str| one.parse::<NamePattern>().unwrap().covers(&other.parse::<NamePattern>().unwrap());
        for (one, other) in [("**", "a/*"), ("a/*", "a/*"), ("a/**", "a/b/*"), ("a/**", "a"), ("a/b/**", "a/b/**/c")] {
            assert!(covers(one, other), "{one} {other}");
        }
        for (one, other) in [("a/*", "a/**"), ("a/**", "ab"), ("a/**", "*"), ("*/**", "a*/**"), ("main", "**")] {
            assert!(!covers(one, other), "{one} {other}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in ["", "/a", "a/", "a//b", "a b", "a**", "x/**y", "a@b", "é", "**/**/**"] {
            assert!(bad.parse::<NamePattern>().is_err(), "{bad}");
        }
    }
}
