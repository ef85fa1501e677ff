//! Request bodies that nobody has read when the response is ready.
//!
//! Most clients look for a response only after they have sent everything. If their connection were closed before that,
//! they would report a broken connection instead of the response. So the rest of such a body is read and discarded,
//! within bounds. The response does not wait for that: a client that listens while it sends gets it at once.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::header::{CONNECTION, EXPECT, HeaderValue};
use axum::http::{Request, Response, StatusCode, Version};
use http_body_util::BodyExt as _;
use hyper::body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Most bytes that are discarded of one body.
const MOST: usize = 256 << 20;
/// Time limit for discarding one body: as long as a client may take for the head of a request.
const WITHIN: Duration = Duration::from_secs(30);
/// Longest pause of a client whose body is discarded.
const PAUSE: Duration = Duration::from_secs(5);
/// Bodies that are discarded at once, over all connections. Further ones are not read at all.
const AT_ONCE: usize = 128;

/// Discards unread bodies, a limited number at once.
#[derive(Debug, Clone)]
pub(in crate::http) struct Discards(Arc<Semaphore>);

/// What a handler left of a body.
struct Rest {
    body: Body,
    /// Whether the handler began to read, which tells a client that waits for `100 Continue` to send the body.
    asked: bool,
}

type Slot = Arc<Mutex<Option<Rest>>>;

/// A request body that puts what is left of it aside when it is dropped.
struct WatchedBody {
    /// `None` once the body has ended or failed.
    body: Option<Body>,
    asked: bool,
    slot: Slot,
}

/// What has to be known of a request to deal with the rest of its body once there is a response.
pub(in crate::http) struct UnreadBody {
    slot: Slot,
    discards: Discards,
    /// The client may be waiting for `100 Continue` (RFC 9110 section 10.1.1).
    expects: bool,
    /// Whether a response can announce the end of the connection.
    http1: bool,
}

impl Discards {
    pub(in crate::http) fn new() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }

    /// Watches the body of a request; `None` if it has none.
    pub(in crate::http) fn watch<B>(&self, request: Request<B>) -> (Request<Body>, Option<UnreadBody>)
    where
        B: HttpBody<Data = Bytes, Error: Into<axum::BoxError>> + Send + 'static,
    {
        if request.body().is_end_stream() {
            return (request.map(Body::new), None);
        }
        let slot = Slot::default();
        let unread = UnreadBody {
            slot: Arc::clone(&slot),
            discards: self.clone(),
            expects: request.headers().contains_key(EXPECT),
            http1: request.version() <= Version::HTTP_11,
        };
        let watched = |body| Body::new(WatchedBody { body: Some(Body::new(body)), asked: false, slot });
        (request.map(watched), Some(unread))
    }
}

impl UnreadBody {
    /// Discards in the background what the handler of this response has not read. The connection is closed instead if
    /// the client was never asked for the body, if it was too slow already, or if too many bodies are being discarded.
    pub(in crate::http) fn settle<B>(self, response: &mut Response<B>) {
        let Some(Rest { body, asked }) = lock(&self.slot).take() else { return };
        let wanted = (asked || !self.expects) && response.status() != StatusCode::REQUEST_TIMEOUT;
        let place = if wanted { Arc::clone(&self.discards.0).try_acquire_owned().ok() } else { None };
        if let Some(place) = place {
            tokio::spawn(discard(body, place));
        } else if self.http1 {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }
}

async fn discard(mut body: Body, _place: OwnedSemaphorePermit) {
    let mut left = MOST;
    let rest = async {
        while let Ok(Some(Ok(frame))) = timeout(PAUSE, body.frame()).await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                return;
            }
        }
    };
    let _ = timeout(WITHIN, rest).await;
}

fn lock(slot: &Slot) -> MutexGuard<'_, Option<Rest>> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

impl HttpBody for WatchedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.asked = true;
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(body).poll_frame(context));
        if !matches!(frame, Some(Ok(_))) {
            self.body = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for WatchedBody {
    fn drop(&mut self) {
        if let Some(body) = self.body.take().filter(|body| !body.is_end_stream()) {
            *lock(&self.slot) = Some(Rest { body, asked: self.asked });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::{StreamExt as _, stream};

    use super::*;

    /// A request whose body has `frames` frames of 1 MiB, and the number of those that were read.
    fn request(frames: usize, expects: bool) -> (Request<Body>, Arc<AtomicUsize>) {
        let read = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&read);
        let body = stream::iter(0..frames).map(move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
            Ok::<_, std::io::Error>(Bytes::from(vec![0; 1 << 20]))
        });
        let request = Request::builder();
        let request = if expects { request.header(EXPECT, "100-continue") } else { request };
        (request.body(Body::from_stream(body)).unwrap(), read)
    }

    fn closes<B>(response: &Response<B>) -> bool {
        response.headers().contains_key(CONNECTION)
    }

    async fn settled(discards: &Discards) {
        while discards.0.available_permits() < AT_ONCE {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn what_a_handler_leaves_is_read_up_to_a_bound() {
        let discards = Discards::new();
        for (frames, read_by_handler, read) in [(3, 0, 3), (3, 2, 3), (3, 3, 3), (1000, 0, 256), (1000, 5, 261)] {
            let (request, counter) = request(frames, false);
            let (request, unread) = discards.watch(request);
            let mut body = request.into_body();
            for _ in 0..read_by_handler {
                body.frame().await.unwrap().unwrap();
            }
            drop(body);
            let mut response = Response::new(());
            unread.unwrap().settle(&mut response);
            settled(&discards).await;
            assert_eq!(counter.load(Ordering::Relaxed), read, "{frames} frames, {read_by_handler} of them read");
            assert!(!closes(&response));
        }
    }

    #[tokio::test]
    async fn a_body_that_was_never_asked_for_is_not_read() {
        let discards = Discards::new();
        for (asked, status, read) in [(false, 401, 0), (true, 413, 3), (true, 408, 1)] {
            let (request, counter) = request(3, true);
            let (request, unread) = discards.watch(request);
            let mut body = request.into_body();
            if asked {
                body.frame().await.unwrap().unwrap();
            }
            drop(body);
            let mut response = Response::builder().status(status).body(()).unwrap();
            unread.unwrap().settle(&mut response);
            settled(&discards).await;
            assert_eq!((counter.load(Ordering::Relaxed), closes(&response)), (read, read < 3), "{status}");
        }
    }

    #[tokio::test]
    async fn all_connections_together_hold_a_bounded_number_of_unread_bodies() {
        let discards = Discards::new();
        let endless = || Request::new(Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>()));
        let refused = |_| {
            let (request, unread) = discards.watch(endless());
            drop(request);
            let mut response = Response::new(());
            unread.unwrap().settle(&mut response);
            closes(&response)
        };
        let closed: Vec<bool> = (0..AT_ONCE + 2).map(refused).collect();
        assert_eq!(closed.iter().position(|closed| *closed), Some(AT_ONCE));
    }
}
