//! Headers that warn readers: of a yanked version, and of versions that are too low.

use axum::http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::domain::VersionRow;
use crate::domain::head::Floor;
use crate::wire::{YankNotice, headers};

const YANKED: HeaderName = HeaderName::from_static(headers::YANKED);
const MINIMUM_VERSION: HeaderName = HeaderName::from_static(headers::MINIMUM_VERSION);

/// States that the version is yanked, if it is.
pub(in crate::http) fn yanked(headers: &mut HeaderMap, row: &VersionRow) {
    let Some(yank) = &row.yanked else { return };
    let notice = YankNotice { reason: yank.reason.to_string(), instead: yank.instead };
    headers.extend(HeaderValue::try_from(notice.to_header()).ok().map(|value| (YANKED, value)));
}

/// States the lowest version that clients should run, if there is one.
pub(in crate::http) fn floor(headers: &mut HeaderMap, floor: Option<&Floor>) {
    let value = floor.and_then(|floor| HeaderValue::try_from(floor.word()).ok());
    headers.extend(value.map(|value| (MINIMUM_VERSION, value)));
}
