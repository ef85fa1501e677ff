//! Accepting connections: HTTP/1.1 and cleartext HTTP/2, with bounded patience for slow clients.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryFutureExt as _;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::deadline::Deadline;
use super::held::hold;
use super::http2;
use super::memory::ResponseMemory;
use super::progress::Pace;
use super::sendfile::{FileStream, Outbox};
use crate::config;
use crate::http::App;
use crate::lifecycle::Shutdown;
use crate::upkeep::Health;

/// The connection preface of HTTP/2 with prior knowledge (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Buffer size per connection for reads and writes, in bytes.
const BUFFER: usize = 64 * 1024;

/// Accepts connections until shutdown is requested, then lets those in progress finish within the drain time-out.
///
/// # Errors
/// Only when the listener has failed permanently.
pub(in crate::server) async fn serve(
    listener: TcpListener,
    app: App,
    (config, memory): (&config::Server, ResponseMemory),
    health: &Health,
    shutdown: &Shutdown,
) -> io::Result<()> {
    let connections = Connections {
        app,
        graceful: GracefulShutdown::new(),
        closing: CancellationToken::new(),
        places: Arc::new(Semaphore::new(config.max_connections)),
        tracker: TaskTracker::new(),
        header_timeout: config.header_timeout.std(),
        pace: Pace { idle: config.idle_timeout.std(), min_rate: config.min_rate.bytes() },
        memory: Arc::new(memory),
        shutdown: shutdown.clone(),
    };
    tracing::info!(address = %listener.local_addr()?, "listening");
    let draining = async {
        shutdown.soft.cancelled().await;
        health.drain();
        tokio::time::sleep(config.drain_delay.std()).await;
    };
    tokio::select! {
        () = connections.accept(&listener) => {}
        () = draining => {}
        () = shutdown.hard.cancelled() => {}
    }
    drop(listener);
    connections.drain(config.drain_timeout.std()).await;
    Ok(())
}

struct Connections {
    app: App,
    graceful: GracefulShutdown,
    /// Cancelled when no new connections are accepted any more; closes connections that have not sent anything yet.
    closing: CancellationToken,
    places: Arc<Semaphore>,
    tracker: TaskTracker,
    header_timeout: Duration,
    /// How slowly clients may take responses.
    pace: Pace,
    /// The memory for responses on all connections.
    memory: Arc<ResponseMemory>,
    shutdown: Shutdown,
}

impl Connections {
    /// Accepts in an endless loop. While the connection limit is reached, clients wait in the listener's backlog.
    async fn accept(&self, listener: &TcpListener) {
        loop {
            let Ok(place) = Arc::clone(&self.places).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => self.spawn(stream, place),
                Err(error) => {
                    // Out of file descriptors, or the client disconnected before it was accepted.
                    tracing::warn!(%error, "could not accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    fn spawn(&self, stream: TcpStream, place: tokio::sync::OwnedSemaphorePermit) {
        let (app, watcher) = (self.app.clone(), self.graceful.watcher());
        let (header_timeout, reading, memory) = (self.header_timeout, self.pace, Arc::clone(&self.memory));
        let (closing, hard) = (self.closing.clone(), self.shutdown.hard.clone());
        self.tracker.spawn(async move {
            let _place = place;
            // A connection is not worth waiting for at shutdown until it has sent its first bytes.
            let http2 = tokio::select! {
                first = tokio::time::timeout(header_timeout, is_http2(&stream)) => first.ok().flatten(),
                () = closing.cancelled() => None,
            };
            let Some(http2) = http2 else { return };
            let _ = stream.set_nodelay(true);
            let outbox = Outbox::default();
            let stream = FileStream::new(stream, outbox.clone(), reading);
            let serving = async {
                if http2 {
                    // Is told to finish by `closing`.
                    drop(watcher);
                    http2::serve(stream, app, closing, (header_timeout, reading), memory).await;
                } else {
                    serve_http1(TokioIo::new(stream), outbox, memory, app, watcher, header_timeout).await;
                }
            };
            tokio::select! {
                biased;
                () = serving => {}
                () = hard.cancelled() => {}
            }
        });
    }

    async fn drain(self, limit: Duration) {
        self.tracker.close();
        self.closing.cancel();
        let finished = async {
            self.graceful.shutdown().await;
            self.tracker.wait().await;
        };
        tokio::select! {
            () = finished => {}
            () = tokio::time::sleep(limit) => {
                tracing::warn!("some requests did not finish in time and are cut off");
                self.shutdown.hard.cancel();
            }
            () = self.shutdown.hard.cancelled() => {}
        }
        self.tracker.wait().await;
    }
}

/// Peeks at the first bytes without consuming them. `None` when the client disconnected. Done here because the
/// library's automatic detection would wait for them without a limit.
async fn is_http2(stream: &TcpStream) -> Option<bool> {
    let mut seen = [0; PREFACE.len()];
    let mut pause = Duration::from_millis(5);
    loop {
        let length = stream.peek(&mut seen).await.ok().filter(|length| *length > 0)?;
        if !PREFACE.starts_with(&seen[..length]) {
            return Some(false);
        }
        if length == PREFACE.len() {
            return Some(true);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(200));
    }
}

/// A client connection in the form that hyper reads and writes.
type Stream = TokioIo<FileStream>;

async fn serve_http1(
    stream: Stream,
    outbox: Outbox,
    memory: Arc<ResponseMemory>,
    app: App,
    watcher: Watcher,
    header_timeout: Duration,
) {
    let deadline = Deadline::default();
    let mut builder = http1::Builder::new();
    builder.timer(deadline.clone()).header_read_timeout(header_timeout).max_buf_size(BUFFER);
    let service = service_fn(move |request| {
        let (outbox, memory) = (outbox.clone(), Arc::clone(&memory));
        app.answer(request).map_ok(move |response| outbox.take(hold(&memory, response)))
    });
    tokio::select! {
        biased;
        result = watcher.watch(builder.serve_connection(stream, service)) => note(result),
        () = deadline.passed(header_timeout) => tracing::debug!("a connection was closed on which no request came"),
    }
}

fn note(result: hyper::Result<()>) {
    if let Err(error) = result {
        tracing::debug!(%error, "a connection ended");
    }
}
