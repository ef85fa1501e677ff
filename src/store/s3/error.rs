//! Classifies error responses of the engine, or missing ones: the error for the caller, and whether to retry.

use std::time::{Duration, SystemTime};

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ConnectorError, ProvideErrorMetadata, SdkError};

use super::super::{StoreError, StoreErrorKind};

/// Reasons for a failure that the backend handles itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// There is no object under the key.
    Absent,
    /// The precondition failed: the key is taken, or the object has changed.
    Precondition,
    /// The range does not start within the object.
    Range,
    /// The multipart upload does not exist, or no longer does.
    NoUpload,
    /// A part is not the one that was written.
    BadPart,
    /// The engine does not support the request.
    Unsupported,
    /// Any other reason.
    Other,
}

/// A failed attempt.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) reason: Reason,
    pub(super) kind: StoreErrorKind,
    /// Whether a retry may succeed.
    pub(super) again: bool,
    /// Whether the attempt may have taken effect despite the failure.
    pub(super) unsure: bool,
    /// How long the engine asks us to wait before retrying.
    pub(super) wait: Option<Duration>,
    text: String,
}

impl Failure {
    /// No response in time.
    pub(super) fn timed_out(after: Duration) -> Self {
        Self::broken(format!("no answer within {}", humantime::format_duration(after)))
    }

    /// No response, or an unintelligible one.
    pub(super) fn broken(text: impl Into<String>) -> Self {
        Self::new(Reason::Other, StoreErrorKind::Unavailable, text).again().unsure()
    }

    pub(super) fn new(reason: Reason, kind: StoreErrorKind, text: impl Into<String>) -> Self {
        Self { reason, kind, again: false, unsure: false, wait: None, text: text.into() }
    }

    fn again(self) -> Self {
        Self { again: true, ..self }
    }

    fn unsure(self) -> Self {
        Self { unsure: true, ..self }
    }

    /// Appends a hint about what to do.
    pub(super) fn advise(self, advice: &str) -> Self {
        Self { text: format!("{} ({advice})", self.text), ..self }
    }

    /// Converts to the error that the store's caller gets.
    pub(super) fn about(self, key: impl std::fmt::Display) -> StoreError {
        StoreError::new(self.kind, key, self.text)
    }
}

impl<E> From<SdkError<E, HttpResponse>> for Failure
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    fn from(error: SdkError<E, HttpResponse>) -> Self {
        match &error {
            SdkError::ServiceError(service) => {
                let (code, message) = (service.err().code(), service.err().message());
                of_answer(service.raw(), code.unwrap_or_default(), message.unwrap_or_default())
            }
            SdkError::ConstructionFailure(_) => Self::new(Reason::Other, StoreErrorKind::Internal, chain(&error)),
            SdkError::DispatchFailure(failure) if failure.as_connector_error().is_some_and(ConnectorError::is_user) => {
                Self::new(Reason::Other, StoreErrorKind::Internal, chain(&error))
            }
            SdkError::DispatchFailure(failure) if failure.as_connector_error().is_none_or(ConnectorError::is_other) => {
                of_other(chain(&error))
            }
            SdkError::ResponseError(response) if response.raw().status().as_u16() >= 400 => {
                of_answer(response.raw(), "", "")
            }
            _ => Self::broken(chain(&error)),
        }
    }
}

fn chain<E: std::error::Error>(error: &E) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}

/// The request was not sent, or the SDK itself failed. This includes missing credentials.
fn of_other(text: String) -> Failure {
    let lower = text.to_ascii_lowercase();
    if lower.contains("credential") || lower.contains("identity") {
        let text = format!("there are no credentials that can be used: {text}");
        return Failure::new(Reason::Other, StoreErrorKind::Denied, text);
    }
    Failure::broken(text)
}

/// Classifies a response by its status and error code; engines differ in both.
fn of_answer(response: &HttpResponse, code: &str, message: &str) -> Failure {
    use StoreErrorKind::{Denied, Full, Internal, Unavailable};
    let status = response.status().as_u16();
    let text = match (code, message) {
        ("", _) => format!("the engine answered {status}"),
        (code, "") => format!("the engine answered {status} {code}"),
        (code, message) => format!("the engine answered {status} {code}: {message}"),
    };
    let failure = |reason, kind| Failure::new(reason, kind, text.clone());
    let wait = retry_after(response);
    match (status, code) {
        (_, "NoSuchBucket") => failure(Reason::Other, Denied).advise("create the bucket, or correct store.bucket"),
        (_, "NoSuchUpload") => failure(Reason::NoUpload, Unavailable),
        (_, "InvalidPart" | "InvalidPartOrder") => failure(Reason::BadPart, Unavailable),
        (_, "QuotaExceeded" | "InsufficientStorage" | "XMinioStorageFull" | "EntityTooLarge") | (507, _) => {
            failure(Reason::Other, Full)
        }
        (_, "SlowDown" | "Throttling" | "RequestLimitExceeded") | (429 | 503, _) => {
            Failure { wait, ..failure(Reason::Other, Unavailable).again().unsure() }
        }
        // The SDK learned the engine's time from this response, so the next attempt is signed with that time.
        (_, "RequestTimeTooSkewed") => failure(Reason::Other, Denied).again(),
        // The bytes changed in transit, or the engine lost patience with a slow body.
        (_, "BadDigest" | "XAmzContentSHA256Mismatch" | "RequestTimeout" | "IncompleteBody") | (408, _) => {
            failure(Reason::Other, Unavailable).again()
        }
        // Engines that sent status 200 before they were done report the error in the body.
        (_, "InternalError" | "ServiceUnavailable") => {
            Failure { wait, ..failure(Reason::Other, Unavailable).again().unsure() }
        }
        (404, _) => failure(Reason::Absent, Unavailable),
        (412, _) => failure(Reason::Precondition, Unavailable),
        (416, _) => failure(Reason::Range, Internal),
        // Another write to the same key is in progress.
        (409, _) => Failure { wait, ..failure(Reason::Other, Unavailable).again() },
        (501 | 405, _) => failure(Reason::Unsupported, Internal),
        (500..=599, _) => Failure { wait, ..failure(Reason::Other, Unavailable).again().unsure() },
        (301 | 307, _) | (400, "AuthorizationHeaderMalformed" | "PermanentRedirect") => {
            failure(Reason::Other, Denied).advise("the bucket is elsewhere: correct store.region or store.endpoint")
        }
        (_, "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired") => {
            failure(Reason::Other, Denied).advise("the credentials have expired")
        }
        (401 | 403, _) => failure(Reason::Other, Denied),
        (400, "MissingContentMD5" | "InvalidRequest" | "InvalidDigest" | "MissingSecurityHeader") => {
            failure(Reason::Unsupported, Internal)
        }
        _ => failure(Reason::Other, Internal),
    }
}

/// Parses `Retry-After`, in seconds or as a date; a date is compared with the engine's own clock.
fn retry_after(response: &HttpResponse) -> Option<Duration> {
    let text = response.headers().get("retry-after")?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until: SystemTime = httpdate::parse_http_date(text).ok()?;
    let now = httpdate::parse_http_date(response.headers().get("date")?).ok()?;
    Some(until.duration_since(now).unwrap_or_default())
}
