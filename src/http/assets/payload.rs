//! The file in a request body: the body itself, or the only part of a form (RFC 7578).
//!
//! Either way it is handed on as it arrives. Of a form no more than two frames of the body are held in memory, and of the
//! head of its part no more than [`MAX_HEAD`] bytes and one frame.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderMap};
use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use futures_util::stream;
use tokio::sync::Notify;
use tokio::task::yield_now;
use tokio::time::timeout;

use crate::access::Caller;
use crate::http::error::ApiError;
use crate::http::rfc::body::{Arrival, BodyError, RequestBody, check_headers};
use crate::http::state::AppState;
use crate::shares::{Grant, Owner};
use crate::wire::Code;

/// Longest boundary (RFC 2046 section 5.1.1).
const MAX_BOUNDARY: usize = 70;
/// Most bytes before the content of the part.
const MAX_HEAD: u64 = 64 << 10;
/// What a form may have besides the file, in bytes.
const AROUND: u64 = 1 << 20;
/// Time limit for receiving a file that is held in memory.
const HELD_FOR: Duration = Duration::from_secs(120);

/// The file in a request body.
pub(super) enum Payload {
    /// The body is the file.
    Raw(RequestBody),
    /// The body is a form with one part.
    Form(Box<Form>),
}

/// A form of which the content of the only part is read.
pub(super) struct Form {
    /// `None` once all of it was read.
    rest: Option<multer::Multipart<'static>>,
    part: Option<multer::Field<'static>>,
    signals: Arc<Signals>,
    left: u64,
    limit: u64,
}

/// What the reader of the frames and the reader of the form tell each other.
#[derive(Default)]
struct Signals {
    slow: Notify,
    in_part: AtomicBool,
}

/// Why no more frames are read.
#[derive(Debug, thiserror::Error)]
enum FrameError {
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error("the head of the part is too long")]
    Head,
}

impl Payload {
    /// The file in a body, of at most `limit` bytes. Looks at the headers only: a client that waits for `100 Continue` is
    /// told nothing yet.
    pub(super) fn new(state: &AppState, headers: &HeaderMap, body: Body, limit: u64) -> Result<Self, ApiError> {
        let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("multipart/form-data") {
            check_headers(headers, limit)?;
            return Ok(Self::Raw(RequestBody::new(body, state.timeouts.body(limit))));
        }
        let boundary =
            multer::parse_boundary(content_type).ok().filter(|boundary| (1..=MAX_BOUNDARY).contains(&boundary.len()));
        let Some(boundary) = boundary else {
            let detail = "A form needs a boundary of 1 to 70 characters in its Content-Type.";
            return Err(ApiError::bad_request(Code::RequestInvalid, detail));
        };
        let whole = limit.saturating_add(AROUND);
        check_headers(headers, whole)?;
        let (signals, body) = (Arc::<Signals>::default(), RequestBody::new(body, state.timeouts.body(whole)));
        let form = multer::Multipart::new(frames(body, Arc::clone(&signals)), boundary);
        Ok(Self::Form(Box::new(Form { rest: Some(form), part: None, signals, left: limit, limit })))
    }

    /// The next bytes of the file, or that they come slowly; `None` at its end, when nothing but the file was in the body.
    pub(super) async fn next(&mut self) -> Result<Option<Arrival>, ApiError> {
        match self {
            Self::Raw(body) => Ok(body.next().await?),
            Self::Form(form) => form.next().await,
        }
    }

    /// The whole file, and the memory that it takes until it is dropped.
    pub(super) async fn hold(
        mut self,
        state: &AppState,
        caller: &Caller,
        limit: u64,
    ) -> Result<(Bytes, Option<Grant>), ApiError> {
        let mut room = state.memory.manifests.room(Owner::new(caller.subject()));
        let whole = usize::try_from(limit).unwrap_or(usize::MAX);
        let collect = async {
            let mut all = BytesMut::new();
            while let Some(arrival) = self.next().await? {
                if let Arrival::Bytes(bytes) = arrival {
                    room.grow(all.len() + bytes.len(), whole).await?;
                    all.extend_from_slice(&bytes);
                }
                room.check(all.len())?;
            }
            Ok::<_, ApiError>(all.freeze())
        };
        let bytes = timeout(HELD_FOR, collect).await.map_err(|_| BodyError::Late)??;
        Ok((bytes, room.take()))
    }
}

