//! Files sent to the client with `sendfile(2)`, without copying their bytes through the process.
//!
//! The HTTP library writes bodies from memory and has no support for files. So the body of such a response consists of
//! placeholders (stand-ins): slices of one static array whose content is never read. For each of them, a piece of a
//! file is queued in the connection's outbox, and the stream below the HTTP library sends that piece when it is asked
//! to write the stand-in.
//!
//! # Why no client can be sent a stand-in
//! Stand-ins are recognised by their address. While the outbox holds a piece, a write that contains no stand-in, or one
//! whose length differs from that of the piece, ends the connection: a layer in between has copied a buffer that must
//! not be copied. The client then sees a broken transfer, as it does when the file cannot be read.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt as _;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::Response;
use hyper::body::{Frame, SizeHint};
use rustix::fs::sendfile;
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::progress::Pace;
use super::sent::Sent;
use super::stalled::WriteGuard;
use crate::store::FileSlice;

/// Largest piece, in bytes.
const PIECE: usize = 1 << 20;
/// Bytes per read when warming the page cache.
const CHUNK: usize = 256 * 1024;

/// The array that stand-ins are slices of.
static STAND_IN: [u8; PIECE] = [0; PIECE];

fn is_stand_in(bytes: &[u8]) -> bool {
    STAND_IN.as_ptr_range().contains(&bytes.as_ptr())
}

/// Pieces of files whose stand-ins are on their way to the stream, in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Outbox(Arc<Mutex<VecDeque<FileSlice>>>);

impl Outbox {
    /// Replaces the response's body by stand-ins if the response carries a file.
    pub(super) fn take(&self, mut response: Response<Body>) -> Response<Body> {
        match response.extensions_mut().remove::<FileSlice>() {
            Some(rest) => response.map(|_| Body::new(FileBody { outbox: self.clone(), rest, warming: None })),
            None => response,
        }
    }

    fn pieces(&self) -> MutexGuard<'_, VecDeque<FileSlice>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A response body that yields stand-ins.
struct FileBody {
    outbox: Outbox,
    /// The part of the file that has not been queued yet.
    rest: FileSlice,
    /// Reads the next piece into the page cache, so that sending it does not block on the disk.
    warming: Option<JoinHandle<io::Result<()>>>,
}

impl FileBody {
    fn next_piece(&self) -> FileSlice {
        let end = self.rest.end.min(self.rest.start.saturating_add(PIECE as u64));
        FileSlice { end, ..self.rest.clone() }
    }
}

impl HttpBody for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.rest.length() == 0 {
            return Poll::Ready(None);
        }
        let piece = self.next_piece();
        if self.warming.is_none() && !piece.is_in_memory() {
            let piece = piece.clone();
            self.warming = Some(tokio::task::spawn_blocking(move || warm(&piece)));
        }
        if let Some(warming) = &mut self.warming {
            let warmed = ready!(Pin::new(warming).poll(context));
            self.warming = None;
            if let Err(error) = warmed.unwrap_or_else(|failed| Err(io::Error::other(failed))) {
                tracing::error!(%error, "a download broke off");
                return Poll::Ready(Some(Err(error)));
            }
        }
        self.rest.start = piece.end;
        let stand_in = &STAND_IN[..length(&piece)];
        self.outbox.pieces().push_back(piece);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(stand_in)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.length() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.length())
    }
}

/// Length of a piece, at most [`PIECE`] bytes.
fn length(piece: &FileSlice) -> usize {
    usize::try_from(piece.length()).unwrap_or(PIECE).min(PIECE)
}

/// Reads a piece into the page cache. May block.
fn warm(piece: &FileSlice) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK.min(length(piece))];
    let mut at = piece.start;
    while at < piece.end {
        let wanted = buffer.len().min(usize::try_from(piece.end - at).unwrap_or(CHUNK));
        piece.file.read_exact_at(&mut buffer[..wanted], at)?;
        at += wanted as u64;
    }
    Ok(())
}

/// A connection that sends a piece of a file in place of each stand-in. Writing fails once the client has taken too
/// little for too long: it is gone, or holds its connection on purpose.
#[derive(Debug)]
pub(super) struct FileStream {
    stream: TcpStream,
    outbox: Outbox,
    sent: Arc<Sent>,
    guard: WriteGuard,
}

impl FileStream {
    pub(super) fn new(stream: TcpStream, outbox: Outbox, pace: Pace) -> Self {
        let sent = Arc::new(Sent::new(&stream));
        Self { stream, outbox, sent, guard: WriteGuard::new(pace) }
    }

    /// What was written to the client.
    pub(super) fn sent(&self) -> Arc<Sent> {
        Arc::clone(&self.sent)
    }

    /// How many bytes the client had acknowledged when that was last asked for.
    pub(super) fn acknowledged(&self) -> u64 {
        self.guard.acknowledged()
    }

