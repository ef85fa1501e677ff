//! Metrics of requests. Names and digests are never labels, because their cardinality is unbounded.

use std::collections::HashMap;
use std::fmt;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use axum::http::{Method, StatusCode};
use metrics::{Counter, Histogram};

type ByAnswer = HashMap<(Method, StatusCode), Meter>;

/// The metrics of one combination of route, method and status.
#[derive(Clone)]
pub(super) struct Meter {
    total: Counter,
    duration: Histogram,
}

/// Metric handles by route, method and status. Looking them up in the process-wide registry would take longer than
/// counting.
#[derive(Default)]
pub(super) struct Meters(RwLock<HashMap<Box<str>, ByAnswer>>);

impl fmt::Debug for Meters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Meters").finish_non_exhaustive()
    }
}

impl Meters {
    /// Counts one response.
    pub(super) fn count(&self, route: &str, method: &Method, status: StatusCode, took: Duration) {
        let kind = (known(method), status);
        let meters = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(meter) = meters.get(route).and_then(|by_answer| by_answer.get(&kind)) {
            return meter.count(took);
        }
        drop(meters);
        self.meter(route, method, status).count(took);
    }

    /// The metrics of responses like this one, for those who keep them.
    pub(super) fn meter(&self, route: &str, method: &Method, status: StatusCode) -> Meter {
        let kind = (known(method), status);
        let mut meters = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let by_answer = meters.entry(route.into()).or_default();
        by_answer.entry(kind).or_insert_with_key(|kind| Meter::new(route, kind)).clone()
    }
}

impl Meter {
    fn new(route: &str, (method, status): &(Method, StatusCode)) -> Self {
        let method = if *method == other() { "other" } else { method.as_str() };
        let labels =
            [("route", route.to_owned()), ("method", method.to_owned()), ("status", status.as_str().to_owned())];
        Self {
            total: metrics::counter!("larder_http_requests_total", &labels),
            duration: metrics::histogram!("larder_http_request_duration_seconds", &labels),
        }
    }

    /// Counts one response.
    pub(super) fn count(&self, took: Duration) {
        self.total.increment(1);
        self.duration.record(took.as_secs_f64());
    }
}

/// Label for all unknown methods.
fn other() -> Method {
    Method::TRACE
}

/// Maps unknown methods to one label: clients can invent any number of methods.
fn known(method: &Method) -> Method {
    let known = [Method::GET, Method::HEAD, Method::PUT, Method::POST, Method::DELETE, Method::PATCH, Method::OPTIONS];
    known.into_iter().find(|known| known == method).unwrap_or_else(other)
}
