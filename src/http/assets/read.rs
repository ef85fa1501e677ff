//! `GET` and `HEAD /assets/…`.

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, LAST_MODIFIED, LINK};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::access::Caller;
use crate::config::{AssetDelivery, AssetPlace};
use crate::domain::flat::{SUM_SUFFIX, VERSION_FILE, sum_line, version_file};
use crate::domain::manifest::Artifact;
use crate::domain::{Digest, FileName, Target};
use crate::http::error::ApiError;
use crate::http::extract::{RequestedFreshness, Rest};
use crate::http::rfc::caching::{Freshness, set_freshness};
use crate::http::rfc::conditional::{HttpDate, etag};
use crate::http::rfc::digests::state_digest;
use crate::http::rfc::hardening::{Hardening, defuse};
use crate::http::rfc::range::MAX_RANGES;
use crate::http::serving::bytes::{self, BlobOptions, judged};
use crate::http::serving::download::Download;
use crate::http::serving::last_change;
use crate::http::serving::reading::Reading;
use crate::http::serving::response_cache::Cacheable;
use crate::http::state::{AppState, Delivery};
use crate::protocol::{AsOf, LoadedManifest};
use crate::service::{ResolveError, Resolved};
use crate::store::StoreError;
use crate::wire::Code;

const DEPRECATION: HeaderName = HeaderName::from_static("deprecation");
const SUNSET: HeaderName = HeaderName::from_static("sunset");

/// What a path stands for in one version.
enum Content {
    /// A file of the version.
    File(Artifact),
    /// A text made of its manifest, and its media type.
    Text(Bytes, &'static str),
}

pub(super) async fn read(
    state: State<AppState>,
    caller: Caller,
    rest: Rest,
    fresh: RequestedFreshness,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    serve(&state.0, &caller, &rest, fresh.0, &headers, &Method::GET).await
}

pub(super) async fn head(
    state: State<AppState>,
    caller: Caller,
    rest: Rest,
    fresh: RequestedFreshness,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    serve(&state.0, &caller, &rest, fresh.0, &headers, &Method::HEAD).await
}

async fn serve(
    state: &AppState,
    caller: &Caller,
    rest: &Rest,
    fresh: AsOf,
    headers: &HeaderMap,
    method: &Method,
) -> Result<Response, ApiError> {
    // What cannot be a name was never published.
    let place = state.asset_paths.locate(&rest.0).ok().flatten().ok_or_else(ApiError::no_route)?;
    let asked = Target::active(place.name.clone());
    let reading = Reading::new(&state.resolve, &state.access, caller, asked, fresh).await?;
    let found = state.resolve.manifest(reading.target(), fresh).await;
    let (found, loaded) = found.map_err(|error| absent(error, &place))?;
    let content = content(&place, &found, &loaded)?.ok_or_else(|| no_file(&place))?;
    let public = reading.is_public;
    let mut response = match content {
        Content::File(artifact) => {
            let download = Download::of_file(place.file.clone(), artifact.media_type.as_deref());
            let options = BlobOptions {
                download: &download,
                public,
                delivery: if *method == Method::GET { delivery(state) } else { Delivery::Stream },
                freshness: Freshness::Revalidate,
                modified: last_change::date(&found),
                hardening: Hardening::Artefact,
                ranges: MAX_RANGES,
            };
            let digest = artifact.blob.digest;
            if *method == Method::HEAD {
                bytes::head(&state.blobs, digest, options, headers).await?
            } else {
                bytes::get(&state.blobs, digest, options, headers).await?
            }
        }
        Content::Text(text, media_type) => {
            let answer = text_headers(&text, media_type, last_change::date(&found), public);
            match judged(headers, Digest::of(&text), last_change::date(&found), &answer)? {
                Some(judged) => judged,
                None if *method == Method::HEAD => (answer, Body::empty()).into_response(),
                None => {
                    let cacheable = public.then(|| Extension(Cacheable::of_heads(Vec::new(), text.clone())));
                    (cacheable, answer, text).into_response()
                }
            }
        }
    };
    // Removed in any case: without the heads it would not say all that it depends on.
    if let Some(cacheable) = response.extensions_mut().remove::<Cacheable>()
        && let Some(heads) = reading.heads(&found)
    {
        let cacheable = cacheable.under(heads).valid_for(last_change::unsettled_for(&found));
        response.extensions_mut().insert(cacheable);
    }
    add_links(state, &place, response.headers_mut())?;
    reading.describe_version(&found, response.headers_mut());
    Ok(response)
}

fn delivery(state: &AppState) -> Delivery {
    match state.asset_paths.delivery {
        AssetDelivery::Stream => Delivery::Stream,
        AssetDelivery::Store => state.delivery,
    }
}

/// What the path stands for: a file by its name or by what it is called today, else what is made of the manifest.
fn content(place: &AssetPlace<'_>, found: &Resolved, loaded: &LoadedManifest) -> Result<Option<Content>, StoreError> {
    if let Some(artifact) = stored(place, &place.file, loaded)? {
        return Ok(Some(Content::File(artifact.clone())));
    }
    if place.file.as_str() == VERSION_FILE {
        let published = found.row.published_at.unwrap_or(found.row.prepared_at);
        let text = version_file(&place.name, &loaded.bytes, loaded.manifest()?, published);
        return Ok(Some(Content::Text(text.into(), "application/json")));
    }
    let summed = place.file.as_str().strip_suffix(SUM_SUFFIX).and_then(|file| file.parse::<FileName>().ok());
    let Some(summed) = summed else { return Ok(None) };
    let text = match stored(place, &summed, loaded)? {
        // The name that the client knows: it saves the file under that.
        Some(artifact) => sum_line(artifact.blob.digest, summed.as_str()),
        None => return Ok(None),
    };
    Ok(Some(Content::Text(text.into(), "text/plain; charset=utf-8")))
}

fn stored<'a>(
    place: &AssetPlace<'_>,
    file: &FileName,
    loaded: &'a LoadedManifest,
) -> Result<Option<&'a Artifact>, StoreError> {
    if let Some(artifact) = loaded.file(file)? {
        return Ok(Some(artifact));
    }
    match place.path.alias(file.as_str()) {
        Some(today) => loaded.file(&today),
        None => Ok(None),
    }
}

