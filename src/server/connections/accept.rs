//! Accepting connections: HTTP/1.1 and cleartext HTTP/2, with bounded patience for slow clients.

use std::io;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use axum::http::Request;
use futures_util::TryFutureExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustix::io::Errno;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection_state::ConnectionState;
use super::deadline::Deadline;
use super::descriptors;
use super::direct::DirectAnswers;
use super::held::hold;
use super::http2;
use super::memory::ResponseMemory;
use super::metered::{Meter, MeteredBody, MeteredStream};
use super::progress::Pace;
use super::reserve::{Admission, Reserve, admission};
use super::seldom::seldom;
use super::sendfile::{FileStream, Outbox};
use super::table::{ConnectionTable, Peer, Slot};
use crate::config;
use crate::http::{App, ResponseFuture};
use crate::lifecycle::Shutdown;
use crate::upkeep::Health;

/// The connection preface of HTTP/2 with prior knowledge (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Buffer size per connection for reads and writes, in bytes.
const BUFFER: usize = 64 * 1024;
/// How long a connection that makes room between two requests may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(1);
/// Time limit for a request on a connection for which there is no room.
const WITHOUT_ROOM: Duration = Duration::from_secs(5);
/// Pause after a failure to accept.
const PAUSE: Duration = Duration::from_millis(20);
/// Shortest time between two log lines about failures to accept.
const LOGGED_EVERY: Duration = Duration::from_secs(5);

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
    let limit = descriptors::provide_for(config.max_connections);
    let connections = Connections {
        app,
        closing: CancellationToken::new(),
        table: Arc::new(ConnectionTable::new(config, limit)),
        reserve: Arc::default(),
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
        () = connections.table.tick() => {}
        () = draining => {}
        () = shutdown.hard.cancelled() => {}
    }
    drop(listener);
    connections.drain(config.drain_timeout.std()).await;
    Ok(())
}

#[derive(Clone)]
struct Connections {
    app: App,
    /// Cancelled when no new connections are accepted any more; closes connections that have not sent anything yet.
    closing: CancellationToken,
    table: Arc<ConnectionTable>,
    reserve: Arc<Reserve>,
    tracker: TaskTracker,
    header_timeout: Duration,
    /// How slowly clients may take responses.
    pace: Pace,
    /// The memory for responses on all connections.
    memory: Arc<ResponseMemory>,
    shutdown: Shutdown,
}

