//! The date of a name: when it became as it is.

use std::time::Duration;

use crate::http::rfc::conditional::HttpDate;
use crate::service::{LastChange, Resolved};

/// The date for `Last-Modified`. None for what never changes, and none in the first seconds after a change: another one
/// could follow within the same second, with the same date.
pub(in crate::http) fn date(found: &Resolved) -> Option<HttpDate> {
    if let LastChange::At(at) = found.changed { HttpDate::of(at) } else { None }
}

/// How long the answer may be remembered before it gets a date.
pub(in crate::http) fn unsettled_for(found: &Resolved) -> Option<Duration> {
    if let LastChange::Recent(left) = found.changed { Some(left) } else { None }
}
