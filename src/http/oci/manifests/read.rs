//! `GET` and `HEAD` of manifests.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::http::Method;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue};
use axum::response::{IntoResponse as _, Response};

use crate::domain::{AnyDigest, LogName, ManifestName, RepositoryName, Target};
use crate::http::error::ApiError;
use crate::http::oci::address::Reference;
use crate::http::oci::blobs::digest_header;
use crate::http::oci::{CONTENT_DIGEST, OciRequest};
use crate::http::rfc::caching::{Freshness, set_freshness};
use crate::http::rfc::conditional::etag;
use crate::http::rfc::hardening::defuse;
use crate::http::serving::bytes::judged;
use crate::http::serving::reading::Reading;
use crate::http::serving::response_cache::Cacheable;
use crate::protocol::AsOf;
use crate::service::ResolveError;
use crate::service::repositories::ShownManifest;

/// A manifest that the caller may read.
struct Found {
    shown: Arc<ShownManifest>,
    /// The digest to name it by.
    named: AnyDigest,
    /// Headers that say which version it is.
    headers: HeaderMap,
    /// The heads that the answer depends on; `None` if it is not to be remembered.
    heads: Option<Vec<(ManifestName, u64)>>,
    is_public: bool,
    freshness: Freshness,
}

pub(super) async fn answer(
    request: &OciRequest,
    repository: &RepositoryName,
    reference: Reference,
) -> Result<Response, ApiError> {
    let found = find(request, repository, &reference, request.fresh).await?;
    if let Some(response) = respond(request, found).await? {
        return Ok(response);
    }
    // The version was retired and collected since its row was read.
    let found = find(request, repository, &reference, AsOf::Now).await?;
    let digest = found.shown.digest;
    let lost = || ApiError::internal(format!("the bytes of the manifest {digest} are gone"));
    respond(request, found).await?.ok_or_else(lost)
}

async fn find(
    request: &OciRequest,
    repository: &RepositoryName,
    reference: &Reference,
    fresh: AsOf,
) -> Result<Found, ApiError> {
    match reference {
        Reference::Tag(tag) => by_tag(request, repository.tag(tag)?, fresh).await,
        Reference::Digest(digest) => by_digest(request, repository, digest, fresh).await,
    }
}

async fn by_tag(request: &OciRequest, name: ManifestName, fresh: AsOf) -> Result<Found, ApiError> {
    let OciRequest { state, caller, .. } = request;
    let unknown = || ApiError::tag_unknown(&name);
    let target = Target { name: name.clone(), selector: crate::domain::Selector::Active, explicit: false };
    let reading = Reading::new(&state.resolve, &state.access, caller, target, fresh).await?;
    let found = match state.resolve.readable(reading.target(), fresh).await {
        // Clients read within milliseconds what was pushed through another server. Names that anybody could have made up
        // are not looked for again.
        Err(error) if fresh == AsOf::Recent && !(caller.is_anonymous() && is_made_up(&error)) => {
            state.resolve.readable(reading.target(), AsOf::Now).await?
        }
        found => found?,
    };
    let shown = state.repositories.shown(&found.row).await?.ok_or_else(unknown)?;
    let pushed_as = found.row.summary.pushed_as.as_deref().map(|sha512| AnyDigest::Sha512(*sha512));
    let named = pushed_as.unwrap_or_else(|| shown.digest.into());
    let mut headers = HeaderMap::with_capacity(16);
    reading.describe(&found, &mut headers);
    let heads = reading.heads(&found).filter(|_| reading.is_public);
    let (is_public, freshness) = (reading.is_public, Freshness::Revalidate);
    Ok(Found { shown, named, headers, heads, is_public, freshness })
}

fn is_made_up(error: &ResolveError) -> bool {
    matches!(error, ResolveError::NoSuchName(_))
}

async fn by_digest(
    request: &OciRequest,
    repository: &RepositoryName,
    named: &AnyDigest,
    fresh: AsOf,
) -> Result<Found, ApiError> {
    let OciRequest { state, caller, .. } = request;
    let visible = |log: &LogName| state.access.may_read_log(caller, log);
    let how = (fresh, caller.is_anonymous());
    // Without an alias the search is for what nobody has, and takes as long.
    let digest = request.resolve(named).await?.unwrap_or_else(|| named.index_key());
    let found = state.repositories.by_digest(repository, digest, how, visible).await?;
    let unknown = || request.absent(repository, ApiError::manifest_unknown(repository, named));
    let (member, shown) = found.ok_or_else(unknown)?;
    let is_public = state.access.is_public_log(&member.log);
    let heads = member.log.visible().filter(|_| is_public).map(|name| vec![(name, member.generation)]);
    let (headers, freshness) = (HeaderMap::with_capacity(16), Freshness::Immutable);
    Ok(Found { shown, named: *named, headers, heads, is_public, freshness })
}

/// `None` if the bytes are gone.
async fn respond(request: &OciRequest, found: Found) -> Result<Option<Response>, ApiError> {
    let Found { shown, named, mut headers, heads, is_public, freshness } = found;
    headers.insert(ETAG, HeaderValue::try_from(etag(shown.digest)).map_err(ApiError::internal)?);
    headers.insert(CONTENT_TYPE, HeaderValue::try_from(&*shown.media_type).map_err(ApiError::internal)?);
    headers.insert(CONTENT_LENGTH, HeaderValue::from(shown.size));
    headers.insert(CONTENT_DIGEST, digest_header(&named));
    set_freshness(&mut headers, freshness, is_public);
    defuse(&mut headers);
    if let Some(judged) = judged(&request.headers, shown.digest, None, &headers)? {
        return Ok(Some(judged));
    }
    if request.method == Method::HEAD {
        let cacheable = heads.map(|heads| Extension(Cacheable::without_body(None).under(heads)));
        return Ok(Some((cacheable, headers, Body::empty()).into_response()));
    }
    let Some(bytes) = request.state.repositories.bytes(&shown).await? else { return Ok(None) };
    let cacheable = heads.map(|heads| Extension(Cacheable::of_heads(heads, bytes.clone())));
    Ok(Some((cacheable, headers, bytes).into_response()))
}
