//! `/tuf/C/metadata/FILE`, `/tuf/C/targets/DIR/HEX.FILE` and `/tuf/C/key`: catalogs as repositories of TUF.
//!
//! Whatever is not there is 404, even if it was: clients know no other answer to the question for the next root, which
//! they ask each time.

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, LOCATION, REFERRER_POLICY};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};

use super::blobs::require_blob_read;
use super::parameters as p;
use crate::access::Caller;
use crate::domain::Digest;
use crate::domain::catalog::CatalogName;
use crate::http::error::ApiError;
use crate::http::extract::{RequestedFreshness, Rest};
use crate::http::openapi::{Document, Operation, json_of, text};
use crate::http::rfc::caching::{Freshness, set_freshness};
use crate::http::rfc::conditional::etag;
use crate::http::rfc::digests::state_digest;
use crate::http::rfc::hardening::{Hardening, defuse};
use crate::http::serving::bytes::{self, BlobOptions, judged};
use crate::http::serving::download::Download;
use crate::http::serving::response_cache::Cacheable;
use crate::http::state::{AppState, Delivery};
use crate::protocol::AsOf;
use crate::service::tuf::{TufContent, TufFile};
use crate::wire::OnlineKey;
use crate::wire::schema::Anything;

/// The media type of metadata.
const JSON: HeaderValue = HeaderValue::from_static("application/json");

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/tuf/{*path}", get(show))
}

pub(super) fn describe(document: &mut Document) {
    document
        .tag("tuf", "Catalogs as repositories of The Update Framework, where their authors let the server show them.");
    let metadata = |method, id| {
        Operation::new(method, id, "Metadata of TUF")
            .about(
                "Roots and targets are as the author signed them. The server signs the snapshot, which has the version and the end \
                 of the targets, and the timestamp, whose version is the number of the minute and which is valid for a day. \
                 Snapshots and targets of the document before are there, too. What is not there is 404, even if it was.",
            )
            .by_policy()
            .takes(&[&p::IF_NONE_MATCH])
            .answers(200, "The metadata.", &[&p::ETAG, &p::CACHE_CONTROL], [json_of::<Anything>()])
            .empty(304, "The client has it already.", &[&p::ETAG, &p::CACHE_CONTROL])
            .fails(&[401, 403, 404, 412, 416, 500, 503])
    };
    let operations = [metadata("get", "tufMetadata"), metadata("head", "headTufMetadata")];
    document.path("/tuf/{catalog}/metadata/{file}", &[&p::CATALOG, &p::TUF_FILE], operations);
    let target = |method, id| {
        Operation::new(method, id, "Redirect to a target of TUF")
            .about("To the blob with this digest; the directory and the name are not looked up, since clients verify the bytes.")
            .by_policy()
            .answers(307, "Where the bytes are.", &[&p::LOCATION, &p::CACHE_CONTROL], [text("text/plain")])
            .fails(&[401, 403, 404, 500, 503])
    };
    let operations = [target("get", "tufTarget"), target("head", "headTufTarget")];
    document.path("/tuf/{catalog}/targets/{target}", &[&p::CATALOG, &p::TUF_TARGET], operations);
    let key = |method, id| {
        Operation::new(method, id, "The key that signs snapshots and timestamps")
            .about(
                "For the author to name in a root. All servers of a store have the same; the catalog need not exist.",
            )
            .by_policy()
            .answers(200, "The public key.", &[&p::CACHE_CONTROL], [json_of::<OnlineKey>()])
            .fails(&[401, 403, 404, 500, 503])
    };
    document.path("/tuf/{catalog}/key", &[&p::CATALOG], [key("get", "tufKey"), key("head", "headTufKey")]);
}

/// What is asked for of a catalog.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    Key,
    Metadata(TufFile),
    Target(Digest),
}

/// Parses the path behind `/tuf/`. A catalog ends at the first segment `targets`, else before the last segments.
fn parse(path: &str) -> Option<(CatalogName, Wanted)> {
    if let Some((catalog, target)) = path.split_once("/targets/")
        && let Some(digest) = digest(target)
    {
        return Some((catalog.parse().ok()?, Wanted::Target(digest)));
    }
    if let Some(catalog) = path.strip_suffix("/key") {
        return Some((catalog.parse().ok()?, Wanted::Key));
    }
    let (rest, file) = path.rsplit_once('/')?;
    Some((rest.strip_suffix("/metadata")?.parse().ok()?, Wanted::Metadata(TufFile::named(file)?)))
}

/// The digest in `DIR/HEX.FILE`.
fn digest(target: &str) -> Option<Digest> {
    let (hex, name) = target.rsplit('/').next()?.split_once('.')?;
    format!("sha256:{hex}").parse().ok().filter(|_| !name.is_empty())
}

