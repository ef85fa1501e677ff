//! All errors of the client, in words for the person at the terminal.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Url;
use serde_json::{Map, Value};

use crate::domain::Digest;
use crate::wire::Code;

/// Why an operation failed. Each text is a full sentence.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The client could not be created: unusable address or TLS set-up.
    #[error("{0}")]
    Setup(String),
    /// The CI job gives no usable proof of its identity.
    #[error("{0}")]
    Identity(String),
    /// No connection could be established.
    #[error("Cannot reach {server} ({reason}); check the address and whether the server runs.")]
    Connect {
        /// Origin of the server, as `scheme://host:port`.
        server: String,
        /// The innermost network error.
        reason: String,
    },
    /// The server made no progress within the time limit.
    #[error("{server} was silent for {} seconds; try again later.", after.as_secs())]
    Timeout {
        /// Origin of the server, as `scheme://host:port`.
        server: String,
        /// The time limit.
        after: Duration,
    },
    /// The connection ended before the response was complete.
    #[error("The connection to {server} broke ({reason}); try again.")]
    Broken {
        /// Origin of the server, as `scheme://host:port`.
        server: String,
        /// The innermost network error.
        reason: String,
    },
    /// The server answered with an error.
    #[error("{0}")]
    Refused(Box<Problem>),
    /// A redirect that must not be followed.
    #[error("The server redirects elsewhere ({reason}); set --server to the final address.")]
    Redirected {
        /// The target, or why it was not followed.
        reason: String,
    },
    /// The response violates the interface. Perhaps the server is not a Larder.
    #[error("The answer of {server} is not one of a Larder server: {reason}.")]
    Protocol {
        /// Origin of the server, as `scheme://host:port`.
        server: String,
        /// What is wrong with the response.
        reason: String,
    },
    /// The answer of a server that is read from, which need not be a Larder, cannot be used.
    #[error("The answer to {url} cannot be used: {reason}.")]
    Unusable {
        /// The address that was asked.
        url: String,
        /// What is wrong with the response.
        reason: String,
    },
    /// The server that is read from answers no more requests for now.
    #[error("{server} answers no more requests until {until}; run this again then, or give a token that may ask more.")]
    RateLimited {
        /// Origin of the server, as `scheme://host:port`.
        server: String,
        /// When it answers again.
        until: jiff::Timestamp,
    },
    /// The received bytes do not match the requested digest.
    #[error("{what} is damaged: expected {expected}, received {actual}.")]
    Damaged {
        /// What the bytes should have been, such as `The blob`.
        what: String,
        /// The requested digest.
        expected: Digest,
        /// The digest of the received bytes, or how their length differs.
        actual: String,
    },
    /// None of the servers that could have it served it.
    #[error("No server has served {what}.{}", list(.failures))]
    NoSource {
        /// What was asked for, such as `the blob sha256:…`.
        what: String,
        /// The servers, each with its reason.
        failures: Vec<(String, String)>,
        /// Whether trying again may help.
        is_passing: bool,
    },
    /// A local file has changed since it was hashed.
    #[error("The file {} changed while it was being published; publish again when nothing writes to it.", path.display())]
    Changed {
        /// Path of the file.
        path: PathBuf,
    },
    /// An I/O error of a local file or stream.
    #[error("Cannot {action}: {source}.")]
    Io {
        /// The attempted action, such as `read /tmp/x`.
        action: String,
        /// The operating system's error.
        source: io::Error,
    },
}

/// Category of a failure, for callers. The command line derives its exit code from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The request is invalid as stated.
    Usage,
    /// It does not exist, or no longer does.
    NotFound,
    /// The token is missing, unknown, or lacks the permission.
    Auth,
    /// A stated precondition failed, or the policy requires one.
    Precondition,
    /// Bytes do not match their digest.
    Integrity,
    /// Temporary: trying again later may succeed.
    Unavailable,
    /// Anything else.
    Failure,
}

