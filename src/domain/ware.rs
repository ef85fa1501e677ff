//! Identifiers of wares, as the Timeless Stack has them: `type:hash`, such as `tar:6q7G4hWr…`.
//!
//! The hash of a `tar` or `zip` is that of the files inside it, whatever the compression and the order of entries: see
//! [`Ware::of_tar`]. Nothing here checks that an identifier is that of any bytes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Length of the hash of a packed filesystem (SHA-384), in bytes.
pub const HASH: usize = 48;
/// Maximum length of an identifier, in bytes.
pub const MAX_WARE: usize = 255;
/// The alphabet of base58, as Bitcoin has it.
const BASE58: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/// A text that is no identifier of a ware.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WareError {
    /// There is no colon.
    #[error("a ware is written as TYPE:HASH")]
    Form,
    /// The type is empty, or has other characters.
    #[error("the type of a ware has letters and digits only")]
    Type,
    /// It is longer than [`MAX_WARE`].
    #[error("a ware has at most {MAX_WARE} bytes")]
    TooLong,
    /// The hash is not one of a packed filesystem.
    #[error("the hash of a tar or zip is 48 bytes in base58")]
    Packed,
    /// The hash is not one of a commit.
    #[error("the hash of a git commit is 40 lower-case hex digits")]
    Commit,
    /// There is no hash.
    #[error("the hash of a ware must not be empty")]
    Empty,
    /// The hash has other characters.
    #[error("the hash of a ware is printable ASCII without spaces")]
    Unprintable,
}

/// An identifier of a ware, at most [`MAX_WARE`] bytes. The hash of a `tar` or `zip` is 48 bytes in base58, that of a
/// `git` commit 40 hex digits; those of other types are any printable ASCII without spaces, `/` and `:` included.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ware {
    text: Box<str>,
    /// Length of the type, in bytes.
    kind: usize,
}

impl Ware {
    /// The identifier of a tar, from the hash of the files inside it.
    #[must_use]
    pub fn of_tar(hash: &[u8; HASH]) -> Self {
        Self { text: format!("tar:{}", base58(hash)).into(), kind: "tar".len() }
    }

    /// The whole identifier, `type:hash`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The type, such as `tar` or `git`: letters and digits.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.text[..self.kind]
    }

    /// The hash, as text. That of a `tar` or `zip` has letters and digits only.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.text[self.kind + 1..]
    }

    /// Whether the hash is that of a packed filesystem: a `tar` or `zip`.
    #[must_use]
    pub fn is_packed(&self) -> bool {
        matches!(self.kind(), "tar" | "zip")
    }
}

impl FromStr for Ware {
    type Err = WareError;

    fn from_str(text: &str) -> Result<Self, WareError> {
        let (kind, hash) = text.split_once(':').ok_or(WareError::Form)?;
        if kind.is_empty() || !kind.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(WareError::Type);
        }
        if text.len() > MAX_WARE {
            return Err(WareError::TooLong);
        }
        match kind {
            "tar" | "zip" if base58_len(hash) != Some(HASH) => Err(WareError::Packed),
            "git" if hash.len() != 40 || !hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) => {
                Err(WareError::Commit)
            }
            _ if hash.is_empty() || hash == "-" => Err(WareError::Empty),
            _ if !hash.bytes().all(|b| b.is_ascii_graphic()) => Err(WareError::Unprintable),
            _ => Ok(Self { text: text.into(), kind: kind.len() }),
        }
    }
}

