//! Mapping of errors in HTTP mechanics to responses.

use axum::http::{StatusCode, header};

use super::ApiError;
use super::services::sentence;
use crate::http::rfc::body::BodyError;
use crate::http::rfc::conditional::MalformedTags;
use crate::http::rfc::digests::StatedDigestError;
use crate::http::rfc::framing::HeadError;
use crate::shares::RoomError;
use crate::wire::Code;

impl From<MalformedTags> for ApiError {
    fn from(error: MalformedTags) -> Self {
        Self::bad_request(Code::PreconditionInvalid, format!("{error}."))
    }
}

impl From<StatedDigestError> for ApiError {
    fn from(error: StatedDigestError) -> Self {
        let answer = Self::bad_request(Code::DigestInvalid, format!("{error}."));
        match error {
            StatedDigestError::Malformed(_) => answer,
            StatedDigestError::Contradicts { expected, .. } => answer.with("expected", expected.to_string()),
        }
    }
}

impl From<HeadError> for ApiError {
    fn from(error: HeadError) -> Self {
        let (status, code) = match error {
            HeadError::UnknownCoding => (StatusCode::NOT_IMPLEMENTED, Code::Unsupported),
            HeadError::LongTarget => (StatusCode::URI_TOO_LONG, Code::SizeInvalid),
            HeadError::TooLarge => (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, Code::SizeInvalid),
            HeadError::NoHost
            | HeadError::Repeated(_)
            | HeadError::BadHost
            | HeadError::TwoHosts
            | HeadError::ChunkedTwice
            | HeadError::Malformed => (StatusCode::BAD_REQUEST, Code::RequestInvalid),
        };
        // Where the head is not certain, neither is where the next request begins.
        Self::new(status, code, sentence(&error.to_string())).header(header::CONNECTION, "close")
    }
}

impl From<BodyError> for ApiError {
    fn from(error: BodyError) -> Self {
        let detail = sentence(&error.to_string());
        match error {
            BodyError::TooLarge { limit } => Self::too_large(limit),
            // The connection cannot be reused: the rest of the body may still be in flight.
            BodyError::Paused | BodyError::Trickled | BodyError::Late => {
                Self::new(StatusCode::REQUEST_TIMEOUT, Code::Timeout, detail).header(header::CONNECTION, "close")
            }
            BodyError::Broken => Self::bad_request(Code::SizeInvalid, detail),
            BodyError::Coded => Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::Unsupported, detail)
                .header(header::ACCEPT_ENCODING, "identity"),
            BodyError::Partial => Self::bad_request(Code::RangeInvalid, detail),
        }
    }
}

impl From<RoomError> for ApiError {
    fn from(error: RoomError) -> Self {
        match error {
            RoomError::Busy => Self::busy(),
            RoomError::TooSlow => Self::slow_while_others_wait(),
        }
    }
}