async fn show(
    State(state): State<AppState>,
    caller: Caller,
    rest: Result<Rest, ApiError>,
    RequestedFreshness(fresh): RequestedFreshness,
    request: Request,
) -> Result<Response, ApiError> {
    // Clients know no other answer to what is not there.
    let rest = rest.map_err(|_| ApiError::tuf_unknown())?;
    let (catalog, wanted) = parse(&rest.0).ok_or_else(ApiError::tuf_unknown)?;
    let name = catalog.manifest();
    caller.require_read(&state.access, &name)?;
    require_blob_read(&state.access, &caller)?;
    let public = state.access.is_public(&name);
    match wanted {
        Wanted::Key => {
            let key = OnlineKey::of(catalog.clone(), state.tuf.key(&catalog).await?);
            let mut headers = HeaderMap::new();
            set_freshness(&mut headers, Freshness::Revalidate, public);
            Ok((headers, Json(key)).into_response())
        }
        Wanted::Target(digest) => target(&state, &catalog, digest, public, fresh).await,
        Wanted::Metadata(file) => {
            let freshness = if file == TufFile::Timestamp { Freshness::Brief } else { Freshness::Immutable };
            match state.tuf.file(&catalog, file, fresh).await? {
                TufContent::Stored(digest) => stored(&state, digest, public, request.headers()).await,
                TufContent::Made(bytes) => made(bytes, freshness, public, request.headers()),
            }
        }
    }
}

/// A redirect to the blob of a target.
async fn target(
    state: &AppState,
    catalog: &CatalogName,
    digest: Digest,
    public: bool,
    fresh: AsOf,
) -> Result<Response, ApiError> {
    // Only to ask whether the catalog is shown.
    state.tuf.file(catalog, TufFile::Root(1), fresh).await?;
    let location = format!("{}/blobs/{digest}", state.base);
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(LOCATION, HeaderValue::try_from(&location).map_err(ApiError::internal)?);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    set_freshness(&mut headers, Freshness::Immutable, public);
    defuse(&mut headers);
    Ok((StatusCode::TEMPORARY_REDIRECT, headers, location + "\n").into_response())
}

/// Metadata that an author signed, byte for byte.
async fn stored(state: &AppState, digest: Digest, public: bool, request: &HeaderMap) -> Result<Response, ApiError> {
    let download = Download::shown(JSON);
    let options = BlobOptions {
        download: &download,
        public,
        delivery: Delivery::Stream,
        freshness: Freshness::Immutable,
        modified: None,
        hardening: Hardening::Artefact,
        ranges: 1,
    };
    let mut response = bytes::get(&state.blobs, digest, options, request).await?;
    // Whether it is shown changes with the head; the blob alone does not tell.
    response.extensions_mut().remove::<Cacheable>();
    Ok(response)
}

/// Metadata that this server signed.
fn made(bytes: Bytes, freshness: Freshness, public: bool, request: &HeaderMap) -> Result<Response, ApiError> {
    let digest = Digest::of(&bytes);
    let mut headers = HeaderMap::with_capacity(12);
    headers.insert(ETAG, HeaderValue::try_from(etag(digest)).map_err(ApiError::internal)?);
    headers.insert(CONTENT_TYPE, JSON);
    headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    state_digest(&mut headers, digest);
    set_freshness(&mut headers, freshness, public);
    defuse(&mut headers);
    if let Some(judged) = judged(request, digest, None, &headers)? {
        return Ok(judged);
    }
    Ok((headers, bytes).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_catalog_and_what_is_asked_of_it() {
        let hex = "ab".repeat(32);
        let catalog = |name: &str| name.parse::<CatalogName>().unwrap();
        let target = Some((catalog("example.org/tool"), Wanted::Target(format!("sha256:{hex}").parse().unwrap())));
        assert_eq!(parse(&format!("example.org/tool/targets/v1/bin/{hex}.tool")), target);
        assert_eq!(parse(&format!("example.org/tool/targets/{hex}.tool")), target);
        for wrong in [format!("{hex}."), hex.clone(), format!("{}.tool", &hex[1..]), format!("{hex}.tool/x")] {
            assert_eq!(parse(&format!("example.org/tool/targets/{wrong}")), None, "{wrong}");
        }
        assert_eq!(parse("a.org/metadata/key"), Some((catalog("a.org/metadata"), Wanted::Key)));
        let metadata = |name: &str, file| Some((catalog(name), Wanted::Metadata(file)));
        assert_eq!(parse("a.org/metadata/timestamp.json"), metadata("a.org", TufFile::Timestamp));
        assert_eq!(parse("a.org/metadata/metadata/2.root.json"), metadata("a.org/metadata", TufFile::Root(2)));
        assert_eq!(parse("a.org/targets/metadata/2.root.json"), metadata("a.org/targets", TufFile::Root(2)));
        for wrong in ["a.org", "a.org/metadata", "metadata/timestamp.json", "A.org/key", "a.org/metadata/root.json", ""]
        {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
