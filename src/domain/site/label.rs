//! Labels of preview hosts: which version of which site or name a host below the preview domain shows.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::domain::ManifestName;

/// Maximum length of a label of a host, in bytes (RFC 1035 section 2.3.4).
const MAX_LABEL: usize = 63;
/// Maximum length of a site's identifier, in bytes.
const MAX_ID: usize = 30;

/// The reason why a text is no label of a preview host, or a version has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// Not of the form MARKER-ID or MARKER-NAME.
    #[error("a preview host begins with v17, live, prev or next, '-', and a site or an encoded name")]
    Malformed,
    /// Longer than a label of a host may be.
    #[error("the label of a preview host would be longer than {MAX_LABEL} bytes")]
    TooLong,
    /// Not the identifier of a site.
    #[error("a site's id has 1 to {MAX_ID} lower-case letters, digits and single '-' inside, such as docs or blog-2")]
    Id,
}

/// Which version a preview host shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Marker {
    /// `v17`: the version with this number, always.
    Version(u64),
    /// `live`: the active version.
    Live,
    /// `prev`: the version that was active before.
    Previous,
    /// `next`: the newest staged version.
    Next,
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(number) => write!(f, "v{number}"),
            Self::Live => f.write_str("live"),
            Self::Previous => f.write_str("prev"),
            Self::Next => f.write_str("next"),
        }
    }
}

impl FromStr for Marker {
    type Err = LabelError;

    fn from_str(text: &str) -> Result<Self, LabelError> {
        let marker = match text {
            "live" => Self::Live,
            "prev" => Self::Previous,
            "next" => Self::Next,
            _ => {
                let number = text.strip_prefix('v').and_then(|number| number.parse().ok());
                Self::Version(number.ok_or(LabelError::Malformed)?)
            }
        };
        // One version has one host: no `v017`, no `v+17`.
        if marker.to_string() == text { Ok(marker) } else { Err(LabelError::Malformed) }
    }
}

/// The identifier of a configured site.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SiteId(Box<str>);

impl SiteId {
    /// The identifier as a string slice.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SiteId {
    type Err = LabelError;

    fn from_str(text: &str) -> Result<Self, LabelError> {
        let is_part =
            |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let valid = text.len() <= MAX_ID && text.split('-').all(is_part);
        if valid { Ok(Self(text.into())) } else { Err(LabelError::Id) }
    }
}

impl fmt::Display for SiteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for SiteId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for SiteId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The label of a preview host: a marker, `-`, and the identifier of a site or an encoded name.
///
/// The marker is always there, so that the first `-` divides and no name can look like a marker. Names are encoded one
/// to one: `a` to `y`, digits and single `-` inside stay; `z` begins an escape: `zz` for `z`, `zs` for `/`, `zd` for
/// `.`, `zu` for `_`, `zh` for another `-`, `zcx` for `X`. So no label has `--`, which certificate authorities refuse
/// in the third and fourth place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviewLabel {
    marker: Marker,
    rest: Box<str>,
}

impl PreviewLabel {
    /// The label of a version of a configured site.
    ///
    /// # Errors
    /// [`LabelError::TooLong`] if there is none.
    pub fn of_site(marker: Marker, id: &SiteId) -> Result<Self, LabelError> {
        Self::new(marker, id.as_str().to_owned())
    }

    /// The label of a version of a name that has no site of its own.
    ///
    /// # Errors
    /// [`LabelError::TooLong`] if there is none.
    pub fn encode(marker: Marker, name: &ManifestName) -> Result<Self, LabelError> {
        Self::new(marker, encode(name.as_str()))
    }

    fn new(marker: Marker, rest: String) -> Result<Self, LabelError> {
        let label = Self { marker, rest: rest.into() };
        if label.to_string().len() <= MAX_LABEL { Ok(label) } else { Err(LabelError::TooLong) }
    }

    /// Parses a label in lower case.
    ///
    /// # Errors
    /// [`LabelError::Malformed`] if it is no label of a preview host, whatever sites there are.
    pub fn decode(label: &str) -> Result<Self, LabelError> {
        let (marker, rest) = label.split_once('-').ok_or(LabelError::Malformed)?;
        let label = Self { marker: marker.parse()?, rest: rest.into() };
        if label.site().is_some() || label.name().is_some() { Ok(label) } else { Err(LabelError::Malformed) }
    }

    /// Which version it shows.
    #[must_use]
    pub fn marker(&self) -> Marker {
        self.marker
    }

    /// The site that it may be of. It is up to the configuration whether that or [`PreviewLabel::name`] is meant.
    #[must_use]
    pub fn site(&self) -> Option<SiteId> {
        self.rest.parse().ok()
    }

    /// The name that it may be of.
    #[must_use]
    pub fn name(&self) -> Option<ManifestName> {
        let name = decode(&self.rest)?;
        // Any other spelling would be a second host of the same version.
        if encode(&name) == *self.rest { name.parse().ok() } else { None }
    }
}

impl fmt::Display for PreviewLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.marker, self.rest)
    }
}

fn encode(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for (at, c) in name.char_indices() {
        match c {
            'z' => out.push_str("zz"),
            '/' => out.push_str("zs"),
            '.' => out.push_str("zd"),
            '_' => out.push_str("zu"),
            '-' if at == 0 || at + 1 == name.len() || name[..at].ends_with('-') => out.push_str("zh"),
            'A'..='Z' => out.extend(['z', 'c', c.to_ascii_lowercase()]),
            _ => out.push(c),
        }
    }
    out
}

fn decode(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        out.push(match letter {
            'z' => match letters.next()? {
                'z' => 'z',
                's' => '/',
                'd' => '.',
                'u' => '_',
                'h' => '-',
                'c' => letters.next()?.to_ascii_uppercase(),
                _ => return None,
            },
            other => other,
        });
    }
    Some(out)
}

#[cfg(test)]
mod tests;
