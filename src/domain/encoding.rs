//! Text files as people save them: the encodings that editors and shells produce by accident.

/// Why bytes are not plain UTF-8. Each message completes "the file is refused: …".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodingError {
    /// Starts with a byte order mark (U+FEFF), as some editors write it.
    #[error("it begins with a byte order mark; save it as UTF-8 without one")]
    ByteOrderMark,
    /// Is UTF-16, as `>` writes it in older versions of `PowerShell`.
    #[error("it is UTF-16; save it as UTF-8 without a byte order mark")]
    Utf16,
    /// Is not UTF-8 from this offset on.
    #[error("it is not valid UTF-8 from byte {0} on")]
    NotUtf8(usize),
}

/// Checks that bytes are UTF-8 without a byte order mark.
///
/// # Errors
/// An [`EncodingError`] that says how to save the file.
pub fn utf8(bytes: &[u8]) -> Result<&str, EncodingError> {
    if let [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, b'{' | b'[', ..] | [b'{' | b'[', 0, ..] = bytes {
        return Err(EncodingError::Utf16);
    }
    let text = std::str::from_utf8(bytes).map_err(|error| EncodingError::NotUtf8(error.valid_up_to()))?;
    if text.starts_with('\u{feff}') { Err(EncodingError::ByteOrderMark) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_is_named() {
        assert_eq!(utf8(b"{}"), Ok("{}"));
        assert_eq!(utf8(b""), Ok(""));
        assert_eq!(utf8("\u{feff}{}".as_bytes()), Err(EncodingError::ByteOrderMark));
        for bytes in [&b"\xff\xfe{\0}\0"[..], b"\xfe\xff\0{\0}", b"{\0}\0", b"\0{\0}"] {
            assert_eq!(utf8(bytes), Err(EncodingError::Utf16), "{bytes:?}");
        }
        assert_eq!(utf8(b"{\"\xff\"}"), Err(EncodingError::NotUtf8(2)));
    }
}
