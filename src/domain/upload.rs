//! Identifiers of resumable uploads.

use std::fmt;
use std::str::FromStr;

/// Identifies a resumable upload: a random number, written as 32 lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UploadId(pub [u8; 16]);

/// The text that is not the id of an upload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the id of an upload, which has 32 lower-case hex digits")]
pub struct UploadIdError(String);

impl FromStr for UploadId {
    type Err = UploadIdError;

    fn from_str(text: &str) -> Result<Self, UploadIdError> {
        let mut bytes = [0; 16];
        let known = hex::decode_to_slice(text, &mut bytes).ok().map(|()| Self(bytes));
        known.filter(|id| id.to_string() == text).ok_or_else(|| UploadIdError(text.chars().take(80).collect()))
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_round_trips() {
        let text = "00112233445566778899aabbccddeeff";
        assert_eq!(text.parse::<UploadId>().unwrap().to_string(), text);
        for wrong in ["", "0011", "00112233445566778899AABBCCDDEEFF", "../../../../../../../../../etc/pa"] {
            assert!(wrong.parse::<UploadId>().is_err(), "{wrong}");
        }
    }
}
