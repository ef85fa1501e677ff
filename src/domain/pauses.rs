//! Pauses in work on lists of tens of thousands of items.
//!
//! A system with few processors gives each to one thread for milliseconds before another one has its turn. Whoever is served
//! by the same processor would wait for that long, over and over.

use std::cell::Cell;
use std::thread;
use std::time::{Duration, Instant};

/// How long work goes on before others have a turn. Short enough for many who wait; not shorter, because each turn makes
/// all of those wait who would have been served in the meantime.
const STRETCH: Duration = Duration::from_micros(900);
/// Items between two looks at the time, each of which takes less than a microsecond.
const ITEMS: usize = 128;

thread_local! {
    /// When this thread has paused last.
    static PAUSED: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Iterators over lists that may be long.
pub(crate) trait Pauses: Iterator + Sized {
    /// The same items; others may have the processor now and then.
    fn with_pauses(self) -> impl Iterator<Item = Self::Item> {
        self.enumerate().map(|(at, item)| {
            pause_at(at);
            item
        })
    }
}

impl<I: Iterator> Pauses for I {}

/// The same for whoever has no iterator, once for each item.
pub(crate) fn pause_at(item: usize) {
    if item % ITEMS == ITEMS - 1 {
        pause();
    }
}

/// Lets others have the processor, unless they had it just now.
#[expect(clippy::disallowed_methods, reason = "of how long work takes nothing depends that tests see")]
pub(crate) fn pause() {
    let is_due = |paused: Option<Instant>| paused.is_none_or(|paused| paused.elapsed() >= STRETCH);
    if is_due(PAUSED.get()) {
        thread::yield_now();
        PAUSED.set(Some(Instant::now()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_leave_nothing_out() {
        let all = || 0..3 * ITEMS + 1;
        assert!(all().with_pauses().eq(all()));
        assert!(PAUSED.get().is_some());
    }

    #[test]
    fn others_have_their_turn_no_more_often_than_needed() {
        pause();
        let first = PAUSED.get();
        pause();
        assert!(PAUSED.get() == first || first.is_some_and(|first| first.elapsed() >= STRETCH));
        thread::sleep(STRETCH);
        pause();
        assert!(PAUSED.get() > first);
    }
}