    /// Counts what was written, and the time during which nothing was.
    fn poll_watched(&mut self, context: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Ready(Ok(bytes)) => {
                self.sent.add(*bytes);
                self.guard.taken();
                written
            }
            Poll::Ready(Err(_)) => written,
            Poll::Pending => self.guard.poll_stalled(context, &self.sent).map(|()| Err(io::ErrorKind::TimedOut.into())),
        }
    }

    /// The connection's socket.
    pub(super) fn socket(&self) -> &TcpStream {
        &self.stream
    }

    /// Makes a writing system call as soon as the socket is writable.
    fn poll_call(
        &self,
        context: &mut Context<'_>,
        mut call: impl FnMut(&TcpStream) -> Result<usize, Errno>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_write_ready(context))?;
            match self.stream.try_io(Interest::WRITABLE, || call(&self.stream).map_err(io::Error::from)) {
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                done => return Poll::Ready(done),
            }
        }
    }

    /// Writes bytes. With `more`, the kernel may hold them back until what follows does.
    fn poll_sendmsg(&self, context: &mut Context<'_>, bytes: &[IoSlice<'_>], more: bool) -> Poll<io::Result<usize>> {
        let flags = SendFlags::NOSIGNAL | if more { SendFlags::MORE } else { SendFlags::empty() };
        self.poll_call(context, |stream| sendmsg(stream, bytes, &mut SendAncillaryBuffer::default(), flags))
    }

    /// Sends the beginning of a slice, which is shortened by it.
    fn poll_sendfile(&self, context: &mut Context<'_>, slice: &mut FileSlice) -> Poll<io::Result<usize>> {
        let most = length(slice);
        let call = |stream: &TcpStream| sendfile(stream, &*slice.file, Some(&mut slice.start), most);
        let sent = ready!(self.poll_call(context, call))?;
        if sent == 0 {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a file ended early")));
        }
        Poll::Ready(Ok(sent))
    }

    /// Writes bytes, while the outbox is empty. `more` says that a slice follows at once.
    pub(super) fn poll_write_bytes(
        &mut self,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
        more: bool,
    ) -> Poll<io::Result<usize>> {
        let written = self.poll_sendmsg(context, bytes, more);
        self.poll_watched(context, written)
    }

    /// Writes the beginning of a slice, which is shortened by it, while the outbox is empty.
    pub(super) fn poll_write_slice(
        &mut self,
        context: &mut Context<'_>,
        slice: &mut FileSlice,
    ) -> Poll<io::Result<usize>> {
        let written = self.poll_sendfile(context, slice);
        self.poll_watched(context, written)
    }

    /// Sends the next piece, or part of it.
    fn poll_send(&self, context: &mut Context<'_>, mut piece: FileSlice) -> Poll<io::Result<usize>> {
        let sent = ready!(self.poll_sendfile(context, &mut piece))?;
        let mut pieces = self.outbox.pieces();
        if piece.start < piece.end {
            pieces[0].start = piece.start;
        } else {
            pieces.pop_front();
        }
        Poll::Ready(Ok(sent))
    }

    /// Writes buffers that contain the stand-in for this piece.
    fn poll_around(
        &self,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
        piece: FileSlice,
    ) -> Poll<io::Result<usize>> {
        let lead = bytes.iter().take_while(|slice| !is_stand_in(slice)).count();
        let Some(stand_in) = bytes.get(lead) else {
            return Poll::Ready(Err(io::Error::other("a body that stands in for a file was copied")));
        };
        if bytes[..lead].iter().any(|slice| !slice.is_empty()) {
            return self.poll_sendmsg(context, &bytes[..lead], true);
        }
        if stand_in.len() != length(&piece) {
            return Poll::Ready(Err(io::Error::other("a body that stands in for a file was cut")));
        }
        self.poll_send(context, piece)
    }
}

impl AsyncRead for FileStream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, into)
    }
}

impl AsyncWrite for FileStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let next = this.outbox.pieces().front().cloned();
        let Some(piece) = next else {
            let written = Pin::new(&mut this.stream).poll_write_vectored(context, bytes);
            return this.poll_watched(context, written);
        };
        let written = this.poll_around(context, bytes, piece);
        let written = this.poll_watched(context, written);
        if let Poll::Ready(Err(error)) = &written {
            tracing::debug!(%error, "a download broke off");
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// A connection with a four-byte piece in its outbox, and its client.
    async fn connection() -> (FileStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"0123456789").unwrap();
        let outbox = Outbox::default();
        outbox.pieces().push_back(FileSlice { file: Arc::new(file), start: 2, end: 6, bytes: None });
        let pace = Pace { idle: std::time::Duration::from_secs(10), min_rate: 0 };
        (FileStream::new(stream, outbox, pace), client)
    }

    async fn received(stream: FileStream, mut client: TcpStream) -> Vec<u8> {
        drop(stream);
        let mut all = Vec::new();
        client.read_to_end(&mut all).await.unwrap();
        all
    }

    #[tokio::test]
    async fn the_file_is_sent_where_its_stand_in_is_written() {
        let (mut stream, client) = connection().await;
        stream.write_all(&STAND_IN[..4]).await.unwrap();
        stream.write_all(b" and more").await.unwrap();
        assert_eq!(received(stream, client).await, b"2345 and more");
    }

    #[tokio::test]
    async fn a_stand_in_that_was_copied_or_cut_is_never_sent() {
        for bytes in [&[0; 4][..], &STAND_IN[..3], &STAND_IN[..5], b"head"] {
            let (mut stream, client) = connection().await;
            stream.write_all(bytes).await.unwrap_err();
            assert_eq!(received(stream, client).await, b"");
        }
    }
}
