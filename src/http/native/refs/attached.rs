//! `FILE.minisig`, `FILE.sigstore.json`, `FILE.sbom.cdx.json`: what is attached to a version about one of its files, where
//! other tools look for it.

use axum::http::StatusCode;
use axum::http::header::{HeaderMap, HeaderValue, LOCATION};
use axum::response::{IntoResponse as _, Response};

use crate::domain::FileName;
use crate::domain::attestation::{Attachment, BUNDLES, MEDIA_TYPE};
use crate::http::error::ApiError;
use crate::http::rfc::caching::{Freshness, set_freshness};
use crate::http::rfc::hardening::defuse;
use crate::http::serving::reading::Reading;
use crate::http::state::AppState;
use crate::service::Resolved;

/// Endings of file names, each with what the media types of what it stands for begin with.
const ENDINGS: [(&str, &str); 3] =
    [(".minisig", MEDIA_TYPE), (".sigstore.json", BUNDLES), (".sbom.cdx.json", "application/vnd.cyclonedx+json")];

/// The redirect to the newest attachment that the name of a file stands for, if the version has one.
pub(super) async fn answer(
    state: &AppState,
    reading: &Reading,
    found: &Resolved,
    file: &FileName,
) -> Result<Option<Response>, ApiError> {
    let split = |(ending, media_type): &(&str, &'static str)| Some((file.as_str().strip_suffix(ending)?, *media_type));
    let Some((about, media_type)) = ENDINGS.iter().find_map(split).filter(|_| found.row.annex.is_some()) else {
        return Ok(None);
    };
    let name = &reading.target().name;
    let annex = state.attachments.of(name, &found.row).await?;
    let is_it = |one: &&Attachment| {
        one.media_type.starts_with(media_type) && one.file.as_ref().is_some_and(|file| file.as_str() == about)
    };
    let Some(attachment) = annex.attachments.iter().rfind(is_it) else { return Ok(None) };
    let (base, number, digest) = (&state.base, found.row.number, attachment.digest);
    let location = format!("{base}/versions/{name}@{number}/attachments/{digest}");
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(LOCATION, HeaderValue::try_from(&location).map_err(ApiError::internal)?);
    reading.describe(found, &mut headers);
    // Another one may be attached later, whatever the address.
    set_freshness(&mut headers, Freshness::Revalidate, reading.is_public);
    defuse(&mut headers);
    Ok(Some((StatusCode::TEMPORARY_REDIRECT, headers, location + "\n").into_response()))
}
