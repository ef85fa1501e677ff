//! What responses count as on surfaces that count more than routes. Neither hosts nor paths are labels: anybody can invent
//! any number of them.

use std::fmt;
use std::sync::Arc;

use axum::http::StatusCode;
use metrics::Counter;
use tracing::Span;

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Outcome {
    /// A file at its own path.
    File,
    /// A redirect to another spelling of the path, or to the canonical host.
    Redirect,
    /// What a rule of the release says.
    Rule,
    /// A file of an earlier version, which would have been an error otherwise.
    OldAsset,
    /// The page for all paths of an application.
    Fallback,
    NotFound,
    /// No permission, or a request that is not understood.
    Refused,
    /// The server or its store failed.
    Error,
}

impl Outcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Redirect => "redirect",
            Self::Rule => "rule",
            Self::OldAsset => "old_asset",
            Self::Fallback => "fallback",
            Self::NotFound => "not_found",
            Self::Refused => "refused",
            Self::Error => "error",
        }
    }

    /// The outcome of an error with this status.
    pub(in crate::http) fn of_error(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND | StatusCode::GONE => Self::NotFound,
            status if status.is_server_error() => Self::Error,
            _ => Self::Refused,
        }
    }
}

/// The outcome of a 304 response.
const NOT_MODIFIED: &str = "not_modified";

/// Response extension: the site that answers, with which version, and how.
#[derive(Clone)]
pub(in crate::http) struct Tally(Arc<Parts>);

struct Parts {
    site: Box<str>,
    version: Option<u64>,
    outcome: Outcome,
    total: Counter,
    unchanged: Counter,
    looks: Counter,
}

impl PartialEq for Tally {
    fn eq(&self, other: &Self) -> bool {
        let of = |tally: &Self| (tally.0.version, tally.0.outcome);
        of(self) == of(other) && self.0.site == other.0.site
    }
}

impl Eq for Tally {}

impl fmt::Debug for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tally").field(&self.0.site).field(&self.0.outcome).finish()
    }
}

impl Tally {
    pub(in crate::http) fn new(site: &str, version: Option<u64>, outcome: Outcome) -> Self {
        let counter = |outcome: &'static str| metrics::counter!("larder_site_requests_total", "site" => site.to_owned(), "outcome" => outcome);
        let (total, unchanged) = (counter(outcome.as_str()), counter(NOT_MODIFIED));
        let looks = metrics::counter!("larder_site_fresh_looks_total", "site" => site.to_owned());
        Self(Arc::new(Parts { site: site.into(), version, outcome, total, unchanged, looks }))
    }

    /// Counts a look for something newer, which the response cache made for an answer that was remembered.
    pub(in crate::http) fn count_look(&self) {
        self.0.looks.increment(1);
    }

    /// Counts a response, and writes into the request's span what it was.
    pub(in crate::http) fn count(&self, span: &Span, status: StatusCode) {
        let parts = &*self.0;
        let is_unchanged = status == StatusCode::NOT_MODIFIED;
        if is_unchanged { &parts.unchanged } else { &parts.total }.increment(1);
        span.record("site", &*parts.site);
        span.record("outcome", if is_unchanged { NOT_MODIFIED } else { parts.outcome.as_str() });
        if let Some(version) = parts.version {
            span.record("version", version);
        }
    }
}
