//! Streams and request bodies that record in the state of their connection what moves.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::{Bytes, HttpBody};
use axum::http::Request;
use hyper::body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;

use super::connection_state::{ConnectionState, Received};
use super::direct::DirectAnswers;
use super::refusals::Refusals;
use super::sendfile::FileStream;
use super::sent::Sent;
use super::table::ConnectionTable;
use crate::config::Network;
use crate::http::{App, WaitingConnection};
use crate::shares::Owner;

/// Most bytes that are received at once before the HTTP library is needed. Plain heads are shorter.
const HEAD: usize = 8 << 10;

/// A connection whose bytes are counted, and whose refused heads get a reason.
pub(super) struct MeteredStream {
    stream: FileStream,
    /// How many bytes the client is known to have acknowledged.
    acknowledged: u64,
    state: Arc<ConnectionState>,
    refusals: Refusals,
    /// `None` on connections where the library answers everything.
    direct: Option<DirectAnswers>,
    /// What was received before the library was needed, and is for the library.
    unread: Vec<u8>,
}

impl MeteredStream {
    pub(super) fn new(stream: FileStream, state: Arc<ConnectionState>, app: App) -> Self {
        Self { stream, acknowledged: 0, state, refusals: Refusals::new(app), direct: None, unread: Vec::new() }
    }

    /// Answers plain requests directly from now on. For HTTP/1.1.
    pub(super) fn answer_directly(&mut self, direct: DirectAnswers) {
        self.direct = Some(direct);
    }

    /// Answers requests directly until something comes that the library has to see, which is kept for it. False if the
    /// client closes the connection before. A connection without the library touches a fraction of the memory.
    pub(super) async fn receive_unanswered(&mut self) -> io::Result<bool> {
        poll_fn(|context| {
            let mut buffer = [const { MaybeUninit::uninit() }; HEAD];
            let mut into = ReadBuf::uninit(&mut buffer);
            ready!(self.poll_unanswered(context, &mut into))?;
            self.unread = into.filled().to_vec();
            Poll::Ready(Ok(!self.unread.is_empty()))
        })
        .await
    }

    /// Receives bytes that cannot be answered directly, and answers those that can.
    fn poll_unanswered(&mut self, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        loop {
            ready!(self.poll_direct(context))?;
            ready!(Pin::new(&mut self.stream).poll_read(context, into))?;
            let Some(direct) = &mut self.direct else { return Poll::Ready(Ok(())) };
            if !direct.answer(&into.filled()[before..], &self.state, &mut self.stream, context)? {
                return Poll::Ready(Ok(()));
            }
            into.set_filled(before);
        }
    }

    /// Writes what is left of a direct answer.
    fn poll_direct(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(direct) = &mut self.direct else { return Poll::Ready(Ok(())) };
        let written = direct.poll_rest(&self.state, &mut self.stream, context);
        if written.is_pending() {
            self.waits();
        }
        written
    }

    /// What was written to the client.
    pub(super) fn sent(&self) -> Arc<Sent> {
        self.stream.sent()
    }

    fn wrote(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Ready(Ok(bytes)) => self.state.progress(*bytes),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.waits(),
        }
        written
    }

    /// Records that the kernel takes nothing more. A slow reader makes progress all the same.
    fn waits(&mut self) {
        let now = self.stream.acknowledged();
        if now > self.acknowledged {
            self.acknowledged = now;
            self.state.progress(0);
        }
    }
}

impl Drop for MeteredStream {
    fn drop(&mut self) {
        if self.state.is_cut() {
            // The kernel would otherwise hold on to megabytes for a client that takes none of them.
            let _ = self.stream.socket().set_zero_linger();
        }
    }
}

