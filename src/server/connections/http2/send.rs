//! Sending the body of a response.
//!
//! First the client leaves room, then there is memory for as many bytes, and only then are they produced. So bytes that
//! were produced wait for nothing but the connection.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use axum::body::Bytes;
use bytes::Buf;
use h2::{Reason, SendStream};
use tokio::time::{Instant, sleep};

use super::super::memory::{NoShare, Reserved, Waiting};
use super::super::progress::Progress;
use super::super::sent::Sent;
use super::Shared;
use super::source::Source;

/// Largest number of bytes that are produced at once.
const CHUNK: usize = 64 * 1024;

/// Bytes on their way, with the memory that is reserved for them.
#[derive(Debug)]
pub(super) struct Chunk {
    bytes: Bytes,
    _on_its_way: Option<OnItsWay>,
}

#[derive(Debug)]
struct OnItsWay {
    _reserved: Reserved,
    position: Arc<Position>,
}

impl Buf for Chunk {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }
}

/// Where the bytes of one stream are among those of its connection.
#[derive(Debug)]
struct Position {
    /// Chunks that are not written yet.
    on_their_way: AtomicUsize,
    /// How many bytes had been written to the connection when the last chunk had.
    end: AtomicU64,
    sent: Arc<Sent>,
}

impl Position {
    /// Whether only the client is waited for: its system has everything that this stream has sent. Bytes that wait
    /// although the connection has nothing else to do wait for room that the client has taken back.
    fn is_received(&self) -> bool {
        let waiting = self.on_their_way.load(Ordering::Relaxed) > 0;
        self.sent.has_reached(if waiting { self.sent.written() } else { self.end.load(Ordering::Relaxed) })
    }
}

