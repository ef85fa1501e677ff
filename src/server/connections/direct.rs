//! Writes cached responses to a connection before the HTTP library has seen the requests.
//!
//! Bytes that were received are answered here if they are the whole head of a plain request and nothing else. Otherwise
//! they are passed on, and the library does what it always does. It never learns of the others, and does not exist before
//! there is something for it.
//!
//! # Why no response comes in the wrong place
//! That takes a library that waits for a head, holds no bytes of one, and has written all that it had to. The first is
//! what the state of the connection says; it is set when the library begins to wait. The second holds as long as the
//! library was given nothing but whole heads of requests without bodies, each while it waited for one; on any other bytes
//! direct answers end for good. The third holds if it has flushed the connection after it last wrote, which it does
//! only when its own buffer is empty, and wrote after it was last given a head.

use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::connection_state::ConnectionState;
use super::deadline::Deadline;
use super::sendfile::FileStream;
use crate::http::{App, DirectAnswer, PeekedHead};
use crate::store::FileSlice;

/// What the library has done about the head that it was given last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Library {
    /// There was none, or its response has been written.
    Done,
    /// It has not written anything since.
    Asked,
    /// It has written something, but not flushed it.
    Writing,
}

/// Direct answers on one connection.
pub(super) struct DirectAnswers {
    app: App,
    deadline: Deadline,
    /// How long the client may take for the next head.
    patience: Duration,
    library: Library,
    /// Whether the library was given nothing but whole heads.
    in_step: bool,
    /// Whether an answer has been begun and not been written in full.
    is_answering: bool,
    /// What is left to write of its head and of what is in memory of its body.
    rest: Vec<u8>,
    /// What is left to write of a file behind that.
    file: Option<FileSlice>,
}

impl DirectAnswers {
    pub(super) fn new(app: App, deadline: Deadline, patience: Duration) -> Self {
        let (library, rest) = (Library::Done, Vec::new());
        Self { app, deadline, patience, library, in_step: true, is_answering: false, rest, file: None }
    }

    /// Answers bytes that were received, or records that the library gets them. True if they were answered.
    pub(super) fn answer(
        &mut self,
        received: &[u8],
        state: &ConnectionState,
        stream: &mut FileStream,
        context: &mut Context<'_>,
    ) -> io::Result<bool> {
        if received.is_empty() {
            return Ok(false);
        }
        let in_turn = self.in_step && self.library == Library::Done && state.waits_for_head();
        let head = if in_turn { self.app.peek(received) } else { PeekedHead::Other };
        let PeekedHead::Answered(answer) = head else {
            self.in_step = matches!(head, PeekedHead::Alone);
            self.library = Library::Asked;
            return Ok(false);
        };
        state.progress(received.len());
        self.is_answering = true;
        if let Poll::Ready(written) = self.poll_begin(&answer, state, stream, context) {
            written?;
        } else {
            state.answers_directly();
            self.deadline.clear();
        }
        Ok(true)
    }

    /// Writes an answer, of which only what the kernel does not take at once is copied.
    fn poll_begin(
        &mut self,
        answer: &DirectAnswer,
        state: &ConnectionState,
        stream: &mut FileStream,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        self.file.clone_from(&answer.file);
        let parts = answer.parts();
        let written = match stream.poll_write_bytes(context, &parts.map(IoSlice::new), self.file.is_some()) {
            Poll::Ready(written) => written?,
            Poll::Pending => 0,
        };
        state.progress(written);
        if written < parts.iter().map(|part| part.len()).sum() {
            self.rest = parts.concat().split_off(written);
        }
        self.poll_rest(state, stream, context)
    }

    /// Writes what is left of an answer.
    pub(super) fn poll_rest(
        &mut self,
        state: &ConnectionState,
        stream: &mut FileStream,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.is_answering {
            return Poll::Ready(Ok(()));
        }
        while !self.rest.is_empty() {
            let written = ready!(stream.poll_write_bytes(context, &[IoSlice::new(&self.rest)], self.file.is_some()))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            state.progress(written);
            self.rest.drain(..written);
            if self.rest.is_empty() {
                self.rest = Vec::new();
            }
        }
        while let Some(file) = &mut self.file {
            state.progress(ready!(stream.poll_write_slice(context, file))?);
            if file.length() == 0 {
                self.file = None;
            }
        }
        self.is_answering = false;
        state.answered_directly();
        self.deadline.wait(self.patience);
        Poll::Ready(Ok(()))
    }

    /// Records that the library writes.
    pub(super) fn library_writes(&mut self) {
        self.library = Library::Writing;
    }

    /// Records that the library has flushed the connection.
    pub(super) fn library_flushed(&mut self) {
        if self.library == Library::Writing {
            self.library = Library::Done;
        }
    }
}
