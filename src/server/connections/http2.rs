//! Serving HTTP/2 with prior knowledge.
//!
//! The framing library is used directly, because what lies above it asks a response for bytes before the client has
//! left room for them: 32 streams for which a client never makes room would hold 32 buffers and files. Here a response
//! holds nothing but its own description until there is room (see [`mod@send`]), and each stream has limits of its own.

mod request;
mod send;
mod source;

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONNECTION, CONTENT_LENGTH, DATE, HeaderMap, HeaderValue, TRANSFER_ENCODING, UPGRADE};
use axum::http::{Request, Response};
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::activity::Activity;
use super::memory::{ConnectionMemory, ResponseMemory};
use super::metered::{Meter, MeteredStream};
use super::progress::Pace;
use super::sent::Sent;
use crate::clock::{Clock as _, SystemClock};
use crate::http::App;
use request::ReceivedBody;
use send::{Chunk, send};
use source::Source;

/// Maximum number of concurrent requests on one connection.
const STREAMS: u32 = 32;
/// Most bytes of request bodies that a client may send before a handler reads them, on one connection.
const REQUEST_WINDOW: u32 = 256 * 1024;
/// Largest head of a request, in bytes as RFC 9113 section 10.5.1 counts them.
const HEAD: u32 = 32 * 1024;
/// More than may ever be on their way on one stream: what limits them is [`ConnectionMemory`].
const SEND_BUFFER: usize = 1 << 20;

/// What the streams of one connection share.
#[derive(Debug)]
struct Shared {
    app: App,
    meter: Meter,
    pace: Pace,
    sent: Arc<Sent>,
    memory: Arc<ConnectionMemory>,
    activity: Activity,
}

/// Serves a connection until it ends, has been idle for too long, or `closing` lets the requests under way finish.
pub(super) async fn serve(
    stream: MeteredStream,
    app: App,
    meter: Meter,
    closing: CancellationToken,
    (handshake_timeout, pace): (Duration, Pace),
    memory: Arc<ResponseMemory>,
) {
    let memory = Arc::new(ConnectionMemory::new(memory));
    let shared = Arc::new(Shared { app, meter, pace, sent: stream.sent(), memory, activity: Activity::new() });
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(STREAMS)
        .initial_window_size(REQUEST_WINDOW)
        .initial_connection_window_size(REQUEST_WINDOW)
        .max_header_list_size(HEAD)
        .max_send_buffer_size(SEND_BUFFER);
    let Ok(Ok(mut connection)) = timeout(handshake_timeout, builder.handshake::<_, Chunk>(stream)).await else {
        tracing::debug!("a connection ended before it began");
        return;
    };
    let mut idle = pin!(shared.activity.idle(pace, &shared.sent));
    let mut closed = pin!(closing.cancelled());
    let mut is_closing = false;
    loop {
        tokio::select! {
            accepted = connection.accept() => match accepted {
                Some(Ok((request, respond))) => {
                    tokio::spawn(answer(request, respond, Arc::clone(&shared)));
                }
                Some(Err(error)) => return tracing::debug!(%error, "a connection ended"),
                None => return shared.sent.settled(pace).await,
            },
            () = &mut closed, if !is_closing => {
                is_closing = true;
                connection.graceful_shutdown();
            }
            () = &mut idle => return tracing::debug!("an idle connection was closed"),
        }
    }
}

/// Answers one request.
async fn answer(request: Request<RecvStream>, mut respond: SendResponse<Chunk>, shared: Arc<Shared>) {
    let _under_way = shared.activity.begin();
    let (request, unanswered) = shared.meter.begin(request.map(ReceivedBody::new));
    let answering = shared.app.answer(request);
    let response = tokio::select! {
        biased;
        response = answering => response.unwrap_or_else(|never: Infallible| match never {}),
        // The client has cancelled the request, or is gone.
        _ = poll_fn(|context| respond.poll_reset(context)) => return,
    };
    drop(unanswered);
    let (response, source) = head_and_source(response);
    let is_whole = source.is_over();
    let sending = match respond.send_response(response, is_whole) {
        Ok(sending) => sending,
        Err(error) => {
            tracing::debug!(%error, "a response was not sent");
            return respond.send_reset(Reason::INTERNAL_ERROR);
        }
    };
    if !is_whole {
        send(sending, source, &shared).await;
    }
}

/// Separates the head of a response from where its body comes from, and completes it.
fn head_and_source(response: Response<Body>) -> (Response<()>, Source) {
    let (mut head, body) = response.into_parts();
    let source = Source::new(&mut head.extensions, body);
    if let Some(length) = source.length().filter(|_| !source.is_over()) {
        head.headers.entry(CONTENT_LENGTH).or_insert_with(|| HeaderValue::from(length));
    }
    strip(&mut head.headers);
    if let Ok(date) = HeaderValue::try_from(httpdate::fmt_http_date(SystemClock.now().into())) {
        head.headers.insert(DATE, date);
    }
    (Response::from_parts(head, ()), source)
}

/// Removes what concerns a connection of HTTP/1.1 and is an error here (RFC 9113 section 8.2.2).
fn strip(headers: &mut HeaderMap) {
    for name in [CONNECTION, TRANSFER_ENCODING, UPGRADE] {
        headers.remove(name);
    }
    for name in ["keep-alive", "proxy-connection"] {
        headers.remove(name);
    }
}
