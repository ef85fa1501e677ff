//! `/catalogs` and `/catalogs/C[/releases/R[/items/I]]`: what authors list and sign. Nothing of it is verified here;
//! readers do that, with the files of `C/_catalog`.

use axum::Json;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, VARY};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use serde::Deserialize;

use super::blobs::require_blob_read;
use super::pages::{self, Site};
use super::parameters as p;
use crate::access::Caller;
use crate::domain::catalog::{CatalogName, Item, Release};
use crate::domain::{Head, ManifestName};
use crate::http::error::ApiError;
use crate::http::extract::{Params, RequestedFreshness, Rest};
use crate::http::openapi::{Document, Operation, json_of, text};
use crate::http::rfc::accept::{WantsHtml, prefers_text};
use crate::http::rfc::caching::{Freshness, set_freshness};
use crate::http::rfc::hardening::Hardening;
use crate::http::serving::bytes::{self, BlobOptions};
use crate::http::serving::download::Download;
use crate::http::serving::response_cache::Cacheable;
use crate::http::state::{AppState, Delivery};
use crate::service::catalogs::{ActiveCatalog, CatalogReadError};
use crate::wire::schema::Anything;
use crate::wire::{CatalogEntry, CatalogItem, CatalogPage, CatalogRelease, Code, headers, limits};

const GENERATION: HeaderName = HeaderName::from_static(headers::GENERATION);
const SERIAL: HeaderName = HeaderName::from_static(headers::SERIAL);

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/catalogs", get(list)).route("/catalogs/{*catalog}", get(show))
}

pub(super) fn describe(document: &mut Document) {
    document
        .tag("catalogs", "Signed lists of releases. The server repeats what their authors state; clients verify it.");
    let list = Operation::new("get", "listCatalogs", "Catalogs")
        .about("Those that the caller may not read are left out.")
        .by_policy()
        .takes(&[&p::PREFIX, &p::AFTER])
        .answers(200, "A page of them, by name.", &[&p::CACHE_CONTROL], [json_of::<CatalogPage>()])
        .fails(&[400, 401, 500, 503]);
    document.path("/catalogs", &[], [list]);
    let show = |method, id| {
        Operation::new(method, id, "The document of a catalog")
            .about("Byte for byte as it was signed. The signatures and roots are files of `CATALOG/_catalog`.")
            .by_policy()
            .takes(&[&p::IF_NONE_MATCH])
            .answers(
                200,
                "The document, or a page for browsers.",
                &[&p::ETAG, &p::CACHE_CONTROL, &p::LARDER_GENERATION, &p::LARDER_SERIAL],
                [json_of::<Anything>(), text("text/html")],
            )
            .empty(304, "The client has the document already.", &[&p::ETAG, &p::CACHE_CONTROL])
            .fails(&[400, 401, 403, 404, 410, 412, 416, 500, 503])
    };
    document.path("/catalogs/{catalog}", &[&p::CATALOG], [show("get", "catalog"), show("head", "headCatalog")]);
    let release = Operation::new("get", "catalogRelease", "A release of a catalog")
        .by_policy()
        .answers(
            200,
            "What its author states; with `Accept: text/plain` its manifest's digest.",
            &[&p::CACHE_CONTROL, &p::LARDER_SERIAL],
            [json_of::<CatalogRelease>(), text("text/plain")],
        )
        .fails(&[400, 401, 403, 404, 410, 500, 503]);
    document.path("/catalogs/{catalog}/releases/{release}", &[&p::CATALOG, &p::RELEASE], [release]);
    let item = Operation::new("get", "catalogItem", "An item of a release of a catalog")
        .by_policy()
        .answers(
            200,
            "Its file and its ware; with `Accept: text/plain` the ware, or the address of the file.",
            &[&p::CACHE_CONTROL, &p::LARDER_SERIAL],
            [json_of::<CatalogItem>(), text("text/plain")],
        )
        .fails(&[400, 401, 403, 404, 410, 500, 503]);
    let places = [&p::CATALOG, &p::RELEASE, &p::ITEM];
    document.path("/catalogs/{catalog}/releases/{release}/items/{item}", &places, [item]);
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Listing {
    #[serde(default)]
    prefix: String,
    after: Option<ManifestName>,
}

/// As many names as a page of them has are looked through for one page of catalogs.
async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Params(listing): Params<Listing>,
) -> Result<Response, ApiError> {
    let visible = |name: &ManifestName| state.access.may_read(&caller, name);
    let page = state.names.page(&listing.prefix, listing.after.as_ref(), limits::MAX_NAMES, visible).await?;
    let entry = |head: &Head| {
        let (name, row) = (CatalogName::of(&head.name.visible()?)?, head.active()?);
        Some(CatalogEntry { name, manifest: row.digest(), promoted_at: row.promoted_at })
    };
    let catalogs = page.heads.iter().filter_map(|head| entry(head)).collect();
    let mut headers = HeaderMap::new();
    headers.insert(VARY, HeaderValue::from_static("Authorization"));
    set_freshness(&mut headers, Freshness::Revalidate, false);
    Ok((headers, Json(CatalogPage { catalogs, next: page.next.map(|name| name.to_string()) })).into_response())
}

/// The part of a path behind `/catalogs/`.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    catalog: CatalogName,
    release: Option<String>,
    item: Option<String>,
}

