//! Text files as people save them: the encodings that editors and shells produce by accident.

use super::pauses::pause;

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

/// Size of the pieces that are looked at between two pauses, in bytes.
const PIECE: usize = 64 << 10;

/// Checks that bytes are UTF-8 without a byte order mark.
///
/// # Errors
/// An [`EncodingError`] that says how to save the file.
pub fn utf8(bytes: &[u8]) -> Result<&str, EncodingError> {
    refuse_marks(bytes)?;
    std::str::from_utf8(bytes).map_err(|error| EncodingError::NotUtf8(error.valid_up_to()))
}

/// The same for bytes that may be many megabytes; others may have the processor now and then.
///
/// # Errors
/// As [`utf8`].
pub fn check_utf8(bytes: &[u8]) -> Result<(), EncodingError> {
    refuse_marks(bytes)?;
    let mut valid = 0;
    while valid < bytes.len() {
        let end = bytes.len().min(valid + PIECE);
        match std::str::from_utf8(&bytes[valid..end]) {
            Ok(_) => valid = end,
            // Only the end of the piece divides a character.
            Err(error) if error.error_len().is_none() && end < bytes.len() => valid += error.valid_up_to(),
            Err(error) => return Err(EncodingError::NotUtf8(valid + error.valid_up_to())),
        }
        pause();
    }
    Ok(())
}

fn refuse_marks(bytes: &[u8]) -> Result<(), EncodingError> {
    if let [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, b'{' | b'[', ..] | [b'{' | b'[', 0, ..] = bytes {
        return Err(EncodingError::Utf16);
    }
    if bytes.starts_with("\u{feff}".as_bytes()) { Err(EncodingError::ByteOrderMark) } else { Ok(()) }
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

    #[test]
    fn many_bytes_are_checked_like_few() {
        for character in ["a", "\u{e4}", "\u{20ac}", "\u{1f600}"] {
            for start in 0..4 {
                let text = "x".repeat(start) + &character.repeat(2 * PIECE / character.len() + 5);
                assert_eq!(check_utf8(text.as_bytes()), Ok(()));
                for broken in [start, PIECE - 1, PIECE, text.len() - 1] {
                    let mut bytes = text.clone().into_bytes();
                    bytes[broken] = 0xff;
                    assert_eq!(check_utf8(&bytes), utf8(&bytes).map(drop), "{character} {start} {broken}");
                }
                let cut = &text.as_bytes()[..text.len() - 1];
                assert_eq!(check_utf8(cut), utf8(cut).map(drop));
            }
        }
        for bytes in [&b""[..], b"\xff\xfe{\0", "\u{feff}{}".as_bytes()] {
            assert_eq!(check_utf8(bytes), utf8(bytes).map(drop));
        }
    }
}
