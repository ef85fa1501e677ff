//! Strict parsing of JSON documents from outside.
//!
//! Serde by itself accepts more than JSON objects: derived types also take an array of their members' values in place
//! of an object, and text in unknown members is not checked to be UTF-8. A document that is stored and served again
//! must mean the same to every other reader, so [`strict`] refuses both, at any depth.
//!
//! Two limitations come from serde: `flatten`, `untagged` and internally tagged types are buffered before they are
//! parsed, so that arrays are not detected in structs below them; and a repeated member is refused where a struct knows
//! it, else the last one wins (maps) or all are ignored (unknown members).

mod lists;
mod objects;
mod text;
mod tree;
mod unique;

use serde::Deserialize;

use super::encoding::{EncodingError, check_utf8};
use super::pauses::pause_at;
pub use lists::{LongList, long_list};
pub use text::{AnyText, Text};
pub use tree::{Members, Tree};
pub use unique::Distinct;

/// Maximum nesting depth. Unknown members are skipped here without recursion, but other readers of a stored document
/// may be less careful.
const MAX_DEPTH: usize = 64;
/// Maximum length of a reason, in bytes.
const MAX_REASON: usize = 1024;

/// The reason why bytes are not the expected JSON document. Each message completes "the document is refused: …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Not valid UTF-8, possibly in a member that is not parsed, or with a byte order mark (RFC 8259 section 8.1).
    #[error(transparent)]
    Encoding(#[from] EncodingError),
    /// Arrays and objects are nested more than 64 levels deep.
    #[error("it is nested more than {MAX_DEPTH} levels deep")]
    TooDeep,
    /// Not JSON, or not of the expected structure.
    #[error("{0}")]
    Malformed(String),
}

/// Parses one JSON document: valid UTF-8 throughout, nested at most 64 levels, with only white space behind it, and an
/// object wherever a struct is expected.
///
/// # Errors
/// A [`JsonError`] that says where the document is wrong.
pub fn strict<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, JsonError> {
    check_utf8(bytes)?;
    if depth(bytes) > MAX_DEPTH {
        return Err(JsonError::TooDeep);
    }
    let malformed = |error: serde_json::Error| JsonError::Malformed(reason(&error));
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = T::deserialize(objects::Objects(&mut reader)).map_err(malformed)?;
    reader.end().map_err(malformed)?;
    Ok(value)
}

/// What is wrong with a document, and where. It may quote what stands there, of which no more is repeated than fits into a
/// message.
#[must_use]
pub fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    if text.len() <= MAX_REASON {
        return text;
    }
    let begin: String = text.chars().take(MAX_REASON / 4).collect();
    match (error.line(), error.column()) {
        (0, _) => format!("{begin}…"),
        (line, column) => format!("{begin}… at line {line} column {column}"),
    }
}

/// The nesting depth of arrays and objects, whether or not the text is valid JSON.
fn depth(bytes: &[u8]) -> usize {
    let (mut depth, mut deepest, mut texts) = (0_usize, 0, 0);
    let mut bytes = bytes.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            // Texts are most of a document.
            b'"' => {
                while bytes.find(|byte| matches!(byte, b'"' | b'\\')) == Some(&b'\\') && bytes.next().is_some() {}
                pause_at(texts);
                texts += 1;
            }
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests;