fn text_headers(text: &Bytes, media_type: &'static str, modified: Option<HttpDate>, public: bool) -> HeaderMap {
    let digest = Digest::of(text);
    let mut headers = HeaderMap::with_capacity(12);
    headers.insert(ETAG, HeaderValue::try_from(etag(digest)).expect("a digest is legal in a header"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(text.len()));
    headers.extend(modified.map(|date| (LAST_MODIFIED, date.header())));
    state_digest(&mut headers, digest);
    set_freshness(&mut headers, Freshness::Revalidate, public);
    defuse(&mut headers);
    headers
}

/// Where the same is found by clients that know more, since when this address is deprecated (RFC 9745), and until when it
/// is there (RFC 8594).
fn add_links(state: &AppState, place: &AssetPlace<'_>, headers: &mut HeaderMap) -> Result<(), ApiError> {
    let successor = if place.file.as_str() == VERSION_FILE {
        format!("{}/manifests/{}", state.base, place.name)
    } else {
        let file = place.file.as_str().strip_suffix(SUM_SUFFIX).unwrap_or(place.file.as_str());
        let today = place.path.alias(file);
        let file = utf8_percent_encode(today.as_ref().map_or(file, FileName::as_str), NON_ALPHANUMERIC);
        format!("{}/refs/{}/{file}", state.base, place.name)
    };
    let link = format!("<{successor}>; rel=\"successor-version\"");
    headers.insert(LINK, HeaderValue::try_from(link).map_err(ApiError::internal)?);
    if let Some(since) = state.asset_paths.deprecated {
        let date = HeaderValue::try_from(format!("@{}", since.as_second()));
        headers.insert(DEPRECATION, date.map_err(ApiError::internal)?);
    }
    headers.extend(state.asset_paths.sunset.and_then(HttpDate::of).map(|end| (SUNSET, end.header())));
    Ok(())
}

/// What these clients do not find was never there: they know 404 only, not 410.
fn absent(error: ResolveError, place: &AssetPlace<'_>) -> ApiError {
    if let ResolveError::Store(error) = error {
        return error.into();
    }
    let detail = format!("Nothing is published as {}.", place.name);
    ApiError::new(StatusCode::NOT_FOUND, Code::ManifestUnknown, detail)
}

fn no_file(place: &AssetPlace<'_>) -> ApiError {
    let detail = format!("There is no file named {} in {}.", place.file, place.name);
    ApiError::new(StatusCode::NOT_FOUND, Code::FileUnknown, detail)
}
