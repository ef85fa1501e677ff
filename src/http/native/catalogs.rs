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
use crate::domain::catalog::{self, CatalogName, Release};
use crate::domain::{FileName, Head, ManifestName, Target, Ware};
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
use crate::protocol::AsOf;
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
    let is_public = state.access.is_public(&name);
    if let Some(release) = release {
        let asked = Asked { catalog, release, item, plain: prefers_text(request.headers()) };
        return asked.answer(&state, &caller, is_public, fresh).await;
    }
    let active = state.catalogs.active(&catalog, fresh).await?;
    let headers = head(active.document.serial, active.found.generation, is_public);
    if html {
        let root = state.catalogs.root(&active).await?;
        let tuf = state.tuf.shows(&catalog, &active).await?;
        let signers = state.catalogs.signers(&active, root.as_ref()).await?;
        let keys = root.as_ref().map(|root| (root, &*signers));
        return Ok((headers, pages::catalog(&site, &active, (keys, tuf), query.page.unwrap_or(1))).into_response());
    }
    document(&state, &active, is_public, request.headers(), headers).await
}

/// The headers of all answers about a catalog.
fn head(serial: u64, generation: u64, is_public: bool) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(SERIAL, HeaderValue::from(serial));
    headers.insert(GENERATION, HeaderValue::from(generation));
    headers.insert(VARY, HeaderValue::from_static("Accept"));
    set_freshness(&mut headers, Freshness::Revalidate, is_public);
    headers
}

/// A release that is asked for, or an item of it.
struct Asked {
    catalog: CatalogName,
    release: String,
    item: Option<String>,
    /// Whether one line is asked for, rather than JSON.
    plain: bool,
}

/// What is found of it.
enum Found {
    Line(String),
    Json(Vec<u8>),
    /// An item, and the ware that is stated of a file of a version, if one is.
    Item(CatalogItem, Option<(Target, FileName, Ware)>),
}

impl Asked {
    async fn answer(
        self,
        state: &AppState,
        caller: &Caller,
        is_public: bool,
        fresh: AsOf,
    ) -> Result<Response, ApiError> {
        let catalog = self.catalog.clone();
        let look = move |document: &catalog::Document| self.find(document);
        let (version, serial, found) = state.catalogs.look_through(&catalog, fresh, look).await?;
        let mut headers = head(serial, version.generation, is_public);
        match found? {
            Found::Line(text) => Ok(line(headers, &text)),
            Found::Json(bytes) => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                Ok((headers, bytes).into_response())
            }
            Found::Item(mut item, stated) => {
                if let Some((target, file, ware)) = stated
                    && state.access.may_read(caller, &target.name)
                {
                    item.ware_verified = state.catalogs.is_verified(&target, &file, &ware).await?;
                }
                Ok((headers, Json(item)).into_response())
            }
        }
    }

    /// A release may be as large as the whole document, so it is written here, where that holds up nobody.
    fn find(self, document: &catalog::Document) -> Result<Found, CatalogReadError> {
        let Self { catalog, release, item, plain } = self;
        let found = document.release(&release).ok_or(CatalogReadError::NoSuchRelease(release))?;
        let Some(item) = item else {
            return Ok(if plain {
                Found::Line(found.manifest.to_string())
            } else {
                let release = CatalogRelease::of(&catalog, document.serial, found);
                Found::Json(serde_json::to_vec(&release).unwrap_or_default())
            });
        };
        let Some(listed) = found.items.get(&item) else { return Err(CatalogReadError::NoSuchItem(item)) };
        let entry = CatalogItem::of(&item, listed);
        if plain {
            return Ok(Found::Line(named(found, &entry)));
        }
        let stated = found.target().zip(listed.file(&item)).zip(listed.ware());
        Ok(Found::Item(entry, stated.map(|((target, file), ware)| (target, file, ware))))
    }
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
