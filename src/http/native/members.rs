//! `/manifests/sha256:HEX`: a release as a record of its own, with the names and versions that hold it.

use axum::Json;
use axum::extract::FromRequestParts as _;
use axum::http::header::{HeaderMap, HeaderValue, LINK, VARY};
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

use super::pages::{self, Site};
use crate::access::Caller;
use crate::domain::{Digest, ManifestName, Selector, Target};
use crate::http::error::ApiError;
use crate::http::extract::Params;
use crate::http::rfc::accept::WantsHtml;
use crate::http::rfc::caching::{Freshness, set_freshness};
use crate::http::state::AppState;
use crate::wire::{Code, Holder, Holders, limits};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    after: Option<String>,
    limit: Option<usize>,
}

/// The versions with this manifest, of names that the caller may read. 404 if there are none.
pub(super) async fn show(
    state: &AppState,
    caller: &Caller,
    digest: Digest,
    mut request: Parts,
) -> Result<Response, ApiError> {
    let Params(page) = Params::<Page>::from_request_parts(&mut request, state).await?;
    let Ok(html) = WantsHtml::from_request_parts(&mut request, state).await;
    let Ok(site) = Site::from_request_parts(&mut request, state).await;
    let limit = page.limit.unwrap_or(limits::HOLDERS).clamp(1, limits::MAX_HOLDERS);
    let after = page.after.as_deref().map(version).transpose()?;
    let first = after.is_none();
    let visible = |name: &ManifestName| state.access.may_read(caller, name);
    let found = state.members.page(digest, after, limit, visible).await?;
    if first && found.holders.is_empty() && found.next.is_none() {
        return Err(ApiError::manifest_held_by_nobody(digest));
    }
    let base = &state.base;
    let next = found.next.as_ref().map(|(name, number)| format!("{name}@{number}"));
    let address = next.as_ref().map(|next| format!("{base}/manifests/{digest}?after={next}&limit={limit}"));
    let mut headers = HeaderMap::new();
    headers.insert(VARY, HeaderValue::from_static("Accept, Authorization"));
    set_freshness(&mut headers, Freshness::Revalidate, false);
    if let Some(address) = &address {
        let link = HeaderValue::try_from(format!("<{address}>; rel=\"next\"")).map_err(ApiError::internal)?;
        headers.insert(LINK, link);
    }
    let held_by: Vec<Holder> = found.holders.iter().map(|(name, row)| Holder::of(name, row)).collect();
    let bytes = found.holders.first().map(|(_, row)| row.summary.manifest.size);
    let holders = Holders { digest, size: bytes, held_by, next };
    if html.0 {
        return Ok((headers, pages::holders(&site, &holders, address.as_deref())).into_response());
    }
    Ok((headers, Json(holders)).into_response())
}

/// `NAME@NUMBER`, after which a page begins.
fn version(text: &str) -> Result<(ManifestName, u64), ApiError> {
    match text.parse()? {
        Target { name, selector: Selector::Number(number), .. } => Ok((name, number)),
        _ => Err(ApiError::bad_request(Code::QueryInvalid, "`after` is NAME@NUMBER, the `next` of the page before.")),
    }
}