impl Place {
    /// A catalog ends at the first segment `releases`, a release at the first segment `items`.
    fn parse(path: &str) -> Result<Self, ApiError> {
        let (catalog, rest) = path.split_once("/releases/").map_or((path, None), |(name, rest)| (name, Some(rest)));
        let split = |rest: &str| match rest.split_once("/items/") {
            Some((release, item)) => (release.to_owned(), Some(item.to_owned())),
            None => (rest.to_owned(), None),
        };
        let (release, item) = rest.map(split).map_or((None, None), |(release, item)| (Some(release), item));
        let catalog = catalog
            .parse()
            .map_err(|error| ApiError::bad_request(Code::CatalogName, format!("There is no such catalog: {error}.")))?;
        Ok(Self { catalog, release, item })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    /// Of the releases, on the page for browsers; from 1.
    page: Option<usize>,
}

async fn show(
    State(state): State<AppState>,
    caller: Caller,
    (WantsHtml(html), site): (WantsHtml, Site),
    rest: Rest,
    Params(query): Params<Query>,
    RequestedFreshness(fresh): RequestedFreshness,
    request: Request,
) -> Result<Response, ApiError> {
    let Place { catalog, release, item } = Place::parse(&rest.0)?;
    let name = catalog.manifest();
    caller.require_read(&state.access, &name)?;
    require_blob_read(&state.access, &caller)?;
    let active = state.catalogs.active(&catalog, fresh).await?;
    let is_public = state.access.is_public(&name);
    let mut headers = HeaderMap::new();
    headers.insert(SERIAL, HeaderValue::from(active.document.serial));
    headers.insert(GENERATION, HeaderValue::from(active.found.generation));
    headers.insert(VARY, HeaderValue::from_static("Accept"));
    set_freshness(&mut headers, Freshness::Revalidate, is_public);
    let Some(release) = release else {
        if html {
            let root = state.catalogs.root(&active).await?;
            let tuf = state.tuf.shows(&catalog, &active).await?;
            let signers = state.catalogs.signers(&active, root.as_ref()).await?;
            let keys = root.as_ref().map(|root| (root, &*signers));
            return Ok((headers, pages::catalog(&site, &active, (keys, tuf), query.page.unwrap_or(1))).into_response());
        }
        return document(&state, &active, is_public, request.headers(), headers).await;
    };
    let found = active.document.release(&release).ok_or(CatalogReadError::NoSuchRelease(release))?;
    let plain = prefers_text(request.headers());
    match item {
        None if plain => Ok(line(headers, &found.manifest.to_string())),
        None => Ok((headers, Json(CatalogRelease::of(&catalog, active.document.serial, found))).into_response()),
        Some(item) => {
            let entry = found.items.get(&item).map(|entry| CatalogItem::of(&item, entry));
            let mut entry = entry.ok_or_else(|| CatalogReadError::NoSuchItem(item.clone()))?;
            if !plain {
                entry.ware_verified = is_verified(&state, &caller, found, &item).await?;
            }
            Ok(if plain { line(headers, &named(found, &entry)) } else { (headers, Json(entry)).into_response() })
        }
    }
}

/// Whether this server has computed the ware of an item, as far as the caller may know.
async fn is_verified(state: &AppState, caller: &Caller, release: &Release, item: &str) -> Result<bool, ApiError> {
    let stated = release.items.get(item).and_then(Item::ware);
    let (Some(stated), Some(file), Some(target)) = (stated, release.file(item), release.target()) else {
        return Ok(false);
    };
    let may_read = state.access.may_read(caller, &target.name);
    Ok(may_read && state.catalogs.is_verified(&target, &file, &stated).await?)
}

/// The document, byte for byte.
async fn document(
    state: &AppState,
    active: &ActiveCatalog,
    public: bool,
    request: &HeaderMap,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let download = Download::shown(HeaderValue::from_static("application/json"));
    let options = BlobOptions {
        download: &download,
        public,
        // The address of the store would say nothing about the catalog.
        delivery: Delivery::Stream,
        freshness: Freshness::Revalidate,
        modified: None,
        hardening: Hardening::Artefact,
        ranges: 1,
    };
    let mut response = bytes::get(&state.blobs, active.blob.digest, options, request).await?;
    // What the address means changes with the head; the blob alone does not tell.
    response.extensions_mut().remove::<Cacheable>();
    response.headers_mut().extend(headers);
    Ok(response)
}

/// What an item is, in one line.
fn named(release: &Release, item: &CatalogItem) -> String {
    match (&item.ware, &item.file, release.target()) {
        (Some(ware), ..) => ware.clone(),
        (None, Some(file), Some(target)) => format!("{target}/{file}"),
        _ => release.manifest.to_string(),
    }
}

fn line(mut headers: HeaderMap, text: &str) -> Response {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    (StatusCode::OK, headers, format!("{text}\n")).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_catalog_a_release_or_an_item() {
        let place = |path: &str| {
            let Place { catalog, release, item } = Place::parse(path).ok()?;
            Some((catalog.to_string(), release.unwrap_or_default(), item.unwrap_or_default()))
        };
        let of = |catalog: &str, release: &str, item: &str| Some((catalog.into(), release.into(), item.into()));
        assert_eq!(place("example.org/tool"), of("example.org/tool", "", ""));
        assert_eq!(place("example.org/tool/releases/v1.0+x y"), of("example.org/tool", "v1.0+x y", ""));
        assert_eq!(place("tool/releases/v1/items/bin/tool"), of("tool", "v1", "bin/tool"));
        assert_eq!((place("Tool"), place(""), place("a//releases/b")), (None, None, None));
    }
}
