//! Pauses in work on lists of tens of thousands of items.
//!
//! A system with few processors gives each to one thread for milliseconds before another one has its turn. Whoever is served
//! by the same processor would wait for that long, over and over.

use std::thread;

/// Items that are read in less than a millisecond.
const FEW: usize = 1024;
/// Items that take so long once they are read.
const MANY: usize = 4096;

/// Iterators over lists that may be long.
pub(crate) trait Pauses: Iterator + Sized {
    /// The same items, of which each takes less than a microsecond; others may have the processor now and then. Not more
    /// often than needed: each time, whoever has it loses it again.
    fn with_pauses(self) -> impl Iterator<Item = Self::Item> {
        self.enumerate().map(|(at, item)| {
            pause(at, MANY);
            item
        })
    }
}

impl<I: Iterator> Pauses for I {}

/// Lets others have the processor after some of the items that are read.
pub(crate) fn pause_after_reading(item: usize) {
    pause(item, FEW);
}

fn pause(item: usize, after: usize) {
    if item % after == after - 1 {
        thread::yield_now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_leave_nothing_out() {
        let all = || 0..3 * MANY + 1;
        assert!(all().with_pauses().eq(all()));
    }
}
