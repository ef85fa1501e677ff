//! Strict reading of JSON documents that come from elsewhere.
//!
//! What serde reads by itself is more than what JSON objects are: derived types take an array of their members' values in
//! place of an object, and text in members that nobody reads is not checked to be UTF-8. A document that is kept and served
//! again must be what every other reader takes it for, so [`strict`] refuses both, at any depth.
//!
//! Two limits, both serde's own: `flatten`, `untagged` and internally tagged types are buffered before they are read, so
//! that arrays are not noticed in structs below them; and a repeated member is refused where a struct knows it, else the
//! last one counts (maps) or none does (unknown members).

mod objects;

use serde::de::DeserializeOwned;

/// Deepest nesting. Unknown members are skipped without recursion here, but other readers of a stored document may not be
/// as careful.
const MAX_DEPTH: usize = 64;

/// Why bytes are not the JSON document that is expected. Each text completes "the document is refused: …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Some of it is not UTF-8 (RFC 8259 section 8.1), be it in a member that is not read.
    #[error("it is not valid UTF-8 from byte {0} on")]
    NotUtf8(usize),
    /// It begins with a byte order mark, which RFC 8259 section 8.1 forbids to send.
    #[error("it begins with a byte order mark, which JSON must not have")]
    ByteOrderMark,
    /// Arrays and objects lie deeper in each other than 64 levels.
    #[error("it is nested more than {MAX_DEPTH} levels deep")]
    TooDeep,
    /// Not JSON, or not of the expected form.
    #[error("{0}")]
    Malformed(String),
}

/// Reads one JSON document: UTF-8 throughout, nested at most 64 levels, nothing behind it but white space, and an object
/// wherever a struct is expected.
///
/// # Errors
/// A [`JsonError`] that says where the document is wrong.
pub fn strict<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, JsonError> {
    let text = std::str::from_utf8(bytes).map_err(|error| JsonError::NotUtf8(error.valid_up_to()))?;
    if text.starts_with('\u{feff}') {
        return Err(JsonError::ByteOrderMark);
    }
    if depth(bytes) > MAX_DEPTH {
        return Err(JsonError::TooDeep);
    }
    let malformed = |error: serde_json::Error| JsonError::Malformed(error.to_string());
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = T::deserialize(objects::Objects(&mut reader)).map_err(malformed)?;
    reader.end().map_err(malformed)?;
    Ok(value)
}

/// How deep arrays and objects are nested, whether or not the text is JSON.
fn depth(bytes: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests;
