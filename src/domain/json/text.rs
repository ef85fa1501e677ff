//! Texts in documents that need not be copied.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Visitor};

/// A text, left where it stands in the document if it can be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(transparent)]
pub struct Text<'d>(#[serde(borrow)] pub(super) Cow<'d, str>);

impl Text<'_> {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// That something is a text; which one is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnyText;

impl<'de> Deserialize<'de> for AnyText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Self)
    }
}

impl Visitor<'_> for AnyText {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::json::strict;

    #[test]
    fn a_text_is_one_however_it_is_spelled_and_nothing_else_is() {
        for (text, read) in [(r#""plain""#, "plain"), (r#""\u0041""#, "A")] {
            assert_eq!(strict::<Text>(text.as_bytes()).unwrap().as_str(), read);
            assert_eq!(strict::<AnyText>(text.as_bytes()), Ok(AnyText));
        }
        for other in ["1", "null", "[]", "{}"] {
            let why = strict::<AnyText>(other.as_bytes()).unwrap_err().to_string();
            assert_eq!(why, strict::<String>(other.as_bytes()).unwrap_err().to_string(), "{other}");
        }
    }
}
