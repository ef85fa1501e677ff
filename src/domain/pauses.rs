//! Pauses in work on lists of tens of thousands of items.
//!
//! A system with few processors gives each to one thread for milliseconds before another one has its turn. Whoever is served
//! by the same processor would wait for that long, over and over.

use std::cell::Cell;
use std::thread;
use std::time::{Duration, Instant};

/// How long work goes on before others have a turn: not longer than those take who are served one after the other on few
/// connections.
const SHORT: Duration = Duration::from_micros(50);
/// How long it goes on where others always have something to do, unless the thread has [another limit](go_on_for).
const LONG: Duration = Duration::from_micros(100);
/// Within these two, work goes on for this part of the time that others have just had: a fifth.
const SHARE: u32 = 5;
/// Items between two looks at the time, each of which takes less than a microsecond.
const ITEMS: usize = 32;

thread_local! {
    /// When this thread is to pause again.
    static DUE: Cell<Option<Instant>> = const { Cell::new(None) };
    static LONGEST: Cell<Duration> = const { Cell::new(LONG) };
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

/// Sets how long this thread goes on at most, from one pause to the next: at least a twentieth of a millisecond.
#[cfg(any(feature = "server", test))]
pub(crate) fn go_on_for(longest: Duration) {
    LONGEST.set(longest.max(SHORT));
}

/// Lets others have the processor, unless they had it just now.
#[expect(clippy::disallowed_methods, reason = "of how long work takes nothing depends that tests see")]
pub(crate) fn pause() {
    let began = Instant::now();
    if DUE.get().is_none_or(|due| due <= began) {
        thread::yield_now();
        let ended = Instant::now();
        DUE.set(Some(ended + piece_after(ended.duration_since(began))));
    }
}

/// How long this thread goes on once others have had the processor for so long.
pub(crate) fn piece_after(others: Duration) -> Duration {
    (others / SHARE).clamp(SHORT, LONGEST.get())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_leave_nothing_out() {
        let all = || 0..3 * ITEMS + 1;
        assert!(all().with_pauses().eq(all()));
        assert!(DUE.get().is_some());
    }

    #[test]
    fn work_goes_on_for_a_part_of_the_time_that_others_had() {
        let (short, long) = (Duration::ZERO, Duration::from_secs(1));
        assert_eq!((piece_after(short), piece_after(SHORT * SHARE * 2), piece_after(long)), (SHORT, SHORT * 2, LONG));
        go_on_for(LONG * 3);
        assert_eq!((piece_after(short), piece_after(long)), (SHORT, LONG * 3));
        go_on_for(Duration::ZERO);
        assert_eq!(piece_after(long), SHORT);
    }

    #[test]
    fn others_have_their_turn_after_a_while_and_not_before() {
        pause();
        let first = DUE.get();
        thread::sleep(LONG * 2);
        pause();
        assert!(DUE.get() > first);
        let later = DUE.get().map(|due| due + LONG * 1000);
        DUE.set(later);
        pause();
        assert_eq!(DUE.get(), later);
    }
}