/// The library drops a chunk when all of it has been written, or when the stream has ended.
impl Drop for OnItsWay {
    fn drop(&mut self) {
        self.position.end.fetch_max(self.position.sent.written(), Ordering::Relaxed);
        self.position.on_their_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Why a body was not sent to its end.
enum Broken {
    /// The client is gone or has cancelled the request.
    Gone,
    /// The stream is reset for this reason.
    Reset(Reason, &'static str),
}

/// Sends a body to its end, or resets the stream.
pub(super) async fn send(mut stream: SendStream<Chunk>, source: Source, shared: &Shared) {
    let position =
        Position { on_their_way: AtomicUsize::new(0), end: AtomicU64::new(0), sent: Arc::clone(&shared.sent) };
    let progress = Progress::new(shared.pace, 0, Instant::now());
    let mut sending = Sending { source, shared, position: Arc::new(position), total: 0, progress };
    if let Err(Broken::Reset(reason, why)) = sending.run(&mut stream).await {
        tracing::debug!(%reason, why, "a response was given up");
        stream.send_reset(reason);
    }
}

struct Sending<'a> {
    source: Source,
    shared: &'a Shared,
    position: Arc<Position>,
    /// How many bytes of the body were sent so far.
    total: u64,
    progress: Progress,
}

impl Sending<'_> {
    async fn run(&mut self, stream: &mut SendStream<Chunk>) -> Result<(), Broken> {
        let mut is_ended = false;
        while !self.source.is_over() {
            let wanted = self.source.at_hand().min(CHUNK);
            let room = self.room(stream, wanted.max(1)).await?;
            if wanted == 0 {
                // Room that waits for a slow source is taken from other streams.
                stream.reserve_capacity(0);
                self.fetch(stream).await?;
                continue;
            }
            let reserved = self.reserve(stream, room.min(wanted)).await?;
            is_ended = self.send_chunk(stream, reserved).await?;
        }
        if !is_ended {
            let end = Chunk { bytes: Bytes::new(), _on_its_way: None };
            stream.send_data(end, true).map_err(|_| Broken::Gone)?;
        }
        Ok(())
    }

    /// Waits until the client has left room for part of a body, at most `wanted` bytes.
    async fn room(&mut self, stream: &mut SendStream<Chunk>, wanted: usize) -> Result<usize, Broken> {
        stream.reserve_capacity(wanted);
        let room = stream.capacity();
        if room > 0 {
            return Ok(room);
        }
        let _waiting = self.pause()?;
        self.progress.excuse(Instant::now());
        loop {
            tokio::select! {
                biased;
                changed = poll_fn(|context| poll_room(stream, context)) => {
                    changed?;
                    let room = stream.capacity();
                    if room > 0 {
                        self.check()?;
                        return Ok(room);
                    }
                }
                () = sleep(self.shared.pace.interval()) => {
                    if self.position.is_received() { self.check()? } else { self.progress.excuse(Instant::now()) }
                }
            }
        }
    }

    /// Fails if the client leaves room for too few bytes in too long a time.
    fn check(&mut self) -> Result<(), Broken> {
        let is_in_time = self.progress.observe(self.total, Instant::now());
        if is_in_time { Ok(()) } else { Err(Broken::Reset(Reason::CANCEL, "the client takes too little of it")) }
    }

    /// Gives up what the source does not need while it waits, and accounts for the rest.
    fn pause(&mut self) -> Result<Option<Waiting>, Broken> {
        let waiting = self.source.pause(&self.shared.memory);
        waiting.map_err(|NoShare| Broken::Reset(Reason::ENHANCE_YOUR_CALM, "too many responses wait for clients"))
    }

    /// Waits for memory, which only takes as long as the connection needs for bytes that are on their way.
    async fn reserve(&mut self, stream: &mut SendStream<Chunk>, wanted: usize) -> Result<Reserved, Broken> {
        let memory = &self.shared.memory;
        if let Some(reserved) = memory.try_reserve(wanted) {
            return Ok(reserved);
        }
        let _waiting = self.pause()?;
        tokio::select! {
            reserved = memory.reserve(wanted) => Ok(reserved),
            _ = poll_fn(|context| stream.poll_reset(context)) => Err(Broken::Gone),
        }
    }

    /// Asks a source of unknown length for its next bytes.
    async fn fetch(&mut self, stream: &mut SendStream<Chunk>) -> Result<(), Broken> {
        tokio::select! {
            fetched = self.source.fetch() => fetched.map_err(|_| Broken::Reset(Reason::INTERNAL_ERROR, "it broke off")),
            _ = poll_fn(|context| stream.poll_reset(context)) => Err(Broken::Gone),
        }
    }

    /// Sends as many bytes as memory was reserved for. Returns whether they were the last ones.
    async fn send_chunk(&mut self, stream: &mut SendStream<Chunk>, mut reserved: Reserved) -> Result<bool, Broken> {
        let bytes = self.source.take(reserved.len()).await.map_err(|error| {
            tracing::error!(%error, "a download broke off");
            Broken::Reset(Reason::INTERNAL_ERROR, "it cannot be read")
        })?;
        reserved.shrink(bytes.len());
        self.total += bytes.len() as u64;
        self.position.on_their_way.fetch_add(1, Ordering::Relaxed);
        let on_its_way = Some(OnItsWay { _reserved: reserved, position: Arc::clone(&self.position) });
        let is_last = self.source.is_over();
        stream.send_data(Chunk { bytes, _on_its_way: on_its_way }, is_last).map_err(|_| Broken::Gone)?;
        Ok(is_last)
    }
}

/// Ready when there may be room, or when nothing can be sent any more.
fn poll_room(stream: &mut SendStream<Chunk>, context: &mut Context<'_>) -> Poll<Result<(), Broken>> {
    if stream.poll_reset(context).is_ready() {
        return Poll::Ready(Err(Broken::Gone));
    }
    match ready!(stream.poll_capacity(context)) {
        Some(Ok(_)) => Poll::Ready(Ok(())),
        Some(Err(_)) | None => Poll::Ready(Err(Broken::Gone)),
    }
}
