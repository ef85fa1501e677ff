//! Work that takes a processor for milliseconds.

use std::panic::resume_unwind;
use std::thread;
use std::time::Duration;

use tokio::runtime::{Handle, RuntimeFlavor};
use tracing::Span;

use crate::domain::pauses::{Pauses as _, go_on_for};

/// Size of what is worked on, in bytes, from which on it takes more than about a millisecond.
pub(crate) const LONG: usize = 64 << 10;

/// How work goes on beside those who are served, where they need all of the processor.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// How nice the thread is: the system owes it a thirty-fifth of the time for 16, and twice that for each three less.
    nice: i32,
    /// How long it goes on at a time.
    piece: Duration,
}

impl Pace {
    /// Documents of up to 4 MiB, which are tens of thousands of files, hold up nobody for long. Larger ones would then take
    /// many seconds, so pieces of them are longer.
    fn of(bytes: usize) -> Self {
        let (nice, micros) = match bytes >> 20 {
            0..4 => (16, 100),
            4..8 => (13, 200),
            8..16 => (10, 400),
            _ => (7, 800),
        };
        Self { nice, piece: Duration::from_micros(micros) }
    }

    /// Makes this thread keep to it, until it ends: no priority can be taken back.
    fn keep(self) {
        // Elsewhere it would be that of the whole process.
        if cfg!(target_os = "linux") {
            let _ = rustix::process::nice(self.nice);
        }
        go_on_for(self.piece);
    }
}

/// Works on a document of so many bytes. If they are many, whoever else is served by this thread moves to another one.
pub(crate) fn work_on<T: Send>(bytes: usize, work: impl FnOnce() -> T + Send) -> T {
    let can_move = || Handle::try_current().is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread);
    if bytes > LONG && can_move() { tokio::task::block_in_place(|| stand_back(Pace::of(bytes), work)) } else { work() }
}

/// Does it in a thread that stands back behind those that serve. To one of their kind the system owes as much time as they
/// take: it makes up for what [`pause`](crate::domain::pauses::pause) leaves to them by not pausing the next few times.
/// Where the system has no thread to spare, it is done all the same.
fn stand_back<T: Send>(pace: Pace, work: impl FnOnce() -> T + Send) -> T {
    start_another(thread::Builder::new(), pace, work)
}

/// Works in the thread that this starts, or here if it cannot start one.
fn start_another<T: Send>(thread: thread::Builder, pace: Pace, work: impl FnOnce() -> T + Send) -> T {
    let span = Span::current();
    let mut work = Some(work);
    let mut work = || work.take().expect("it is done once")();
    let done = thread::scope(|scope| {
        let thread = thread.spawn_scoped(scope, || {
            pace.keep();
            span.in_scope(&mut work)
        });
        thread.map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
    });
    done.unwrap_or_else(|error| {
        tracing::warn!(%error, "no thread can be started; others wait for work on a long document");
        work()
    })
}

/// Releases many items. Whoever happens to be the last one to have them does not wait for it.
pub(crate) fn release<T: Send + 'static>(items: impl IntoIterator<Item = T> + Send + 'static) {
    let release = || items.into_iter().with_pauses().for_each(drop);
    match Handle::try_current() {
        Ok(runtime) => drop(runtime.spawn_blocking(|| stand_back(Pace::of(0), release))),
        Err(_) => release(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};
    use std::thread::ThreadId;

    use super::*;
    use crate::domain::pauses::piece_after;

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn others_are_served_while_much_is_worked_on() {
        let (sender, receiver) = channel();
        let patience = Duration::from_secs(10);
        let long = tokio::spawn(async move { work_on(LONG + 1, move || receiver.recv_timeout(patience)) });
        tokio::spawn(async move { sender.send("served") }).await.unwrap().unwrap();
        assert_eq!(long.await.unwrap(), Ok("served"));
    }

    #[tokio::test]
    async fn where_nobody_else_can_serve_it_is_done_all_the_same() {
        assert_eq!(work_on(LONG + 1, || 7), 7);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn it_stands_back_behind_those_that_serve() {
        let niceness = || rustix::process::getpriority_process(None).unwrap();
        let before = niceness();
        assert_eq!(work_on(LONG, niceness), before, "this is soon done");
        assert_eq!(work_on(LONG + 1, niceness), (before + 16).min(19));
        assert_eq!(work_on(16 << 20, niceness), (before + 7).min(19), "larger ones would not end");
        assert_eq!(niceness(), before);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn large_documents_are_worked_on_in_longer_pieces() {
        let piece = || piece_after(Duration::from_secs(1)).as_micros();
        let sizes = [LONG + 1, (4 << 20) - 1, 4 << 20, 8 << 20, 16 << 20, usize::MAX];
        assert_eq!(sizes.map(|bytes| work_on(bytes, piece)), [100, 100, 200, 400, 800, 800]);
    }

    #[test]
    fn without_a_thread_to_spare_it_is_done_all_the_same() {
        let more_than_there_is = thread::Builder::new().stack_size(1 << 47);
        let here = thread::current().id();
        assert_eq!(start_another(more_than_there_is, Pace::of(0), || thread::current().id()), here);
        assert_ne!(start_another(thread::Builder::new(), Pace::of(0), || thread::current().id()), here);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_panic_is_that_of_whoever_works() {
        let panic = tokio::spawn(async { work_on(LONG + 1, || panic!("why")) }).await.unwrap_err().into_panic();
        assert_eq!(panic.downcast_ref(), Some(&"why"));
    }

    #[test]
    fn items_are_released_away_from_whoever_had_them() {
        struct Item(Sender<ThreadId>);
        impl Drop for Item {
            fn drop(&mut self) {
                self.0.send(thread::current().id()).unwrap();
            }
        }
        let release = |count| {
            let (sender, receiver) = channel();
            release(vec![(); count].into_iter().map(move |()| Item(sender.clone())).collect::<Vec<_>>());
            receiver.into_iter().collect::<Vec<_>>()
        };
        let here = thread::current().id();
        assert_eq!(release(3), [here; 3], "without a runtime there is nowhere else");
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let threads = runtime.block_on(async { release(300) });
        assert!(threads.len() == 300 && !threads.contains(&here));
    }
}
