//! Subjects: the identities of callers as recorded in histories and uploads.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Maximum length of an issuer, in bytes.
const MAX_ISSUER: usize = 30;
/// Maximum length of an id, in bytes.
const MAX_ID: usize = 255;
/// The issuer of the server's own subjects, which cannot be configured.
pub const LARDER: &str = "larder";
/// The ids of the server's own subjects.
pub const RESERVED: [&str; 3] = ["admin", "collector", "anonymous"];
/// The issuer of static tokens.
const TOKEN: &str = "token";

/// The identity of a caller. Written as `ISSUER:ID`, split at the first colon.
///
/// The issuer vouches for the id: `larder` for the server's own subjects, `token` for a configured token, else the id
/// of a configured issuer. Two subjects are the same only if both parts are equal. Cloning one allocates nothing,
/// because every request passes its subject on.
#[derive(Debug, Clone)]
pub struct Subject(Text);

/// Holds the text `ISSUER:ID`.
#[derive(Debug, Clone)]
enum Text {
    Own(&'static str),
    Shared(Arc<str>),
}

/// The text that is not a valid subject.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no subject: write ISSUER:ID, an issuer of 1 to 30 of a-z, 0-9 and '-', and an id of 1 to 255 printable bytes"
)]
pub struct SubjectError(String);

impl Subject {
    /// Creates a subject of `issuer`.
    ///
    /// # Errors
    /// [`SubjectError`] if either part does not follow its grammar.
    pub fn new(issuer: &str, id: &str) -> Result<Self, SubjectError> {
        let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let issuer_holds = (1..=MAX_ISSUER).contains(&issuer.len()) && issuer.bytes().all(letter);
        let id_holds = (1..=MAX_ID).contains(&id.len()) && !id.chars().any(char::is_control);
        if issuer_holds && id_holds {
            return Ok(Self(Text::Shared(format!("{issuer}:{id}").into())));
        }
        Err(SubjectError(format!("{issuer}:{id}").chars().take(80).collect()))
    }

    /// The subject of the configured token with this id.
    ///
    /// # Errors
    /// As [`Subject::new`].
    pub fn token(id: &str) -> Result<Self, SubjectError> {
        Self::new(TOKEN, id)
    }

    /// The subject of requests without credentials.
    #[must_use]
    pub fn anonymous() -> Self {
        Self(Text::Own("larder:anonymous"))
    }

    /// The subject of the admin token that a server generates.
    #[must_use]
    pub fn admin() -> Self {
        Self(Text::Own("larder:admin"))
    }

    /// The subject of the garbage collector's changes.
    #[must_use]
    pub fn collector() -> Self {
        Self(Text::Own("larder:collector"))
    }

    /// The issuer, which vouches for the id.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.parts().0
    }

    /// The id, unique for the issuer.
    #[must_use]
    pub fn id(&self) -> &str {
        self.parts().1
    }

    /// Whether this is one of the server's own subjects.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.issuer() == LARDER
    }

    /// Whether it is of an issuer of identity tokens, which makes claims about it.
    #[must_use]
    pub fn has_claims(&self) -> bool {
        !matches!(self.issuer(), LARDER | TOKEN)
    }

    fn parts(&self) -> (&str, &str) {
        // An issuer contains no colon, so the first one separates the parts.
        self.as_str().split_once(':').unwrap_or_default()
    }

    /// The subject in the form `ISSUER:ID`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Text::Own(text) => text,
            Text::Shared(text) => text,
        }
    }
}

impl PartialEq for Subject {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Subject {}

impl PartialOrd for Subject {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Subject {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Hash for Subject {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Subject {
    type Err = SubjectError;

    fn from_str(text: &str) -> Result<Self, SubjectError> {
        let (issuer, id) = text.split_once(':').ok_or_else(|| SubjectError(text.chars().take(80).collect()))?;
        Self::new(issuer, id)
    }
}

impl Serialize for Subject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Subject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_round_trips() {
        for text in ["token:ci", "larder:admin", "github:1000001:.github/workflows/release.yml@refs/heads/main"] {
            let subject: Subject = text.parse().unwrap();
            assert_eq!(subject.to_string(), text);
        }
        let subject: Subject = "github:1:x".parse().unwrap();
        assert_eq!((subject.issuer(), subject.id()), ("github", "1:x"), "split at the first colon");
    }

    #[test]
    fn the_same_id_of_another_issuer_is_somebody_else() {
        for own in [Subject::admin(), Subject::collector(), Subject::anonymous()] {
            assert!(own.is_own() && RESERVED.contains(&own.id()));
            let forged = Subject::token(own.id()).unwrap();
            assert!(forged != own && !forged.is_own(), "{forged}");
            let read: Subject = own.to_string().parse().unwrap();
            assert_eq!(read, own, "however it was made");
        }
        let forged = Subject::token("larder:admin").unwrap();
        assert_eq!((forged.issuer(), forged.id()), ("token", "larder:admin"));
    }

    #[test]
    fn other_texts_are_refused() {
        let long = format!("token:{}", "x".repeat(256));
        for bad in ["", "ci", ":ci", "token:", "Token:ci", "to ken:ci", "token:a\nb", long.as_str()] {
            assert!(bad.parse::<Subject>().is_err(), "{bad}");
        }
    }
}
