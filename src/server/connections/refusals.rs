//! Reasons for refusals that the HTTP library makes by itself.
//!
//! When the library cannot parse a head, it answers with a bare status and never tells the application. The stream
//! below it recognises such an answer and sends the application's problem of the same kind in its place.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Response, StatusCode};
use futures_util::FutureExt as _;
use http_body_util::{BodyExt as _, Collected};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use crate::http::App;

/// Most bytes that are kept of the beginning of a head.
const KEPT: usize = 1024;
/// Longest answer that the library makes by itself, in bytes.
const LONGEST: usize = 160;
/// Most bytes of an unread head that are discarded so that its sender sees the answer, and for how long.
const DISCARDED: usize = 4 << 20;
const DISCARDED_FOR: Duration = Duration::from_secs(2);

/// What is needed to give a reason, and the answer that gives it.
pub(super) struct Refusals {
    app: App,
    /// The first bytes of the newest head.
    head: Vec<u8>,
    /// Whether all that was written before has been passed on, so that the next write begins an answer.
    flushed: bool,
    /// What is left to send of the answer with the reason.
    answer: Vec<u8>,
    discarding: Option<(Pin<Box<Sleep>>, usize)>,
}

impl Refusals {
    pub(super) fn new(app: App) -> Self {
        Self { app, head: Vec::new(), flushed: true, answer: Vec::new(), discarding: None }
    }

    /// Keeps bytes of a head. `first` says whether they are the first ones.
    pub(super) fn keep(&mut self, bytes: &[u8], first: bool) {
        if first {
            self.head.clear();
        }
        let room = KEPT.saturating_sub(self.head.len());
        self.head.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    pub(super) fn flushed(&mut self) {
        self.flushed = true;
    }

    /// Takes over a write that is a bare refusal; returns its length. The answer is sent by [`Self::poll_send`].
    pub(super) fn take_over(&mut self, bytes: &[IoSlice<'_>]) -> Option<usize> {
        if !std::mem::take(&mut self.flushed) || bytes.iter().map(|slice| slice.len()).sum::<usize>() > LONGEST {
            return None;
        }
        let bytes = bytes.iter().flat_map(|slice| slice.iter().copied()).collect::<Vec<u8>>();
        let (status, date) = bare_refusal(&bytes)?;
        self.answer = serialize(self.app.refuse_unread(&self.head, status), date);
        self.discarding = Some((Box::pin(sleep(DISCARDED_FOR)), DISCARDED));
        Some(bytes.len())
    }

    /// Sends what is left of an answer.
    pub(super) fn poll_send(
        &mut self,
        mut stream: Pin<&mut impl AsyncWrite>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.answer.is_empty() {
            let sent = ready!(stream.as_mut().poll_write(context, &self.answer))?;
            self.answer.drain(..sent);
        }
        Poll::Ready(Ok(()))
    }

    /// Reads what the client still sends, within limits: closing a connection with unread bytes resets it, and the
    /// answer would be lost.
    pub(super) fn poll_discard(&mut self, mut stream: Pin<&mut impl AsyncRead>, context: &mut Context<'_>) -> Poll<()> {
        let Some((time, left)) = &mut self.discarding else { return Poll::Ready(()) };
        let mut buffer = [0; 4096];
        while *left > 0 {
            let mut into = ReadBuf::new(&mut buffer);
            match stream.as_mut().poll_read(context, &mut into) {
                Poll::Ready(Ok(())) if !into.filled().is_empty() => *left = left.saturating_sub(into.filled().len()),
                Poll::Ready(_) => break,
                Poll::Pending => return time.as_mut().poll(context),
            }
        }
        Poll::Ready(())
    }
}

/// The status and the `Date` of an answer of the library. Answers of the application have more headers.
fn bare_refusal(bytes: &[u8]) -> Option<(StatusCode, &str)> {
    let text = std::str::from_utf8(bytes).ok()?.strip_suffix("\r\n\r\n")?;
    let mut lines = text.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.1 ").filter(|line| line.starts_with('4'))?;
    let status = StatusCode::from_bytes(status.as_bytes().get(..3)?).ok()?;
    let mut date = "";
    for line in lines {
        match line.split_once(": ")? {
            ("connection", "close") | ("content-length", "0") => {}
            ("date", value) => date = value,
            _ => return None,
        }
    }
    Some((status, date))
}

/// A response as it is sent over HTTP/1.1. Its body must be complete.
fn serialize(response: Response<Body>, date: &str) -> Vec<u8> {
    let (parts, body) = response.into_parts();
    let body = body.collect().now_or_never().and_then(Result::ok).map(Collected::to_bytes).unwrap_or_default();
    let mut all = format!("HTTP/1.1 {}\r\ndate: {date}\r\n", parts.status).into_bytes();
    for (name, value) in &parts.headers {
        all.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    all.extend_from_slice(b"\r\n");
    all.extend_from_slice(&body);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_answers_of_the_library_are_bare() {
        let date = "date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
        let bare = format!(
            "HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n{date}\r\n"
        );
        assert!(bare.len() <= LONGEST);
        let expected = (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(bare_refusal(bare.as_bytes()), Some(expected));
        for other in [
            "HTTP/1.1 100 Continue\r\n\r\n".to_owned(),
            format!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n{date}\r\n"),
            format!("HTTP/1.1 404 Not Found\r\nx-request-id: 1\r\ncontent-length: 0\r\n{date}\r\n"),
            format!("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n{date}\r\nmore"),
            String::new(),
        ] {
            assert_eq!(bare_refusal(other.as_bytes()), None, "{other}");
        }
    }
}
