//! Work that takes a processor for milliseconds.

use tokio::runtime::{Handle, RuntimeFlavor};

use crate::domain::pauses::pause;

/// Size of what is worked on, in bytes, from which on it takes more than about a millisecond.
pub(crate) const LONG: usize = 64 << 10;

/// Works on a document of so many bytes: [`aside`], if they are many.
pub(crate) fn work_on<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    if bytes > LONG { aside(work) } else { work() }
}

/// Does something that takes as long. Whoever else is served by this thread moves to another one.
pub(crate) fn aside<T>(work: impl FnOnce() -> T) -> T {
    if Handle::try_current().is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread) {
        // What was done before may have been as long.
        pause();
        tokio::task::block_in_place(work)
    } else {
        work()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn others_are_served_while_much_is_worked_on() {
        let (sender, receiver) = channel();
        let patience = Duration::from_secs(10);
        let long = tokio::spawn(async move { work_on(LONG + 1, || receiver.recv_timeout(patience)) });
        tokio::spawn(async move { sender.send("served") }).await.unwrap().unwrap();
        assert_eq!(long.await.unwrap(), Ok("served"));
    }

    #[tokio::test]
    async fn where_nobody_else_can_serve_it_is_done_all_the_same() {
        assert_eq!(work_on(LONG + 1, || 7), 7);
    }
}
