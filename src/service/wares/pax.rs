//! The records of a PAX header, which go before those of the entry after it.

use std::collections::BTreeMap;

use super::header::Header;
use super::limits::{ScanError, quote};

/// What records of extended attributes begin with.
const XATTR: &[u8] = b"SCHILY.xattr.";
/// What records of sparse files begin with.
const SPARSE: &[u8] = b"GNU.sparse.";
/// Length of the shortest record that can be, in bytes: `5 a=\n`.
const SHORTEST: usize = 5;
/// Digits of a fraction of a second that count.
const NANOS: usize = 9;

/// Extended attributes by their names.
pub(super) type Attributes = BTreeMap<Vec<u8>, Vec<u8>>;

/// Records by their keys. The last one of a key counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Pax(BTreeMap<Vec<u8>, Vec<u8>>);

impl Pax {
    /// Reads the content of a PAX header: records `LENGTH KEY=VALUE\n`.
    pub(super) fn read(mut content: &[u8]) -> Result<Self, ScanError> {
        let mut records = BTreeMap::new();
        while !content.is_empty() {
            let (key, value, rest) = record(content).ok_or_else(|| ScanError::invalid("a PAX record is malformed"))?;
            records.insert(key.to_vec(), value.to_vec());
            content = rest;
        }
        Ok(Self(records))
    }

    /// Applies the records to a header. Returns the fraction of its time, in nanoseconds, and its extended attributes.
    pub(super) fn apply(self, header: &mut Header) -> Result<(u32, Attributes), ScanError> {
        let (mut nanoseconds, mut attributes) = (0, Attributes::new());
        let is_sparse = self.0.keys().any(|key| key.starts_with(SPARSE));
        // An empty value leaves what the header says.
        for (key, value) in self.0.into_iter().filter(|(_, value)| !value.is_empty()) {
            match &key[..] {
                b"path" => header.name = value,
                b"linkpath" => header.link = value,
                b"size" => header.size = number(&value)?,
                b"uid" => header.uid = number(&value)?,
                b"gid" => header.gid = number(&value)?,
                b"mtime" => (header.seconds, nanoseconds) = time(&value)?,
                key => {
                    if let Some(name) = key.strip_prefix(XATTR) {
                        attributes.insert(name.to_vec(), value);
                    }
                }
            }
        }
        if is_sparse { Err(ScanError::Sparse(quote(&header.name))) } else { Ok((nanoseconds, attributes)) }
    }
}

/// The first record: its key, its value, and what follows it.
fn record(content: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = content.iter().position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(&content[..space]).ok()?.parse().ok()?;
    if length < SHORTEST || length > content.len() || length <= space + 1 {
        return None;
    }
    let (record, rest) = content.split_at(length);
    let record = record[space + 1..].strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    let (key, value) = (&record[..equals], &record[equals + 1..]);
    let is_text = matches!(key, b"path" | b"linkpath" | b"uname" | b"gname");
    let has_nul = if is_text { value.contains(&0) } else { key.contains(&0) };
    (!key.is_empty() && !has_nul).then_some((key, value, rest))
}

fn number(value: &[u8]) -> Result<i64, ScanError> {
    let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| ScanError::invalid("a number in a PAX record is malformed"))
}

/// Seconds since 1970 and nanoseconds.
fn time(value: &[u8]) -> Result<(i64, u32), ScanError> {
    let malformed = || ScanError::invalid("a time in a PAX record is malformed");
    let text = std::str::from_utf8(value).map_err(|_| malformed())?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().map_err(|_| malformed())?;
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(malformed());
    }
    let digits = fraction.bytes().chain(std::iter::repeat(b'0')).take(NANOS);
    let nanoseconds = digits.fold(0, |number: u32, digit| number * 10 + u32::from(digit - b'0'));
    if nanoseconds > 0 && whole.starts_with('-') {
        // The fraction is further back; nanoseconds count forward.
        return Ok((seconds.checked_sub(1).ok_or_else(malformed)?, 1_000_000_000 - nanoseconds));
    }
    Ok((seconds, nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_state_their_length() {
        let read = |content: &[u8]| Pax::read(content).ok().map(|Pax(records)| records.len());
        assert_eq!(read(b""), Some(0));
        assert_eq!(read(b"6 a=1\n6 b=2\n6 a=3\n"), Some(2));
        assert_eq!(read(b"12 path=a\nb\n"), Some(1));
        for bad in [
            &b"6 a=1"[..],
            b"5 a=1\n",
            b"7 a=1\n",
            b"6 a+1\n",
            b"x a=1\n",
            b"6 =11\n",
            b"11 path=a\0b\n",
            b"-6 a=1\n",
            b"4 a\n",
            b"99999999999999999999 a=1\n",
        ] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn times_have_nanoseconds() {
        for (text, wanted) in [
            ("7", Some((7, 0))),
            ("7.", Some((7, 0))),
            ("7.25", Some((7, 250_000_000))),
            ("7.1234567899", Some((7, 123_456_789))),
            ("-7", Some((-7, 0))),
            ("-7.25", Some((-8, 750_000_000))),
            ("-0.5", Some((-1, 500_000_000))),
            (".5", None),
            ("7.x", None),
            ("-9223372036854775808.5", None),
        ] {
            assert_eq!(time(text.as_bytes()).ok(), wanted, "{text}");
        }
    }
}