impl Connections {
    /// Accepts in an endless loop.
    async fn accept(&self, listener: &TcpListener) {
        let mut logged: Option<Instant> = None;
        loop {
            match listener.accept().await {
                Ok((stream, address)) => self.spawn(stream, address.ip()),
                Err(error) => {
                    // Out of file descriptors, or the client disconnected before it was accepted.
                    if [Errno::MFILE, Errno::NFILE].iter().any(|full| error.raw_os_error() == Some(full.raw_os_error()))
                    {
                        self.table.make_room();
                    }
                    if logged.is_none_or(|at| at.elapsed() > LOGGED_EVERY) {
                        tracing::warn!(%error, "could not accept a connection");
                        logged = Some(Instant::now());
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    fn spawn(&self, stream: TcpStream, address: IpAddr) {
        let peer = self.table.peer(address);
        let (admitted, this, hard) = (self.table.admit(peer), self.clone(), self.shutdown.hard.clone());
        self.tracker.spawn(async move {
            let serving = async {
                match admitted {
                    Some(slot) => this.serve(stream, slot).await,
                    None => this.serve_without_room(stream, peer).await,
                }
            };
            tokio::select! {
                biased;
                () = serving => {}
                () = seldom(hard.cancelled()) => {}
            }
        });
    }

    /// Serves a connection to its end, or until it has to make room.
    async fn serve(&self, stream: TcpStream, slot: Slot) {
        let state = slot.state();
        // A connection is not worth waiting for at shutdown until it has sent its first bytes.
        let http2 = tokio::select! {
            first = timeout(self.header_timeout, is_http2(&stream)) => first.ok().flatten(),
            () = self.closing.cancelled() => None,
            _ = state.evicted() => None,
        };
        let Some(http2) = http2 else { return };
        let ending = self.closing.child_token();
        let (stream, outbox) = self.open(stream, state);
        let (meter, app) = (Meter::new(state, &self.table, true, &ending), self.app.clone());
        let serving = async {
            if http2 {
                let limits = (self.header_timeout, self.pace);
                Box::pin(http2::serve(stream, app, meter, ending.clone(), limits, Arc::clone(&self.memory))).await;
            } else {
                self.serve_http1(stream, outbox, move |request| app.answer(request), meter, &ending).await;
            }
        };
        tokio::select! {
            biased;
            () = serving => {}
            () = seldom(self.leave(state, &ending, http2)) => {}
        }
    }

    fn open(&self, stream: TcpStream, state: &Arc<ConnectionState>) -> (MeteredStream, Outbox) {
        let _ = stream.set_nodelay(true);
        let outbox = Outbox::default();
        let stream = FileStream::new(stream, outbox.clone(), self.pace);
        (MeteredStream::new(stream, Arc::clone(state), self.app.clone()), outbox)
    }

    /// Completes when the connection has to make room although it has not finished.
    async fn leave(&self, state: &ConnectionState, ending: &CancellationToken, http2: bool) {
        let busy = state.evicted().await;
        if http2 || !busy {
            ending.cancel();
            tokio::time::sleep(GOODBYE).await;
        }
        state.cut();
    }

    /// Serves HTTP/1.1 until the connection ends, or `ending` lets the request under way finish.
    async fn serve_http1(
        &self,
        mut stream: MeteredStream,
        outbox: Outbox,
        answer: impl Answer,
        meter: Meter,
        ending: &CancellationToken,
    ) {
        let deadline = Deadline::new(meter.state());
        let mut interrupted = pin!(seldom(self.interrupted(&deadline, ending)));
        if meter.keeps_alive() {
            stream.answer_directly(DirectAnswers::new(self.app.clone(), deadline.clone(), self.header_timeout));
            if !self.serve_directly(&mut stream, &deadline, interrupted.as_mut()).await {
                return;
            }
        }
        let mut builder = http1::Builder::new();
        builder.timer(deadline.clone()).header_read_timeout(self.header_timeout).max_buf_size(BUFFER);
        builder.keep_alive(meter.keeps_alive());
        let service = service_fn(|request| {
            let (request, unanswered) = meter.begin(request);
            let (outbox, memory) = (outbox.clone(), Arc::clone(&self.memory));
            answer(request).map_ok(move |response| {
                drop(unanswered);
                outbox.take(hold(&memory, response))
            })
        });
        // Apart, so that the state of a connection without the library is close together.
        let mut connection = Box::pin(builder.serve_connection(TokioIo::new(stream), service));
        tokio::select! {
            biased;
            result = &mut connection => return note(result),
            interruption = interrupted => if matches!(interruption, Interruption::Silence) { return },
        }
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            biased;
            result = connection => note(result),
            () = deadline.passed(self.header_timeout) => {}
        }
    }

    /// Serves HTTP/1.1 without the library until the connection ends, or something comes that is for the library. Returns
    /// whether that is so.
    async fn serve_directly(
        &self,
        stream: &mut MeteredStream,
        deadline: &Deadline,
        interrupted: Pin<&mut impl Future<Output = Interruption>>,
    ) -> bool {
        deadline.wait(self.header_timeout);
        let interruption = tokio::select! {
            biased;
            more = stream.receive_unanswered() => return more.unwrap_or(false),
            interruption = interrupted => interruption,
        };
        if matches!(interruption, Interruption::Ending) {
            tokio::select! {
                biased;
                _ = stream.shutdown() => {}
                () = deadline.passed(self.header_timeout) => {}
            }
        }
        false
    }

    /// Completes when no request came in time, or the connection is to end after the request under way.
    async fn interrupted(&self, deadline: &Deadline, ending: &CancellationToken) -> Interruption {
        tokio::select! {
            biased;
            () = deadline.passed(self.header_timeout) => {
                tracing::debug!("a connection was closed on which no request came");
                Interruption::Silence
            }
            () = ending.cancelled() => Interruption::Ending,
        }
    }

    /// Waits for room. Without any, answers a health check and refuses all else.
    async fn serve_without_room(&self, stream: TcpStream, peer: Peer) {
        let waiter = self.reserve.enter(peer.client());
        let admission = tokio::select! {
            admission = admission(&stream, &self.table, peer) => admission,
            () = waiter.displaced() => return,
            () = self.closing.cancelled() => return,
        };
        let health_check = match admission {
            Admission::Room(slot) => {
                drop(waiter);
                return self.serve(stream, slot).await;
            }
            Admission::HealthCheck => true,
            Admission::Refused => false,
            Admission::Gone => return,
        };
        if !health_check {
            metrics::counter!("larder_connections_refused_total").increment(1);
        }
        let app = self.app.clone();
        let answer = move |request| if health_check { app.answer(request) } else { app.refuse_busy(&request) };
        tokio::select! {
            () = self.serve_once(stream, peer, answer) => {}
            () = waiter.displaced() => {}
        }
    }

    /// Serves one request on a connection for which there is no room.
    async fn serve_once(&self, stream: TcpStream, peer: Peer, answer: impl Answer) {
        let state = self.table.state(peer);
        let (stream, outbox) = self.open(stream, &state);
        let meter = Meter::new(&state, &self.table, false, &self.closing);
        let serving = self.serve_http1(stream, outbox, answer, meter, &self.closing);
        let _ = timeout(WITHOUT_ROOM, serving).await;
    }

    async fn drain(self, limit: Duration) {
        self.tracker.close();
        self.closing.cancel();
        tokio::select! {
            () = self.tracker.wait() => {}
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

/// Why a connection is not served any longer.
enum Interruption {
    /// No request came in time.
    Silence,
    /// It is to end after the request under way.
    Ending,
}

/// Answers requests of one connection.
trait Answer: Fn(Request<MeteredBody<Incoming>>) -> ResponseFuture {}

impl<F: Fn(Request<MeteredBody<Incoming>>) -> ResponseFuture> Answer for F {}

fn note(result: hyper::Result<()>) {
    if let Err(error) = result {
        tracing::debug!(%error, "a connection ended");
    }
}
