//! SHA-256 digests in their canonical form, `sha256:` and 64 lower-case hex digits; and SHA-512, as far as registry
//! clients use it.

mod any;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Digest as _;
use sha2::digest::common::hazmat::{SerializableState as _, SerializedState};

use crate::domain::pauses::pause;

pub use any::{AnyDigest, BothDigests, Sha512};

/// The reason why a string is not a valid digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// The `algorithm:` prefix is missing.
    #[error("a digest is written as `sha256:` and 64 hex digits")]
    Form,
    /// Well-formed, but not SHA-256; holds the algorithm.
    #[error("only the algorithm sha256 is supported, not {0:?}")]
    Algorithm(String),
    /// The wrong number of hex digits; holds that number.
    #[error("a sha256 digest has 64 hex digits, this one has {0}")]
    Length(usize),
    /// The wrong number of hex digits after `sha512:`; holds that number.
    #[error("a sha512 digest has 128 hex digits, this one has {0}")]
    Sha512Length(usize),
    /// A character outside `0-9a-f`. Upper case is refused so that each digest has only one spelling.
    #[error("a digest is written in lower-case hex digits (0-9, a-f)")]
    Alphabet,
}

/// A SHA-256 digest: the address of a blob.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

/// The value of each lower-case hex digit, by its byte; more than 15 for other bytes.
const DIGITS: [u8; 256] = {
    let mut digits = [u8::MAX; 256];
    let mut value = 0;
    while value < 16 {
        digits[b"0123456789abcdef"[value as usize] as usize] = value;
        value += 1;
    }
    digits
};

/// Bytes that are hashed in less than a tenth of a millisecond.
const CHUNK: usize = 64 << 10;

impl Digest {
    /// Hashes bytes that are already in memory.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = sha2::Sha256::new();
        for (at, bytes) in bytes.chunks(CHUNK).enumerate() {
            if at > 0 {
                pause();
            }
            hasher.update(bytes);
        }
        Self(hasher.finalize().into())
    }

    /// Parses the 64 hex digits without the algorithm.
    ///
    /// # Errors
    /// [`DigestError::Length`] or [`DigestError::Alphabet`].
    pub fn from_hex(text: &str) -> Result<Self, DigestError> {
        if text.len() != 64 {
            return Err(DigestError::Length(text.len()));
        }
        // Read with a table: manifests of sites have tens of thousands of digests.
        let (pairs, _) = text.as_bytes().as_chunks::<2>();
        let (mut bytes, mut seen) = ([0; 32], 0);
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            let (high, low) = (DIGITS[usize::from(*high)], DIGITS[usize::from(*low)]);
            seen |= high | low;
            *byte = high << 4 | low & 0xf;
        }
        if seen <= 0xf { Ok(Self(bytes)) } else { Err(DigestError::Alphabet) }
    }

    /// The 64 hex digits without the algorithm.
    #[must_use]
    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }

    /// The 32 raw bytes, as used in `Repr-Digest` (RFC 9530).
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        match text.split_once(':') {
            None => Err(DigestError::Form),
            Some(("sha256", digits)) => Self::from_hex(digits),
            Some((other, _)) => Err(DigestError::Algorithm(other.chars().take(32).collect())),
        }
    }
}

/// A digest as it is written.
struct DigestText([u8; DigestText::LENGTH]);

impl DigestText {
    const PREFIX: &[u8] = b"sha256:";
    const LENGTH: usize = Self::PREFIX.len() + 64;

    fn of(digest: &Digest) -> Self {
        let mut text = [0; Self::LENGTH];
        let (prefix, digits) = text.split_at_mut(Self::PREFIX.len());
        prefix.copy_from_slice(Self::PREFIX);
        hex::encode_to_slice(digest.0, digits).expect("two digits for each byte");
        Self(text)
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("it is ASCII")
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(DigestText::of(self).as_str())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(DigestText::of(self).as_str())
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The serialised state of an unfinished hash, with which another process can continue hashing. Contains no secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HashState {
    /// The hash function and the library version that defines the format of `state`.
    form: String,
    /// The library's serialised state, in hex.
    state: String,
    /// The state of SHA-512 over the same bytes, if that is computed, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    also: Option<Box<Self>>,
}

/// The formats of states that this binary writes and reads.
const HASH_FORM: &str = "sha256/sha2-0.11";
const SHA512_FORM: &str = "sha512/sha2-0.11";

/// Incremental SHA-256, and SHA-512 over the same bytes if that is wanted.
#[derive(Debug, Clone, Default)]
pub struct Hasher {
    sha256: sha2::Sha256,
    sha512: Option<Box<sha2::Sha512>>,
}

impl Hasher {
    /// Creates a hasher with no input.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates a hasher with no input that computes SHA-512, too.
    #[must_use]
    pub fn with_sha512() -> Self {
        Self { sha512: Some(Box::default()), ..Self::default() }
    }

    /// Hashes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        if let Some(sha512) = &mut self.sha512 {
            sha512.update(bytes);
        }
    }