impl ClientError {
    /// Category of the failure.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Setup(_) => ErrorKind::Usage,
            Self::Identity(_) => ErrorKind::Auth,
            Self::Connect { .. }
            | Self::Timeout { .. }
            | Self::Broken { .. }
            | Self::RateLimited { .. }
            | Self::NoSource { .. } => ErrorKind::Unavailable,
            Self::Refused(problem) => problem.kind(),
            Self::Redirected { .. } | Self::Protocol { .. } | Self::Unusable { .. } | Self::Io { .. } => {
                ErrorKind::Failure
            }
            Self::Damaged { .. } | Self::Changed { .. } => ErrorKind::Integrity,
        }
    }

    /// A stable code for programs.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Setup(_) => "USAGE",
            Self::Identity(_) => "IDENTITY_UNAVAILABLE",
            Self::Connect { .. } => "UNREACHABLE",
            Self::Timeout { .. } => "TIMEOUT",
            Self::Broken { .. } => "CONNECTION_BROKEN",
            Self::Refused(problem) => problem.code.as_str(),
            Self::Redirected { .. } => "REDIRECTED",
            Self::Protocol { .. } => "ANSWER_INVALID",
            Self::Unusable { .. } => "ANSWER_UNUSABLE",
            Self::RateLimited { .. } => "RATE_LIMITED",
            Self::Damaged { .. } => "DIGEST_INVALID",
            Self::NoSource { .. } => "NO_SOURCE",
            Self::Changed { .. } => "FILE_CHANGED",
            Self::Io { .. } => "IO",
        }
    }

    /// The server's error response; `None` if the failure was not reported by the server.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Refused(problem) => Some(problem),
            _ => None,
        }
    }

    pub(super) fn setup(error: &reqwest::Error) -> Self {
        Self::Setup(format!("The HTTP client cannot be set up ({}).", reason(error)))
    }

    /// An error while reading a local file.
    #[must_use]
    pub fn reading(path: &Path, source: io::Error) -> Self {
        Self::Io { action: format!("read {}", path.display()), source }
    }

    /// Classifies an error below HTTP. `limit` is the time limit that the request had.
    pub(super) fn from_transport(url: &Url, error: &reqwest::Error, limit: Duration) -> Self {
        let (server, reason) = (origin(url), reason(error));
        if error.is_connect() {
            Self::Connect { server, reason }
        } else if error.is_timeout() {
            Self::Timeout { server, after: limit }
        } else if error.is_redirect() {
            Self::Redirected { reason }
        } else if error.is_builder() {
            Self::Setup(format!("The request cannot be made ({reason})."))
        } else {
            Self::Broken { server, reason }
        }
    }
}

/// Servers with their reasons, one in a line.
fn list(failures: &[(String, String)]) -> String {
    let list: Vec<String> = failures.iter().map(|(server, reason)| format!("\n  - {server}: {reason}")).collect();
    list.concat()
}

/// `scheme://host:port`, enough to identify the server.
pub(super) fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// The innermost cause. The errors around it only name the layers that passed it on.
fn reason(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    without_os_code(&cause.to_string())
}

/// A text without the ` (os error N)` that the standard library adds to the system's own words.
#[must_use]
pub fn without_os_code(text: &str) -> String {
    let Some((before, rest)) = text.split_once(" (os error ") else { return text.to_owned() };
    match rest.split_once(')') {
        Some((code, after)) if code.parse::<i32>().is_ok() => format!("{before}{}", without_os_code(after)),
        _ => text.to_owned(),
    }
}

/// An error response of the server (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// HTTP status code.
    pub status: u16,
    /// The server's stable error code, such as `MANIFEST_UNKNOWN`.
    pub code: Code,
    /// The server's explanation, a full sentence.
    pub detail: String,
    /// Additional members, for programs.
    pub members: Map<String, Value>,
    /// Delay requested by `Retry-After`.
    pub retry_after: Option<Duration>,
}

impl Problem {
    /// Parses an error response. It need not come from a Larder server: the error page of a proxy is turned into a
    /// sentence as well.
    #[must_use]
    pub fn read(status: u16, reason: &str, body: &[u8], retry_after: Option<Duration>) -> Self {
        let mut members: Map<String, Value> = serde_json::from_slice(body).unwrap_or_default();
        let mut text = |name: &str| match members.remove(name) {
            Some(Value::String(text)) if !text.is_empty() => Some(text),
            _ => None,
        };
        let code = text("code").unwrap_or_else(|| format!("HTTP_{status}"));
        let code = Code::from(code.as_str());
        let detail = text("detail").or_else(|| text("title"));
        let detail = detail.unwrap_or_else(|| format!("The server answered {status} {reason}."));
        for known in ["type", "title", "status"] {
            members.remove(known);
        }
        Self { status, code, detail, members, retry_after }
    }

