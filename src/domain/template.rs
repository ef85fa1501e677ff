//! Name patterns with claims in them: `miren/{ref_name}`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{ManifestName, NamePattern};

/// A [`NamePattern`] in which `{CLAIM}` stands for the value of a claim.
///
/// A value never adds a wildcard, and never a `/` unless the placeholder is the last of the template: `miren/{ref_name}`
/// with the branch `fix/17` is `miren/fix/17`, below `miren/` as its author meant it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameTemplate {
    text: Box<str>,
    parts: Vec<TemplatePart>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum TemplatePart {
    Text(Box<str>),
    Claim(Box<str>),
}

/// Why a template gives no pattern for certain claims.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FillError {
    /// The token has no such claim.
    #[error("the token has no claim {0}")]
    NoClaim(String),
    /// The value cannot stand there.
    #[error("the value of {0} cannot be part of a name")]
    Value(String),
}

impl NameTemplate {
    /// Puts values in place of the placeholders.
    ///
    /// # Errors
    /// A [`FillError`].
    pub fn fill<'a>(&self, value_of: impl Fn(&str) -> Option<&'a str>) -> Result<NamePattern, FillError> {
        let (mut filled, mut last) = (String::new(), None);
        for (at, part) in self.parts.iter().enumerate() {
            match part {
                TemplatePart::Text(text) => filled.push_str(text),
                TemplatePart::Claim(claim) => {
                    let value = value_of(claim).ok_or_else(|| FillError::NoClaim(claim.to_string()))?;
                    let refused = || FillError::Value(claim.to_string());
                    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
                    let is_last = at + 1 == self.parts.len();
                    if value.is_empty() || !value.chars().all(|c| legal(c) || (c == '/' && is_last)) {
                        return Err(refused());
                    }
                    filled.push_str(value);
                    last = Some(claim);
                }
            }
        }
        let refused = || FillError::Value(last.map_or_else(String::new, ToString::to_string));
        // What has no wildcard must be a name that can be published under, so that `..` and the like are refused.
        if !filled.contains('*') && filled.parse::<ManifestName>().is_err() {
            return Err(refused());
        }
        let segments = filled.split('/').any(|segment| matches!(segment, "" | "." | ".."));
        if segments { Err(refused()) } else { filled.parse().map_err(|_| refused()) }
    }

    /// The claims that it mentions.
    pub fn claims(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            TemplatePart::Claim(claim) => Some(&**claim),
            TemplatePart::Text(_) => None,
        })
    }
}

impl FromStr for NameTemplate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let malformed = || {
            format!(
                "{text:?} is no name pattern with claims: write name segments, wildcards, and {{CLAIM}} for a value"
            )
        };
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some((before, behind)) = rest.split_once('{') {
            let (claim, after) = behind.split_once('}').ok_or_else(malformed)?;
            let is_claim = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
            if claim.is_empty() || !claim.bytes().all(is_claim) {
                return Err(malformed());
            }
            parts.extend((!before.is_empty()).then(|| TemplatePart::Text(before.into())));
            parts.push(TemplatePart::Claim(claim.into()));
            rest = after;
        }
        parts.extend((!rest.is_empty()).then(|| TemplatePart::Text(rest.into())));
        let template = Self { text: text.into(), parts };
        // Any value that is plain enough must give a pattern.
        template.fill(|_| Some("x")).map_err(|_| malformed())?;
        Ok(template)
    }
}

impl fmt::Display for NameTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for NameTemplate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for NameTemplate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fill(template: &str, value: &str) -> Result<String, FillError> {
        template.parse::<NameTemplate>().unwrap().fill(|claim| (claim == "v").then_some(value)).map(|p| p.to_string())
    }

    #[test]
    fn values_become_parts_of_names() {
        assert_eq!(fill("miren/{v}", "v1.2.3").unwrap(), "miren/v1.2.3");
        assert_eq!(fill("miren/{v}", "fix/17").unwrap(), "miren/fix/17");
        assert_eq!(fill("a/{v}-x/**", "b").unwrap(), "a/b-x/**");
        assert_eq!(fill("plain/*", "b").unwrap(), "plain/*");
        assert_eq!(fill("a/{w}", "b"), Err(FillError::NoClaim("w".into())));
    }

    #[test]
    fn no_value_reaches_further_than_its_template() {
        for bad in ["", "*", "**", "..", "../x", "a/../b", "a//b", "/a", "a/", "a b", "a@b", "{v}", "é", "-x", "A/b"] {
            assert!(fill("miren/{v}", bad).is_err(), "{bad}");
        }
        for bad in ["a/b", "*", "."] {
            assert!(fill("{v}/latest", bad).is_err(), "{bad}");
            assert!(fill("{v}/**", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_no_template_is_refused() {
        for bad in ["", "{", "{}", "a/{b", "a/{B}", "a/}", "a b/{c}", "{a}**", "a//{b}"] {
            assert!(bad.parse::<NameTemplate>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn whatever_a_value_holds_names_stay_below_the_prefix(value in ".{0,40}|[a-z./*{}-]{0,12}") {
            let template = "miren/{v}".parse::<NameTemplate>().unwrap();
            if let Ok(pattern) = template.fill(|_| Some(&value)) {
                let name = format!("miren/{value}");
                prop_assert_eq!(pattern.to_string(), name.clone());
                prop_assert!(!value.contains('*'));
                prop_assert!(pattern.matches(&name.parse().unwrap()));
            }
        }
    }
}
