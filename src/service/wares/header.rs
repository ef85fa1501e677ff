//! The header block of an entry: V7, ustar, PAX, GNU or STAR.

use super::limits::ScanError;

/// Size of a block, in bytes.
pub(super) const BLOCK: usize = 512;
/// The magic and version of the GNU format.
const GNU: &[u8] = b"ustar  \0";

/// What a header block says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) name: Vec<u8>,
    pub(super) link: Vec<u8>,
    /// The type flag.
    pub(super) flag: u8,
    pub(super) mode: i64,
    pub(super) uid: i64,
    pub(super) gid: i64,
    pub(super) size: i64,
    /// Modification time, in seconds since 1970.
    pub(super) seconds: i64,
}

impl Header {
    pub(super) fn read(block: &[u8; BLOCK]) -> Result<Self, ScanError> {
        let stated = octal(&block[148..156])?;
        if !sums(block).contains(&stated) {
            return Err(ScanError::invalid("a header's sum is wrong, or it is no tar at all"));
        }
        let mut header = Self {
            name: text(&block[..100]).to_vec(),
            link: text(&block[157..257]).to_vec(),
            flag: block[156],
            mode: number(&block[100..108])?,
            uid: number(&block[108..116])?,
            gid: number(&block[116..124])?,
            size: number(&block[124..136])?,
            seconds: number(&block[136..148])?,
        };
        let prefix = match &block[257..265] {
            magic if magic.starts_with(b"ustar\0") && block[508..] == *b"tar\0" => text(&block[345..476]),
            magic if magic.starts_with(b"ustar\0") => text(&block[345..500]),
            GNU => {
                // Times are here, where others have a prefix. Writers that put one all the same cannot be told apart
                // from damage.
                for time in [&block[345..357], &block[357..369]] {
                    number(time)?;
                }
                b""
            }
            _ => b"",
        };
        if !prefix.is_empty() {
            header.name = [prefix, b"/", &header.name].concat();
        }
        Ok(header)
    }
}

/// The sum of all bytes, those of the sum itself taken for spaces; as unsigned and as signed numbers, because there are
/// writers of both kinds.
fn sums(block: &[u8; BLOCK]) -> [i64; 2] {
    let bytes = block.iter().enumerate().map(|(at, byte)| if (148..156).contains(&at) { b' ' } else { *byte });
    bytes.fold([0, 0], |[unsigned, signed], byte| [unsigned + i64::from(byte), signed + i64::from(byte.cast_signed())])
}

/// Text up to the first NUL.
pub(super) fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// A number in octal digits, or to the base 256 if the first bit is set.
fn number(field: &[u8]) -> Result<i64, ScanError> {
    let too_large = || ScanError::invalid("a number in a header is too large");
    if field.first().is_none_or(|first| first & 0x80 == 0) {
        return octal(field);
    }
    // Negative numbers are complements: the bits are inverted, and the number by one less.
    let invert = if field[0] & 0x40 == 0 { 0 } else { 0xff };
    let mut number: u64 = 0;
    for (at, byte) in field.iter().enumerate() {
        let byte = (byte ^ invert) & if at == 0 { 0x7f } else { 0xff };
        if number >> 56 > 0 {
            return Err(too_large());
        }
        number = number << 8 | u64::from(byte);
    }
    let number = i64::try_from(number).map_err(|_| too_large())?;
    Ok(if invert == 0 { number } else { !number })
}

/// A number in octal digits, with spaces or NULs around it; nothing is zero.
fn octal(field: &[u8]) -> Result<i64, ScanError> {
    let is_padding = |byte: &u8| matches!(byte, b' ' | 0);
    let begin = field.iter().position(|byte| !is_padding(byte)).unwrap_or(field.len());
    let end = field.iter().rposition(|byte| !is_padding(byte)).map_or(begin, |last| last + 1);
    text(&field[begin..end]).iter().try_fold(0, |number: i64, digit| match digit {
        // Fields have at most 12 digits.
        b'0'..=b'7' => Ok(number * 8 + i64::from(digit - b'0')),
        _ => Err(ScanError::invalid("a number in a header is malformed")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_binary() {
        for (field, wanted) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b"  17 \0\0\0", Some(0o17)),
            (b"\0\0\0\0\0\0\0\0", Some(0)),
            (b"        ", Some(0)),
            (b"\x80\0\0\0\0\0\x01\x02", Some(258)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff", Some(-1)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xfe", Some(-2)),
            (b"\x80\x01\0\0\0\0\0\0\0\0\0\0", None),
            (b"0000648\0", None),
            (b"-000644\0", None),
        ] {
            assert_eq!(number(field).ok(), wanted, "{field:?}");
        }
    }
}