    /// The digests in the member `missing`; empty if there is none.
    #[must_use]
    pub fn missing(&self) -> Vec<Digest> {
        self.texts("missing").filter_map(|text| text.parse().ok()).collect()
    }

    /// The digest in the member `current_etag`, if there is one.
    #[must_use]
    pub fn current(&self) -> Option<Digest> {
        self.members.get("current_etag")?.as_str()?.trim_matches('"').parse().ok()
    }

    fn texts(&self, member: &str) -> impl Iterator<Item = &str> {
        self.members.get(member).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    }

    fn kind(&self) -> ErrorKind {
        match self.status {
            404 | 410 => ErrorKind::NotFound,
            401 | 403 => ErrorKind::Auth,
            412 | 428 => ErrorKind::Precondition,
            400 if matches!(self.code, Code::DigestInvalid | Code::SizeInvalid) => ErrorKind::Integrity,
            507 => ErrorKind::Failure,
            408 | 429 | 500..=599 => ErrorKind::Unavailable,
            _ => ErrorKind::Failure,
        }
    }
}

/// Maximum number of entries of a list that a sentence includes.
const MAX_LISTED: usize = 20;

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)?;
        for member in ["problems", "missing"] {
            let unsaid = || self.texts(member).filter(|entry| !self.detail.contains(entry));
            let count = unsaid().count();
            for entry in unsaid().take(MAX_LISTED) {
                write!(f, "\n  - {entry}")?;
            }
            if count > MAX_LISTED {
                write!(f, "\n  - and {} more", count - MAX_LISTED)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(status: u16, body: &str) -> Problem {
        Problem::read(status, "Reason", body.as_bytes(), None)
    }

    #[test]
    fn every_status_has_a_meaning() {
        for (status, code, kind) in [
            (400, "X", ErrorKind::Failure),
            (400, "DIGEST_INVALID", ErrorKind::Integrity),
            (400, "SIZE_INVALID", ErrorKind::Integrity),
            (401, "X", ErrorKind::Auth),
            (403, "X", ErrorKind::Auth),
            (404, "X", ErrorKind::NotFound),
            (408, "X", ErrorKind::Unavailable),
            (409, "X", ErrorKind::Failure),
            (410, "X", ErrorKind::NotFound),
            (412, "X", ErrorKind::Precondition),
            (413, "SIZE_INVALID", ErrorKind::Failure),
            (422, "X", ErrorKind::Failure),
            (428, "X", ErrorKind::Precondition),
            (429, "X", ErrorKind::Unavailable),
            (500, "X", ErrorKind::Unavailable),
            (503, "X", ErrorKind::Unavailable),
            (507, "X", ErrorKind::Failure),
        ] {
            assert_eq!(problem(status, &format!(r#"{{"code":"{code}"}}"#)).kind(), kind, "{status} {code}");
        }
    }

    #[test]
    fn a_problem_shows_its_sentence_and_its_lists() {
        let digest = Digest::of(b"x");
        let body =
            format!(r#"{{"code":"MANIFEST_BLOB_UNKNOWN","detail":"Blobs are missing.","missing":["{digest}"]}}"#);
        let shown = problem(409, &body);
        assert_eq!(shown.to_string(), format!("Blobs are missing.\n  - {digest}"));
        assert_eq!(shown.missing(), [digest]);
        assert_eq!(shown.current(), None);
        let shown =
            problem(422, r#"{"detail":"It is not valid: a is b. There is more.","problems":["a is b","c is d"]}"#);
        assert_eq!(shown.to_string(), "It is not valid: a is b. There is more.\n  - c is d", "nothing is said twice");
        let lost = problem(412, &format!(r#"{{"current_etag":"\"{digest}\""}}"#));
        assert_eq!(lost.current(), Some(digest));
    }

    #[test]
    fn codes_of_the_system_are_left_out() {
        let error = io::Error::from_raw_os_error(2);
        assert_eq!(
            without_os_code(&format!("{error}. {error}")),
            "No such file or directory. No such file or directory"
        );
        for text in ["", "x (os error", "x (os error y)"] {
            assert_eq!(without_os_code(text), text);
        }
    }

    #[test]
    fn a_proxy_page_becomes_a_sentence_too() {
        let page = problem(502, "<html>bad gateway</html>");
        assert_eq!((page.code.as_str(), page.to_string().as_str()), ("HTTP_502", "The server answered 502 Reason."));
    }
}
