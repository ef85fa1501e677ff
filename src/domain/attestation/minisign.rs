//! Keys and signatures of minisign (<https://jedisct1.github.io/minisign/>).
//!
//! Only signatures over the BLAKE2b digest of the bytes (`ED`) are accepted, which every release of minisign since 0.8
//! makes by default.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Media type of a minisign signature.
pub const MEDIA_TYPE: &str = "text/x-minisign";

/// What the first line of a key or signature begins with.
const UNTRUSTED: &str = "untrusted comment: ";
/// What the third line of a signature begins with.
const TRUSTED: &str = "trusted comment: ";

/// The id of a key: chosen at random when the key is made, and repeated in its signatures. Only a hint: another key may
/// have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 8]);

impl fmt::Display for KeyId {
    /// As minisign prints it: the little-endian number in hex.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016X}", u64::from_le_bytes(self.0))
    }
}

impl FromStr for KeyId {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let is_hex = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u64::from_str_radix(text, 16).ok().filter(|_| is_hex).ok_or(KeyError::Id)?;
        Ok(Self(number.to_le_bytes()))
    }
}

impl Serialize for KeyId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KeyId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Why a text is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is no key id.
    #[error("a key id is 16 hexadecimal digits, as minisign prints it")]
    Id,
    /// It is no public key.
    #[error("a public key of minisign is one line of 56 characters that begins with RW, or a file with that line")]
    Key,
    /// It is a secret key.
    #[error("this is a secret key; give the public one, and keep this one to yourself")]
    Secret,
}

/// A public key. Two keys are the same if they verify the same signatures, whatever their ids are.
#[derive(Clone)]
pub struct PublicKey {
    id: KeyId,
    key: [u8; 32],
    text: Box<str>,
}

impl PublicKey {
    /// A key with this id.
    #[must_use]
    pub fn new(id: KeyId, key: [u8; 32]) -> Self {
        let bytes = [&b"Ed"[..], &id.0, &key].concat();
        Self { id, key, text: STANDARD.encode(bytes).into() }
    }

    /// The id of the key.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The key without its id: what distinguishes signers.
    #[must_use]
    pub fn raw(&self) -> &[u8; 32] {
        &self.key
    }

    /// Verifies the signature of `bytes` and of its trusted comment.
    #[must_use]
    pub fn verifies(&self, signature: &Signature, bytes: &[u8]) -> bool {
        let key = minisign_verify::PublicKey::from_base64(&self.text);
        let parsed = minisign_verify::Signature::decode(&signature.text);
        matches!((key, parsed), (Ok(key), Ok(parsed)) if key.verify(bytes, &parsed, false).is_ok())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for PublicKey {
    /// The line that minisign accepts after `-P`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for PublicKey {}

impl FromStr for PublicKey {
    type Err = KeyError;

    /// Parses the line with the key, or the content of a file of minisign.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let mut lines = text.trim().lines().map(str::trim);
        let line = match (lines.next(), lines.next(), lines.next()) {
            (Some(line), None, None) => line,
            (Some(comment), Some(line), None) if comment.starts_with(UNTRUSTED) => line,
            _ => return Err(KeyError::Key),
        };
        let bytes = STANDARD.decode(line).map_err(|_| KeyError::Key)?;
        if bytes.len() == 158 && bytes.starts_with(b"Ed") {
            return Err(KeyError::Secret);
        }
        let [b'E', b'd', rest @ ..] = &bytes[..] else { return Err(KeyError::Key) };
        let (id, key) = rest.split_first_chunk::<8>().ok_or(KeyError::Key)?;
        let key = <[u8; 32]>::try_from(key).map_err(|_| KeyError::Key)?;
        Ok(Self { id: KeyId(*id), key, text: line.into() })
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Why bytes are no signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// They do not have the four lines of a signature.
    #[error("a signature of minisign has four lines: a comment, the signature, a trusted comment, and its signature")]
    Lines,
    /// A line with a signature has no base64 of the right length.
    #[error("line {0} is no complete signature in base64")]
    Base64(u8),
    /// The signature covers the bytes themselves, not their digest.
    #[error("it is of the old kind that minisign -l makes; sign again without -l")]
    Legacy,
    /// The algorithm is unknown.
    #[error("its algorithm is unknown")]
    Algorithm,
}

/// A signature as minisign writes it. Parsed, not verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    key: KeyId,
    text: Box<str>,
    /// Position of the trusted comment in `text`.
    comment: (usize, usize),
}

impl Signature {
    /// Parses the content of a signature file. Strict, so that no two files are one signature, but for their first line
    /// and the line feed at the end.
    ///
    /// # Errors
    /// A [`SignatureError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, SignatureError> {
        let text = std::str::from_utf8(bytes).map_err(|_| SignatureError::Lines)?;
        let lines: Vec<&str> = text.strip_suffix('\n').unwrap_or(text).split('\n').collect();
        let [untrusted, signature, comment, global] = lines[..] else { return Err(SignatureError::Lines) };
        let is_text = |line: &str| !line.chars().any(|one| one.is_control() && one != '\t');
        let trusted = comment.strip_prefix(TRUSTED).ok_or(SignatureError::Lines)?;
        if !untrusted.starts_with(UNTRUSTED) || !is_text(untrusted) || !is_text(comment) {
            return Err(SignatureError::Lines);
        }
        let decoded = STANDARD.decode(signature).ok().filter(|bytes| bytes.len() == 74);
        let decoded = decoded.ok_or(SignatureError::Base64(2))?;
        STANDARD.decode(global).ok().filter(|bytes| bytes.len() == 64).ok_or(SignatureError::Base64(4))?;
        match &decoded[..2] {
            b"ED" => {}
            b"Ed" => return Err(SignatureError::Legacy),
            _ => return Err(SignatureError::Algorithm),
        }
        let mut key = [0; 8];
        key.copy_from_slice(&decoded[2..10]);
        let begin = untrusted.len() + 1 + signature.len() + 1 + TRUSTED.len();
        Ok(Self { key: KeyId(key), comment: (begin, begin + trusted.len()), text: text.into() })
    }

    /// The id of the key that it claims to be made with.
    #[must_use]
    pub fn key(&self) -> KeyId {
        self.key
    }

    /// The public key that the first line offers: its last word, if that is a key with the same id. Nothing vouches for it;
    /// it is for those who trust a key at its first use.
    #[must_use]
    pub fn offered_key(&self) -> Option<PublicKey> {
        let word = self.text.lines().next()?.split_ascii_whitespace().next_back()?;
        word.parse().ok().filter(|key: &PublicKey| key.id == self.key)
    }

    /// The comment that the signature covers. To be believed only once it is verified.
    #[must_use]
    pub fn comment(&self) -> &str {
        &self.text[self.comment.0..self.comment.1]
    }
}
