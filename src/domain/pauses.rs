//! Pauses in work on lists of tens of thousands of items.
//!
//! A system with few processors gives each to one thread for milliseconds before another one has its turn. Whoever is served
//! by the same processor would wait for that long, over and over.

use std::thread;

/// Items that are worked on in less than half a millisecond.
const FEW: usize = 512;

/// Iterators over lists that may be long.
pub(crate) trait Pauses: Iterator + Sized {
    /// The same items; others may have the processor now and then.
    fn with_pauses(self) -> impl Iterator<Item = Self::Item> {
        self.enumerate().map(|(at, item)| {
            pause_after(at);
            item
        })
    }
}

impl<I: Iterator> Pauses for I {}

/// Lets others have the processor after some of the items of a list.
pub(crate) fn pause_after(item: usize) {
    if item % FEW == FEW - 1 {
        thread::yield_now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_leave_nothing_out() {
        let all = || 0..3 * FEW + 1;
        assert!(all().with_pauses().eq(all()));
    }
}