impl fmt::Display for Ware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Ware {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Ware {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Writes bytes, the first one most significant, in base58. Leading zero bytes are written as `1`.
fn base58(bytes: &[u8]) -> String {
    // Little-endian digits to the base 58.
    let mut digits: Vec<u8> = Vec::with_capacity(bytes.len() * 138 / 100 + 1);
    for byte in bytes {
        let mut carry = u32::from(*byte);
        for digit in &mut digits {
            carry += u32::from(*digit) << 8;
            *digit = (carry % 58).to_le_bytes()[0];
            carry /= 58;
        }
        while carry > 0 {
            digits.push((carry % 58).to_le_bytes()[0]);
            carry /= 58;
        }
    }
    let zeros = bytes.iter().take_while(|byte| **byte == 0).map(|_| 0);
    zeros.chain(digits.into_iter().rev()).map(|digit| char::from(BASE58[usize::from(digit)])).collect()
}

/// The number of bytes that a text in base58 stands for; `None` if it is not base58, or too long to be a hash.
fn base58_len(text: &str) -> Option<usize> {
    if text.is_empty() || text.len() > 2 * HASH {
        return None;
    }
    let zeros = text.bytes().take_while(|b| *b == b'1').count();
    // Little-endian digits to the base 256.
    let mut bytes: Vec<u8> = Vec::with_capacity(text.len());
    for letter in text.bytes() {
        let mut carry = u32::try_from(BASE58.iter().position(|b| *b == letter)?).ok()?;
        for byte in &mut bytes {
            carry += u32::from(*byte) * 58;
            *byte = carry.to_le_bytes()[0];
            carry >>= 8;
        }
        while carry > 0 {
            bytes.push(carry.to_le_bytes()[0]);
            carry >>= 8;
        }
    }
    Some(zeros + bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_have_the_length_of_their_type() {
        let tar = "tar:6q7G4hWr283FpTa5Lf8heVqw9t97b5VoMU6AGszuBYAz9EzQdeHVFAou7c4W9vFcQ6";
        for good in [tar, &format!("git:{:040x}", 7), "docker:anything"] {
            let ware: Ware = good.parse().unwrap();
            assert_eq!(format!("{}:{}", ware.kind(), ware.hash()), good);
            assert_eq!((ware.to_string(), ware.as_str()), (good.to_owned(), good));
            assert_eq!(serde_json::from_str::<Ware>(&serde_json::to_string(&ware).unwrap()).unwrap(), ware);
            assert_eq!(ware.is_packed(), good == tar);
        }
        let short = &tar[..tar.len() - 2];
        let off = tar.replace('6', "0");
        let long = format!("docker:{:0>249}", 1);
        for bad in
            ["", "tar", "tar:", "tar:-", "x:", "x:-", short, &off, ":abc", "t r:abc", "git:abc", "x:a b", "x:é", &long]
        {
            assert!(bad.parse::<Ware>().is_err(), "{bad}");
        }
    }

    // Computed with Python: digits of int.from_bytes(bytes, "big") to the base 58.
    #[test]
    fn a_hash_is_written_in_base58() {
        let counting: [u8; HASH] = std::array::from_fn(|at| u8::try_from(at).unwrap());
        for (hash, text) in [
            ([0; HASH], "tar:111111111111111111111111111111111111111111111111"),
            ([255; HASH], "tar:APfNaWmCGXxjPYJGZwiKpdX3EUk7VxXnyV7eGd74S7ukPHSnf3F7dPU4kqdaB6DuXt"),
            (counting, "tar:1VBJ6JSfiBJ9m7D2mNxSyqTp2oSNxgt7pXofaaUjXzVVvLJMg3Jdp8eU5AnYxaf8"),
        ] {
            let ware = Ware::of_tar(&hash);
            assert_eq!(ware.as_str(), text);
            assert_eq!(ware.as_str().parse(), Ok(ware));
        }
    }

    #[test]
    fn base58_counts_leading_ones_as_zero_bytes() {
        for (text, length) in [("1", Some(1)), ("111", Some(3)), ("2", Some(1)), ("5Q", Some(1)), ("5R", Some(2))] {
            assert_eq!(base58_len(text), length, "{text}");
        }
        assert_eq!((base58_len("0"), base58_len("l"), base58_len("")), (None, None, None));
    }
}
