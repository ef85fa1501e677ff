//! Ware identifiers of the Timeless Stack: `type:hash`.

/// The alphabet of base58, as Bitcoin has it.
const BASE58: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
/// Length of the hash of a packed filesystem (SHA-384), in bytes.
const HASH: usize = 48;
/// Maximum length of a ware identifier, in bytes.
const MAX_WARE: usize = 255;

/// What is wrong with a ware identifier, if anything is.
///
/// The hash of a `tar` or `zip` is 48 bytes in base58, that of a `git` commit 40 hex digits. Hashes of other types only
/// have to be there. Nothing checks that a hash is that of the bytes: it is claimed.
pub(super) fn problem(text: &str) -> Option<&'static str> {
    let Some((kind, hash)) = text.split_once(':') else { return Some("a ware is written as TYPE:HASH") };
    if kind.is_empty() || !kind.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Some("the type of a ware has letters and digits only");
    }
    if text.len() > MAX_WARE {
        return Some("a ware has at most 255 bytes");
    }
    match kind {
        "tar" | "zip" if base58_len(hash) != Some(HASH) => Some("the hash of a tar or zip is 48 bytes in base58"),
        "git" if hash.len() != 40 || !hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) => {
            Some("the hash of a git commit is 40 lower-case hex digits")
        }
        _ if hash.is_empty() || hash == "-" => Some("the hash of a ware must not be empty"),
        _ if !hash.bytes().all(|b| b.is_ascii_graphic()) => {
            Some("the hash of a ware is printable ASCII without spaces")
        }
        _ => None,
    }
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
            assert_eq!(problem(good), None, "{good}");
        }
        let short = &tar[..tar.len() - 2];
        let off = tar.replace('6', "0");
        for bad in ["", "tar", "tar:", "tar:-", "x:", "x:-", short, &off, ":abc", "t r:abc", "git:abc", "x:a b", "x:é"]
        {
            assert!(problem(bad).is_some(), "{bad}");
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
