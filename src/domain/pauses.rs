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
/// How long it goes on where others always have something to do. Many wait then, and do so for longer than this anyway.
const LONG: Duration = Duration::from_micros(500);
/// Work goes on for at least this part of the time that others have just had: a fifth. Otherwise it would hardly ever end.
const SHARE: u32 = 5;
/// Items between two looks at the time, each of which takes less than a microsecond.
const ITEMS: usize = 32;

thread_local! {
    /// When this thread is to pause again.
    static DUE: Cell<Option<Instant>> = const { Cell::new(None) };
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
    let began = Instant::now();
    if DUE.get().is_none_or(|due| due <= began) {
        thread::yield_now();
        let ended = Instant::now();
        DUE.set(Some(ended + (ended.duration_since(began) / SHARE).clamp(SHORT, LONG)));
    }
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