impl Form {
    async fn next(&mut self) -> Result<Option<Arrival>, ApiError> {
        let Some(form) = &mut self.rest else { return Ok(None) };
        if self.part.is_none() {
            let none =
                || ApiError::bad_request(Code::RequestInvalid, "The form has no part; send the file as its only one.");
            let part = form.next_field().await.map_err(refusal)?.ok_or_else(none)?;
            check_encoding(&part)?;
            self.signals.in_part.store(true, Ordering::Relaxed);
            self.part = Some(part);
        }
        let Some(part) = &mut self.part else { return Ok(None) };
        let chunk = tokio::select! {
            biased;
            () = self.signals.slow.notified() => return Ok(Some(Arrival::Slow)),
            chunk = part.chunk() => chunk.map_err(refusal)?,
        };
        if let Some(bytes) = chunk {
            let left = self.left.checked_sub(bytes.len() as u64);
            self.left = left.ok_or(BodyError::TooLarge { limit: self.limit })?;
            return Ok(Some(Arrival::Bytes(bytes)));
        }
        self.part = None;
        self.signals.in_part.store(false, Ordering::Relaxed);
        // The end of the form, too: of a form that was cut off the last part may look complete.
        if form.next_field().await.map_err(refusal)?.is_some() {
            let detail = "The form has several parts; send one file in a request.";
            return Err(ApiError::bad_request(Code::RequestInvalid, detail));
        }
        self.rest = None;
        Ok(None)
    }
}

/// The frames of a body. Pauses after each: the reader of forms would otherwise go on until none is there, and hold them
/// all.
fn frames(body: RequestBody, signals: Arc<Signals>) -> impl Stream<Item = Result<Bytes, FrameError>> + Send {
    stream::unfold((body, 0), move |(mut body, outside)| {
        let signals = Arc::clone(&signals);
        async move {
            yield_now().await;
            let in_part = signals.in_part.load(Ordering::Relaxed);
            if !in_part && outside > MAX_HEAD {
                return Some((Err(FrameError::Head), (body, outside)));
            }
            loop {
                match body.next().await {
                    Ok(Some(Arrival::Slow)) => signals.slow.notify_one(),
                    Ok(Some(Arrival::Bytes(bytes))) => {
                        let outside = if in_part { outside } else { outside + bytes.len() as u64 };
                        return Some((Ok(bytes), (body, outside)));
                    }
                    Ok(None) => return None,
                    Err(error) => return Some((Err(error.into()), (body, outside))),
                }
            }
        }
    })
}

/// Refuses codings of a part (RFC 7578 section 4.7 deprecates them): its bytes are stored as they are.
fn check_encoding(part: &multer::Field<'_>) -> Result<(), ApiError> {
    let Some(coding) = part.headers().get("content-transfer-encoding") else { return Ok(()) };
    if ["binary", "8bit", "7bit"].iter().any(|plain| coding.as_bytes().eq_ignore_ascii_case(plain.as_bytes())) {
        return Ok(());
    }
    let detail = "Send the part without a Content-Transfer-Encoding: its bytes are stored as they are.";
    Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::Unsupported, detail))
}

fn refusal(error: multer::Error) -> ApiError {
    let (code, detail) = match error {
        multer::Error::StreamReadFailed(error) => match error.downcast::<FrameError>() {
            Ok(error) => match *error {
                FrameError::Body(error) => return error.into(),
                FrameError::Head => {
                    (Code::SizeInvalid, "The part of the form has too long a head; send the file alone.")
                }
            },
            Err(error) => return ApiError::internal(error),
        },
        multer::Error::IncompleteFieldData { .. }
        | multer::Error::IncompleteHeaders
        | multer::Error::IncompleteStream => {
            (Code::SizeInvalid, "The form ended before its closing boundary; nothing was stored.")
        }
        error => {
            tracing::debug!(%error, "a form cannot be read");
            (Code::RequestInvalid, "The form cannot be read (RFC 7578); send the file as its only part.")
        }
    };
    ApiError::bad_request(code, detail)
}
