//! `R/tags/list`, `_catalog` and `R/referrers/D`: lists, a page at a time.

use axum::Json;
use axum::extract::{Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LINK};
use axum::http::{Method, Uri};
use axum::response::{IntoResponse as _, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::{API_VERSION, OciRequest};
use crate::access::Caller;
use crate::domain::manifest::oci;
use crate::domain::{AnyDigest, Digest, LogName, ManifestName, RepositoryName};
use crate::http::error::ApiError;
use crate::http::serving::intake;
use crate::http::state::AppState;
use crate::service::repositories::Referrer;
use crate::wire::Code;

/// Entries of a page, at most and unless the client wants fewer. Some clients read the first page only.
const PAGE: usize = 1000;
/// Repositories of a page unless the client wants another number: each takes a listing.
const REPOSITORIES: usize = 100;

const FILTERS: HeaderName = HeaderName::from_static("oci-filters-applied");

/// The query of a list. Unknown parameters are ignored: clients add some for proxies.
#[derive(Default)]
struct Paging {
    limit: Option<usize>,
    last: Option<String>,
    artifact_type: Option<String>,
}

impl Paging {
    fn of(uri: &Uri) -> Result<Self, ApiError> {
        let unreadable = |_| ApiError::bad_request(Code::QueryInvalid, "The query cannot be read.");
        let Query(query) = Query::<Vec<(String, String)>>::try_from_uri(uri).map_err(unreadable)?;
        let mut paging = Self::default();
        for (key, value) in query {
            match key.as_str() {
                "n" => paging.limit = Some(count(&value)?),
                "last" if !value.is_empty() => paging.last = Some(value),
                "artifactType" if !value.is_empty() => paging.artifact_type = Some(value),
                _ => {}
            }
        }
        Ok(paging)
    }
}

/// A number of entries; larger ones than fit are as good as the largest.
fn count(text: &str) -> Result<usize, ApiError> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let invalid = || ApiError::bad_request(Code::QueryInvalid, "`n` is a number of entries, such as n=100.");
    if is_number { Ok(text.parse().unwrap_or(usize::MAX)) } else { Err(invalid()) }
}

pub(super) async fn tags(request: OciRequest, repository: RepositoryName) -> Result<Response, ApiError> {
    let OciRequest { state, caller, uri, .. } = &request;
    require_get(&request.method)?;
    let paging = Paging::of(uri)?;
    let limit = paging.limit.unwrap_or(PAGE).min(PAGE);
    let _turn = intake::turn(state, caller).await?;
    let visible = |name: &ManifestName| state.access.may_read(caller, name);
    let unknown = || request.absent(&repository, ApiError::repository_unknown(&repository));
    let found = state.repositories.tags(&repository, paging.last.as_deref(), limit, visible).await?;
    let page = found.ok_or_else(unknown)?;
    let next = page.entries.last().filter(|_| page.more);
    let next = next.map(|last| format!("/v2/{repository}/tags/list?n={limit}&last={last}"));
    let body = json!({"name": repository.as_str(), "tags": page.entries});
    Ok((next_link(next)?, Json(body)).into_response())
}

pub(super) async fn catalog(State(state): State<AppState>, caller: Caller, uri: Uri) -> Result<Response, ApiError> {
    let paging = Paging::of(&uri)?;
    let limit = paging.limit.unwrap_or(REPOSITORIES).min(PAGE);
    let _turn = intake::turn(&state, &caller).await?;
    let visible = |name: &ManifestName| state.access.may_read(&caller, name);
    let may_see_some = |repository: &RepositoryName| state.access.may_read_somewhere_in(&caller, repository);
    let page = state.repositories.catalog(paging.last.as_deref(), limit, may_see_some, visible).await?;
    let next = page.entries.last().filter(|_| page.more);
    let next = next.map(|last| {
        let last = utf8_percent_encode(last.as_str(), NON_ALPHANUMERIC);
        format!("/v2/_catalog?n={limit}&last={last}")
    });
    let repositories: Vec<&str> = page.entries.iter().map(RepositoryName::as_str).collect();
    Ok(([API_VERSION], next_link(next)?, Json(json!({"repositories": repositories}))).into_response())
}

pub(super) async fn referrers(
    request: OciRequest,
    repository: RepositoryName,
    subject: AnyDigest,
) -> Result<Response, ApiError> {
    let OciRequest { state, caller, uri, .. } = &request;
    require_get(&request.method)?;
    let paging = Paging::of(uri)?;
    let last = paging.last.map(|last| last.parse::<Digest>()).transpose()?;
    let wanted = paging.artifact_type.as_deref();
    let _turn = intake::turn(state, caller).await?;
    let visible = |log: &LogName| state.access.may_read_log(caller, log);
    let page = state.repositories.referrers(&repository, &subject, (wanted, last), visible).await?;
    if page.entries.is_empty() && page.next.is_none() {
        request.require_visible(&repository)?;
    }
    let next = page.next.map(|last| {
        let filter = wanted.map(|wanted| format!("&artifactType={}", utf8_percent_encode(wanted, NON_ALPHANUMERIC)));
        format!("/v2/{repository}/referrers/{subject}?last={last}{}", filter.unwrap_or_default())
    });
    let manifests: Vec<Value> = page.entries.iter().map(descriptor).collect();
    let body = json!({"schemaVersion": 2, "mediaType": oci::INDEX, "manifests": manifests}).to_string();
    let mut headers = next_link(next)?;
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(oci::INDEX));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    if wanted.is_some() {
        headers.insert(FILTERS, HeaderValue::from_static("artifactType"));
    }
    Ok((headers, body).into_response())
}

fn descriptor(referrer: &Referrer) -> Value {
    let Referrer { digest, size, media_type, artifact_type, annotations } = referrer;
    let mut descriptor = json!({"mediaType": media_type, "digest": digest.to_string(), "size": size});
    if let Some(artifact_type) = artifact_type {
        descriptor["artifactType"] = artifact_type.as_str().into();
    }
    if !annotations.is_empty() {
        descriptor["annotations"] = json!(annotations);
    }
    descriptor
}

fn require_get(method: &Method) -> Result<(), ApiError> {
    if matches!(*method, Method::GET | Method::HEAD) {
        Ok(())
    } else {
        Err(ApiError::method_not_allowed_but("GET,HEAD"))
    }
}

/// Headers of a page: where the next one is, and that neither is to be kept.
fn next_link(next: Option<String>) -> Result<HeaderMap, ApiError> {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Some(next) = next {
        let link = HeaderValue::try_from(format!("<{next}>; rel=\"next\"")).map_err(ApiError::internal)?;
        headers.insert(LINK, link);
    }
    Ok(headers)
}
