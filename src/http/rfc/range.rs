//! Range requests (RFC 9110 section 14): a single byte range is supported; any other request gets the full
//! representation.

use axum::http::HeaderMap;
use axum::http::header::RANGE;

use crate::store::ByteRange;

/// How a `Range` header applies to a representation of a given size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RangeOutcome {
    /// The full representation: no range, several ranges, another unit, or invalid syntax. A server may ignore `Range`
    /// (14.2).
    Whole,
    /// A single range, within the representation.
    Part(ByteRange),
    /// The range begins at or after the end: 416.
    Unsatisfiable,
}

/// Evaluates the `Range` header of a GET for a representation of `size` bytes.
#[must_use]
pub fn judge(headers: &HeaderMap, size: u64) -> RangeOutcome {
    let mut values = headers.get_all(RANGE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return RangeOutcome::Whole };
    value.to_str().ok().and_then(parse).map_or(RangeOutcome::Whole, |spec| spec.within(size))
}

#[derive(Debug, PartialEq, Eq)]
enum Spec {
    From { first: u64, last: Option<u64> },
    Last(u64),
}

fn parse(text: &str) -> Option<Spec> {
    let (unit, ranges) = text.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = ranges.trim().split_once('-')?;
    if first.is_empty() {
        return number(last).map(Spec::Last);
    }
    let first = number(first)?;
    let last = if last.is_empty() { None } else { Some(number(last)?) };
    (last.is_none_or(|last| first <= last)).then_some(Spec::From { first, last })
}

/// Parses digits only. A number that overflows is treated as larger than any blob.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

impl Spec {
    fn within(&self, size: u64) -> RangeOutcome {
        match *self {
            Self::Last(count) if count == 0 || size == 0 => RangeOutcome::Unsatisfiable,
            Self::Last(count) => RangeOutcome::Part(ByteRange { start: size.saturating_sub(count), end: size }),
            Self::From { first, .. } if first >= size => RangeOutcome::Unsatisfiable,
            Self::From { first, last } => {
                let end = last.map_or(size, |last| last.saturating_add(1).min(size));
                RangeOutcome::Part(ByteRange { start: first, end })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wanted(text: &str, size: u64) -> RangeOutcome {
        judge(&HeaderMap::from_iter([(RANGE, text.parse().unwrap())]), size)
    }

    fn part(start: u64, end: u64) -> RangeOutcome {
        RangeOutcome::Part(ByteRange { start, end })
    }

    #[test]
    fn the_three_forms_of_a_range() {
        assert_eq!(wanted("bytes=0-0", 10), part(0, 1));
        assert_eq!(wanted("bytes=2-5", 10), part(2, 6));
        assert_eq!(wanted("bytes=2-", 10), part(2, 10));
        assert_eq!(wanted("bytes=-3", 10), part(7, 10));
        assert_eq!(wanted("bytes=-30", 10), part(0, 10));
        assert_eq!(wanted("bytes=0-99999999999999999999999", 10), part(0, 10));
        assert_eq!(wanted("Bytes=0-", 10), part(0, 10));
    }

    #[test]
    fn what_cannot_be_satisfied_and_what_is_ignored() {
        for text in ["bytes=10-", "bytes=10-12", "bytes=-0", "bytes=99999999999999999999-"] {
            assert_eq!(wanted(text, 10), RangeOutcome::Unsatisfiable, "{text}");
        }
        assert_eq!(wanted("bytes=0-", 0), RangeOutcome::Unsatisfiable);
        assert_eq!(wanted("bytes=-1", 0), RangeOutcome::Unsatisfiable);
        for text in
            ["bytes=0-1,3-4", "bytes=5-2", "bytes=", "bytes=-", "bytes=a-b", "items=0-1", "bytes 0-1", "bytes=+1-2"]
        {
            assert_eq!(wanted(text, 10), RangeOutcome::Whole, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_part_lies_within_and_is_never_empty(text in "bytes=[0-9]{0,25}-[0-9]{0,25}", size in 0_u64..100) {
            if let RangeOutcome::Part(range) = wanted(&text, size) {
                prop_assert!(range.start < range.end && range.end <= size);
            }
        }
    }
}
