//! Digests as registry clients state them: SHA-256, or SHA-512, which leads to a SHA-256 digest through an alias.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Digest as _;

use super::{Digest, DigestError};

/// A SHA-512 digest. Written as `sha512:` and 128 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha512([u8; 64]);

impl Sha512 {
    /// Hashes bytes that are already in memory.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha512::digest(bytes).into())
    }

    pub(super) fn new(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    /// Parses the 128 hex digits without the algorithm.
    ///
    /// # Errors
    /// [`DigestError::Sha512Length`] or [`DigestError::Alphabet`].
    pub fn from_hex(text: &str) -> Result<Self, DigestError> {
        if text.len() != 128 {
            return Err(DigestError::Sha512Length(text.len()));
        }
        if !text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            return Err(DigestError::Alphabet);
        }
        let mut bytes = [0; 64];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| DigestError::Alphabet)?;
        Ok(Self(bytes))
    }

    /// The 128 hex digits without the algorithm.
    #[must_use]
    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }
}

impl FromStr for Sha512 {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        match text.parse()? {
            AnyDigest::Sha512(digest) => Ok(digest),
            AnyDigest::Sha256(_) => Err(DigestError::Algorithm("sha256".to_owned())),
        }
    }
}

impl fmt::Display for Sha512 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha512:{}", hex::encode(self.0))
    }
}

impl fmt::Debug for Sha512 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Sha512 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sha512 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A digest of either algorithm.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AnyDigest {
    /// The address of a blob.
    Sha256(Digest),
    /// Another address of a blob, if there is an alias.
    Sha512(Sha512),
}

impl AnyDigest {
    /// The digest under which something is indexed that is named like this, whether it is here or not: a SHA-256 digest
    /// itself, and for others the SHA-256 digest of the text, which is no digest of what is named.
    #[must_use]
    pub fn index_key(&self) -> Digest {
        match self {
            Self::Sha256(digest) => *digest,
            Self::Sha512(digest) => Digest::of(digest.to_string().as_bytes()),
        }
    }
}

impl From<Digest> for AnyDigest {
    fn from(digest: Digest) -> Self {
        Self::Sha256(digest)
    }
}

impl FromStr for AnyDigest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        match text.strip_prefix("sha512:") {
            Some(digits) => Sha512::from_hex(digits).map(Self::Sha512),
            None => text.parse().map(Self::Sha256),
        }
    }
}

impl fmt::Display for AnyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha256(digest) => digest.fmt(f),
            Self::Sha512(digest) => digest.fmt(f),
        }
    }
}

impl fmt::Debug for AnyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Both digests of the same bytes. Only made by hashing them, so it proves that one address stands for the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BothDigests {
    sha256: Digest,
    sha512: Sha512,
}

impl BothDigests {
    /// Hashes bytes that are already in memory.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self { sha256: Digest::of(bytes), sha512: Sha512::of(bytes) }
    }

    pub(super) fn new(sha256: Digest, sha512: Sha512) -> Self {
        Self { sha256, sha512 }
    }

    /// The address of the bytes.
    #[must_use]
    pub fn sha256(&self) -> Digest {
        self.sha256
    }

    /// Their other address.
    #[must_use]
    pub fn sha512(&self) -> Sha512 {
        self.sha512
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // FIPS 180-4, the example for one block.
    const ABC: &str = "sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                       2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";

    #[test]
    fn each_digest_has_one_spelling() {
        let digest: AnyDigest = ABC.parse().unwrap();
        assert_eq!((digest, digest.to_string().as_str()), (AnyDigest::Sha512(Sha512::of(b"abc")), ABC));
        assert_eq!(Digest::of(b"abc").to_string().parse(), Ok(AnyDigest::Sha256(Digest::of(b"abc"))));
        let json = serde_json::to_string(&Sha512::of(b"abc")).unwrap();
        assert_eq!(serde_json::from_str::<Sha512>(&json).unwrap(), Sha512::of(b"abc"));
        for (bad, why) in [
            (ABC[..100].to_owned(), DigestError::Sha512Length(93)),
            (ABC[7..].to_owned(), DigestError::Form),
            (format!("sha512:{}", ABC[7..].to_uppercase()), DigestError::Alphabet),
            (format!("sha384:{}", &ABC[7..]), DigestError::Algorithm("sha384".into())),
            (format!("{}é", &ABC[..133]), DigestError::Alphabet),
        ] {
            assert_eq!(bad.parse::<AnyDigest>(), Err(why), "{bad}");
        }
        assert!(Digest::of(b"abc").to_string().parse::<Sha512>().is_err());
    }

    #[test]
    fn what_is_named_by_another_algorithm_is_indexed_by_its_text() {
        assert_eq!(AnyDigest::from(Digest::of(b"x")).index_key(), Digest::of(b"x"));
        assert_eq!(ABC.parse::<AnyDigest>().unwrap().index_key(), Digest::of(ABC.as_bytes()));
    }
}
