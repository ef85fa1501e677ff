//! Range requests (RFC 9110 section 14): one or several byte ranges; any other request gets the full representation.

use axum::http::HeaderMap;
use axum::http::header::RANGE;

use super::multipart;
use crate::store::ByteRange;

/// Maximum number of ranges in one request. A request for more gets the full representation.
pub const MAX_RANGES: usize = 1000;
/// Number of ranges up to which they are sent even if their framing is larger than the representation.
const FEW: usize = 8;

/// How a `Range` header applies to a representation of a given size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RangeOutcome {
    /// The full representation: no range, too many or overlapping ranges, another unit, or invalid syntax. A server may
    /// ignore `Range` (14.2).
    Whole,
    /// A single range, within the representation.
    Part(ByteRange),
    /// At least two ranges within the representation that do not overlap, in the order of the request.
    Parts(Vec<ByteRange>),
    /// All ranges begin at or after the end: 416.
    Unsatisfiable,
}

/// Evaluates the `Range` header of a GET for a representation of `size` bytes. A surface that answers single ranges only
/// passes 1 for `most`, others [`MAX_RANGES`].
#[must_use]
pub fn judge(headers: &HeaderMap, size: u64, most: usize) -> RangeOutcome {
    let mut values = headers.get_all(RANGE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return RangeOutcome::Whole };
    let ranges = value.to_str().ok().and_then(|text| parse(text, size, most));
    let Some(mut ranges) = ranges else { return RangeOutcome::Whole };
    match ranges.len() {
        0 => RangeOutcome::Unsatisfiable,
        1 => RangeOutcome::Part(ranges.remove(0)),
        _ if overlap(&ranges) || (ranges.len() > FEW && multipart::least_length(&ranges, size) > size) => {
            RangeOutcome::Whole
        }
        _ => RangeOutcome::Parts(ranges),
    }
}

/// The satisfiable ranges. `None` if the header is not a list of one to `most` byte ranges.
fn parse(text: &str, size: u64, most: usize) -> Option<Vec<ByteRange>> {
    let (unit, list) = text.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (mut ranges, mut stated) = (Vec::new(), 0);
    // Recipients ignore empty elements of a list (5.6.1.2).
    for range in list.split(',').map(|range| range.trim_matches([' ', '\t'])).filter(|range| !range.is_empty()) {
        stated += 1;
        if stated > most {
            return None;
        }
        ranges.extend(Spec::parse(range)?.within(size));
    }
    (stated > 0).then_some(ranges)
}

fn overlap(ranges: &[ByteRange]) -> bool {
    let mut sorted: Vec<_> = ranges.iter().map(|range| (range.start, range.end)).collect();
    sorted.sort_unstable();
    sorted.windows(2).any(|pair| pair[1].0 < pair[0].1)
}

#[derive(Debug, PartialEq, Eq)]
enum Spec {
    From { first: u64, last: Option<u64> },
    Last(u64),
}

/// Parses digits only. A number that overflows is treated as larger than any blob.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

impl Spec {
    fn parse(text: &str) -> Option<Self> {
        let (first, last) = text.split_once('-')?;
        if first.is_empty() {
            return number(last).map(Self::Last);
        }
        let first = number(first)?;
        let last = if last.is_empty() { None } else { Some(number(last)?) };
        (last.is_none_or(|last| first <= last)).then_some(Self::From { first, last })
    }

    /// `None` if the range cannot be satisfied.
    fn within(&self, size: u64) -> Option<ByteRange> {
        match *self {
            Self::Last(count) if count == 0 || size == 0 => None,
            Self::Last(count) => Some(ByteRange { start: size.saturating_sub(count), end: size }),
            Self::From { first, .. } if first >= size => None,
            Self::From { first, last } => {
                let end = last.map_or(size, |last| last.saturating_add(1).min(size));
                Some(ByteRange { start: first, end })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wanted(text: &str, size: u64) -> RangeOutcome {
        judge(&HeaderMap::from_iter([(RANGE, text.parse().unwrap())]), size, MAX_RANGES)
    }

    fn part(start: u64, end: u64) -> RangeOutcome {
        RangeOutcome::Part(ByteRange { start, end })
    }

    fn parts(ranges: &[(u64, u64)]) -> RangeOutcome {
        RangeOutcome::Parts(ranges.iter().map(|(start, end)| ByteRange { start: *start, end: *end }).collect())
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
    fn several_ranges_keep_their_order_and_lose_those_that_cannot_be_satisfied() {
        assert_eq!(wanted("bytes=0-1,3-4", 10), parts(&[(0, 2), (3, 5)]));
        assert_eq!(wanted("bytes= -1 ,\t0-1,,2-2,", 10), parts(&[(9, 10), (0, 2), (2, 3)]));
        assert_eq!(wanted("bytes=0-1,10-,-0,3-4", 10), parts(&[(0, 2), (3, 5)]));
        assert_eq!(wanted("bytes=10-,3-4", 10), part(3, 5));
        assert_eq!(wanted("bytes=10-,11-12", 10), RangeOutcome::Unsatisfiable);
        let single = HeaderMap::from_iter([(RANGE, "bytes=0-1,3-4".parse().unwrap())]);
        assert_eq!(judge(&single, 10, 1), RangeOutcome::Whole);
    }

    #[test]
    fn what_cannot_be_satisfied_and_what_is_ignored() {
        for text in ["bytes=10-", "bytes=10-12", "bytes=-0", "bytes=99999999999999999999-"] {
            assert_eq!(wanted(text, 10), RangeOutcome::Unsatisfiable, "{text}");
        }
        assert_eq!(wanted("bytes=0-", 0), RangeOutcome::Unsatisfiable);
        assert_eq!(wanted("bytes=-1", 0), RangeOutcome::Unsatisfiable);
        for text in [
            "bytes=5-2",
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "items=0-1",
            "bytes 0-1",
            "bytes=+1-2",
            "bytes=,",
            "bytes=0-1,a",
            "bytes=0-1;3-4",
            "bytes=0-1,1-2",
            "bytes=0-,-1",
            "bytes=5-6,0-9",
        ] {
            assert_eq!(wanted(text, 10), RangeOutcome::Whole, "{text}");
        }
    }

    #[test]
    fn many_ranges_are_sent_only_if_that_is_less_than_the_whole() {
        let many = |count: u64| {
            format!("bytes={}", (0..count).map(|at| format!("{0}-{0}", 2 * at)).collect::<Vec<_>>().join(","))
        };
        assert!(matches!(wanted(&many(8), 100), RangeOutcome::Parts(_)));
        assert_eq!(wanted(&many(9), 100), RangeOutcome::Whole);
        assert!(matches!(wanted(&many(1000), 1 << 20), RangeOutcome::Parts(ranges) if ranges.len() == 1000));
        assert_eq!(wanted(&many(1001), 1 << 20), RangeOutcome::Whole);
    }

    proptest! {
        #[test]
        fn parts_lie_within_are_never_empty_and_never_more_than_the_whole(
            text in "bytes=[0-9]{0,3}-[0-9]{0,25}(,[0-9]{0,2}-[0-9]{0,2}){0,4}", size in 0_u64..100
        ) {
            let ranges = match wanted(&text, size) {
                RangeOutcome::Part(range) => vec![range],
                RangeOutcome::Parts(ranges) => ranges,
                RangeOutcome::Whole | RangeOutcome::Unsatisfiable => Vec::new(),
            };
            for range in &ranges {
                prop_assert!(range.start < range.end && range.end <= size);
            }
            prop_assert!(ranges.iter().map(|range| range.end - range.start).sum::<u64>() <= size);
        }
    }
}
