//! Kinds of releases: an open set, so that an unknown kind is shown instead of refused.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How a release is meant to be used. Serialised as a string.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Kind {
    /// `files`: files to download.
    #[default]
    Files,
    /// `static`: a static site, served from its entrypoint.
    Static,
    /// `dynamic`: a packaged server; needs `command` and `port`.
    Dynamic,
    /// `oci`: an OCI image.
    Oci,
    /// Any other string: preserved, without meaning to this binary. Only created by [`Kind::from`].
    Other(Box<str>),
}

impl Kind {
    /// The kinds that can be published.
    pub const KNOWN: [Self; 4] = [Self::Files, Self::Static, Self::Dynamic, Self::Oci];

    /// The kind as a string slice.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Files => "files",
            Self::Static => "static",
            Self::Dynamic => "dynamic",
            Self::Oci => "oci",
            Self::Other(text) => text,
        }
    }

    /// Whether this binary knows the kind.
    #[must_use]
    pub fn is_known(&self) -> bool {
        !matches!(self, Self::Other(_))
    }
}

impl From<&str> for Kind {
    fn from(text: &str) -> Self {
        Self::KNOWN.into_iter().find(|kind| kind.as_str() == text).unwrap_or_else(|| Self::Other(text.into()))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Ok(Self::from(&*text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_kind_is_kept_as_it_is() {
        for text in ["files", "static", "dynamic", "oci", "catalog", "", "Files"] {
            let kind: Kind = serde_json::from_value(serde_json::json!(text)).unwrap();
            assert_eq!(serde_json::to_value(&kind).unwrap(), text);
            assert_eq!((kind.to_string().as_str(), kind.is_known()), (text, Kind::KNOWN.contains(&kind)), "{text}");
        }
        assert_eq!(Kind::from("static"), Kind::Static);
        assert_eq!(Kind::from("catalog"), Kind::Other("catalog".into()));
    }
}
