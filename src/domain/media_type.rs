//! Media types as they are stated in manifests and addresses.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

/// Maximum length of a media type, with or without parameters, in bytes.
pub const MAX_MEDIA_TYPE: usize = 255;

/// The essence of a media type: `type/subtype` without parameters (RFC 9110 section 8.3.1), legal in a header field.
#[derive(Clone, PartialEq, Eq)]
pub struct MediaType(Box<str>);

/// The reason why a text is not the essence of a media type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a media type is TYPE/SUBTYPE, such as application/gzip, without parameters and at most {MAX_MEDIA_TYPE} bytes"
)]
pub struct MediaTypeError;

impl MediaType {
    /// The media type as a string slice.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The essence of a media type that may have parameters.
    ///
    /// # Errors
    /// [`MediaTypeError`] if there is none.
    pub fn essence_of(text: &str) -> Result<Self, MediaTypeError> {
        text.split(';').next().unwrap_or_default().trim_end_matches([' ', '\t']).parse()
    }
}

impl FromStr for MediaType {
    type Err = MediaTypeError;

    fn from_str(text: &str) -> Result<Self, MediaTypeError> {
        let token =
            |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
        let valid = text.split_once('/').is_some_and(|(kind, subtype)| token(kind) && token(subtype));
        if valid && text.len() <= MAX_MEDIA_TYPE { Ok(Self(text.into())) } else { Err(MediaTypeError) }
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

impl<'de> Deserialize<'de> for MediaType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_no_part_of_the_essence() {
        for (text, essence) in [
            ("text/plain", "text/plain"),
            ("image/svg+xml", "image/svg+xml"),
            ("text/html; charset=utf-8", "text/html"),
            ("text/html ;x", "text/html"),
            ("a/b;", "a/b"),
        ] {
            assert_eq!(MediaType::essence_of(text).unwrap().as_str(), essence);
        }
        for bad in ["", "text", "text/", "/plain", "a/b/c", " a/b", "a /b", "a/b c", "a/b\r\n", "é/b", ";a/b"] {
            assert!(MediaType::essence_of(bad).is_err(), "{bad:?}");
        }
        assert!("text/html;charset=utf-8".parse::<MediaType>().is_err());
        assert!(format!("a/{}", "b".repeat(253)).parse::<MediaType>().is_ok());
        assert!(format!("a/{}", "b".repeat(254)).parse::<MediaType>().is_err());
    }
}
