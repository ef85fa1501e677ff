//! Ranges of digests by first byte: how a run is divided into passes that fit into memory, and a pass into parts that
//! are listed concurrently.

use std::ops::RangeInclusive;

use super::CollectError;
use super::report::Totals;

/// Number of parts into which a pass over all digests is divided.
const PARTS: u16 = 64;

/// The ranges of first bytes that the passes of a run cover: as few as memory allows.
pub(super) struct Ranges {
    first: u16,
    width: u16,
}

impl Ranges {
    pub(super) fn new() -> Self {
        Self { first: 0, width: 256 }
    }

    pub(super) fn next(&self) -> Option<RangeInclusive<u8>> {
        (self.first < 256).then(|| bytes(self.first, self.width))
    }

    /// Advances after a pass, or halves the range if its digests exceeded the memory limit.
    pub(super) fn settle(
        &mut self,
        passed: Result<(), CollectError>,
        part: &Totals,
        totals: &mut Totals,
    ) -> Result<(), CollectError> {
        match passed {
            Err(CollectError::Memory) if self.width > 1 => {
                totals.expired += part.expired;
                self.width /= 2;
                Ok(())
            }
            passed => {
                totals.merge(part);
                self.first += self.width;
                passed
            }
        }
    }
}

/// The range of `width` first bytes that starts with `first`.
fn bytes(first: u16, width: u16) -> RangeInclusive<u8> {
    let byte = |number: u16| u8::try_from(number).unwrap_or(u8::MAX);
    byte(first)..=byte(first + width - 1)
}

/// The parts of a pass over a range, in ascending order.
pub(super) fn parts(range: &RangeInclusive<u8>) -> impl Iterator<Item = RangeInclusive<u8>> + use<> {
    let (first, last) = (u16::from(*range.start()), u16::from(*range.end()));
    let width = ((last - first + 1) / PARTS).max(1);
    (first..=last).step_by(usize::from(width)).map(move |first| bytes(first, width))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_covers(parts: &[RangeInclusive<u8>], range: RangeInclusive<u8>) {
        let covered: Vec<u8> = parts.iter().cloned().flatten().collect();
        assert_eq!(covered, range.collect::<Vec<_>>(), "each once, in order");
    }

    #[test]
    fn passes_cover_everything_however_often_they_must_be_cut() {
        for fits in [256, 255, 128, 5, 1] {
            let (mut ranges, mut passes, mut totals) = (Ranges::new(), Vec::new(), Totals::default());
            while let Some(range) = ranges.next() {
                let part = Totals { lost: 1, ..Totals::default() };
                if range.len() > fits {
                    ranges.settle(Err(CollectError::Memory), &part, &mut totals).unwrap();
                } else {
                    ranges.settle(Ok(()), &part, &mut totals).unwrap();
                    passes.push(range);
                }
            }
            assert_covers(&passes, 0..=255);
            assert_eq!(totals.lost, passes.len() as u64, "a pass that did not fit counts nothing");
        }
    }

    #[test]
    fn a_single_byte_that_does_not_fit_ends_the_run() {
        let (mut ranges, part) = (Ranges::new(), Totals::default());
        let tries = (0..20).map_while(|_| ranges.settle(Err(CollectError::Memory), &part, &mut Totals::default()).ok());
        assert_eq!(tries.count(), 8, "256 is cut in half eight times");
    }

    #[test]
    fn parts_cover_their_pass() {
        for range in [0..=255, 0..=127, 64..=95, 128..=128, 254..=255] {
            let parts: Vec<_> = parts(&range).collect();
            assert!(parts.len() <= usize::from(PARTS));
            assert_covers(&parts, range);
        }
    }
}