    /// The state after the input so far, for [`Hasher::resume`].
    #[must_use]
    pub fn state(&self) -> HashState {
        let also = self.sha512.as_ref().map(|sha512| {
            let state = hex::encode(sha512.serialize());
            Box::new(HashState { form: SHA512_FORM.to_owned(), state, also: None })
        });
        HashState { form: HASH_FORM.to_owned(), state: hex::encode(self.sha256.serialize()), also }
    }

    /// Resumes from a saved [`Hasher::state`]. `None` if it is in another format or damaged. SHA-512 is given up if only
    /// its state is.
    #[must_use]
    pub fn resume(state: &HashState) -> Option<Self> {
        let bytes = hex::decode(&state.state).ok().filter(|_| state.form == HASH_FORM)?;
        let bytes = SerializedState::<sha2::Sha256>::try_from(bytes.as_slice()).ok()?;
        let sha512 = state.also.as_ref().and_then(|also| {
            let bytes = hex::decode(&also.state).ok().filter(|_| also.form == SHA512_FORM)?;
            let bytes = SerializedState::<sha2::Sha512>::try_from(bytes.as_slice()).ok()?;
            sha2::Sha512::deserialize(&bytes).ok().map(Box::new)
        });
        Some(Self { sha256: sha2::Sha256::deserialize(&bytes).ok()?, sha512 })
    }

    /// The digest of the whole input.
    #[must_use]
    pub fn finish(self) -> Digest {
        Digest(self.sha256.finalize().into())
    }

    /// Both digests of the whole input; `None` if SHA-512 was not computed from the first byte on.
    #[must_use]
    pub fn finish_both(self) -> Option<BothDigests> {
        let sha512 = Sha512::new(self.sha512?.finalize().into());
        Some(BothDigests::new(Digest(self.sha256.finalize().into()), sha512))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABC: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    /// Anybody can state digests of nothing, and as many as there is room for.
    #[test]
    fn stated_digests_that_are_nearly_alike_are_told_apart_by_their_hashes() {
        use std::hash::{BuildHasher as _, RandomState};
        let (key, zero) = (RandomState::new(), Digest([0; 32]));
        for at in 0..32 {
            let mut bytes = [0; 32];
            bytes[at] = 1;
            assert_ne!(key.hash_one(Digest(bytes)), key.hash_one(zero), "byte {at}");
        }
    }

    #[test]
    fn one_spelling_round_trips() {
        let digest: Digest = ABC.parse().unwrap();
        assert_eq!(digest, Digest::of(b"abc"));
        assert_eq!(digest.to_string(), ABC);
        let mut hasher = Hasher::new();
        hasher.update(b"a");
        hasher.update(b"bc");
        assert_eq!(hasher.finish(), digest);
    }

    #[test]
    fn a_hash_goes_on_wherever_it_was_written_down() {
        let bytes: Vec<u8> = (0..=255).collect();
        for at in [0, 1, 55, 63, 64, 65, 128, 256] {
            let mut hasher = Hasher::new();
            hasher.update(&bytes[..at]);
            let written = serde_json::to_string(&hasher.state()).unwrap();
            let mut resumed = Hasher::resume(&serde_json::from_str(&written).unwrap()).unwrap();
            resumed.update(&bytes[at..]);
            assert_eq!(resumed.finish(), Digest::of(&bytes), "{at}");
            let mut hasher = Hasher::with_sha512();
            hasher.update(&bytes[..at]);
            let written = serde_json::to_string(&hasher.state()).unwrap();
            let mut resumed = Hasher::resume(&serde_json::from_str(&written).unwrap()).unwrap();
            resumed.update(&bytes[at..]);
            assert_eq!(resumed.finish_both(), Some(BothDigests::of(&bytes)), "{at}");
            let mut state = hasher.state();
            state.also.as_mut().unwrap().form = "sha512/other".into();
            assert_eq!(Hasher::resume(&state).unwrap().finish_both(), None);
        }
        let state = Hasher::new().state();
        assert!(Hasher::resume(&HashState { form: "sha256/other".into(), ..state.clone() }).is_none());
        assert!(Hasher::resume(&HashState { state: state.state[2..].to_owned(), ..state }).is_none());
    }

    #[test]
    fn other_spellings_are_refused_with_the_reason() {
        let hex = &ABC[7..];
        assert_eq!(hex.parse::<Digest>(), Err(DigestError::Form));
        assert_eq!(format!("SHA256:{hex}").parse::<Digest>(), Err(DigestError::Algorithm("SHA256".into())));
        assert_eq!(format!("sha512:{hex}").parse::<Digest>(), Err(DigestError::Algorithm("sha512".into())));
        assert_eq!(ABC[..70].parse::<Digest>(), Err(DigestError::Length(63)));
        assert_eq!(format!("{ABC}0").parse::<Digest>(), Err(DigestError::Length(65)));
        assert_eq!(format!("sha256:{}", hex.to_uppercase()).parse::<Digest>(), Err(DigestError::Alphabet));
        assert_eq!(format!("sha256:{}é", &hex[..62]).parse::<Digest>(), Err(DigestError::Alphabet));
    }
}