impl AsyncRead for MeteredStream {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = into.filled().len();
        if this.unread.is_empty() {
            ready!(this.poll_unanswered(context, into))?;
        } else {
            let length = this.unread.len().min(into.remaining());
            into.put_slice(&this.unread[..length]);
            this.unread = this.unread.split_off(length);
        }
        let received = &into.filled()[before..];
        match this.state.receive(received.len()) {
            Received::Body => {}
            Received::Head { first } => this.refusals.keep(received, first),
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for MeteredStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Some(length) = self.refusals.take_over(bytes) {
            return Poll::Ready(Ok(length));
        }
        ready!(self.poll_direct(context))?;
        if let Some(direct) = &mut self.direct {
            direct.library_writes();
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.wrote(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        ready!(this.refusals.poll_send(Pin::new(&mut this.stream), context))?;
        this.refusals.flushed();
        ready!(Pin::new(&mut this.stream).poll_flush(context))?;
        if let Some(direct) = &mut this.direct {
            direct.library_flushed();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        ready!(this.poll_direct(context))?;
        ready!(this.refusals.poll_send(Pin::new(&mut this.stream), context))?;
        ready!(Pin::new(&mut this.stream).poll_shutdown(context))?;
        this.refusals.poll_discard(Pin::new(&mut this.stream), context).map(Ok)
    }
}

/// Records the requests of one connection.
#[derive(Debug, Clone)]
pub(super) struct Meter {
    state: Arc<ConnectionState>,
    table: Arc<ConnectionTable>,
    keeps_alive: bool,
    /// Cancelled when the connection is to end.
    ending: CancellationToken,
}

impl Meter {
    /// `keeps_alive` says whether further requests may follow the first one.
    pub(super) fn new(
        state: &Arc<ConnectionState>,
        table: &Arc<ConnectionTable>,
        keeps_alive: bool,
        ending: &CancellationToken,
    ) -> Self {
        Self { state: Arc::clone(state), table: Arc::clone(table), keeps_alive, ending: ending.clone() }
    }

    pub(super) fn state(&self) -> Arc<ConnectionState> {
        Arc::clone(&self.state)
    }

    pub(super) fn keeps_alive(&self) -> bool {
        self.keeps_alive
    }

    pub(super) fn begin<B: HttpBody>(&self, request: Request<B>) -> (Request<MeteredBody<B>>, Unanswered) {
        let (mut request, unanswered) = meter(&self.state, self.table.trusted(), request);
        if WaitingConnection::is_needed(request.uri().query()) {
            let client = Owner::new(format_args!("client {:?}", self.state.client()));
            let (waiting, ending) = (self.state.waiting(), self.ending.clone());
            request.extensions_mut().insert(WaitingConnection { client, waiting, ending });
        }
        (request, unanswered)
    }
}

/// Records a request from now until the guard is dropped, and its body until that has ended.
fn meter<B: HttpBody>(
    state: &Arc<ConnectionState>,
    trusted: &[Network],
    request: Request<B>,
) -> (Request<MeteredBody<B>>, Unanswered) {
    let has_body = !request.body().is_end_stream();
    state.begin(request.headers(), trusted, has_body);
    let open = has_body.then(|| Arc::clone(state));
    (request.map(|body| MeteredBody { body, open }), Unanswered(Arc::clone(state)))
}

/// Guard for a request that has not been answered.
#[derive(Debug)]
pub(super) struct Unanswered(Arc<ConnectionState>);

impl Drop for Unanswered {
    fn drop(&mut self) {
        self.0.answered();
    }
}

/// A request body that records its end.
#[derive(Debug)]
pub(super) struct MeteredBody<B> {
    body: B,
    /// `None` once it has ended.
    open: Option<Arc<ConnectionState>>,
}

impl<B> MeteredBody<B> {
    fn end(&mut self) {
        if let Some(state) = self.open.take() {
            state.received();
        }
    }
}

impl<B> Drop for MeteredBody<B> {
    fn drop(&mut self) {
        self.end();
    }
}

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for MeteredBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if frame.is_none() || self.body.is_end_stream() {
            self.end();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
