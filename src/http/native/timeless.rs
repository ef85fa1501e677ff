//! `/timeless/C/…`: a catalog as tools of the Timeless Stack read it. All of it is made of the active document when it is
//! asked for; nothing is stored.
//!
//! Those tools take anything but 404 for a failure that ends what they do, and go to the next warehouse after a 404. So
//! there is one answer for whatever is not to be had, whyever it is not: unknown, retired, withdrawn, or not for the
//! caller.

use std::fmt::Display;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LINK, LOCATION, REFERRER_POLICY};
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

use super::blobs::require_blob_read;
use super::parameters as p;
use crate::access::Caller;
use crate::domain::catalog::{self, CatalogName};
use crate::domain::timeless::{LINEAGE_FILE, MIRRORS_FILE, Mirrors, WarePath, holders};
use crate::domain::{FileName, Target};
use crate::http::error::ApiError;
use crate::http::extract::{RequestedFreshness, Rest};
use crate::http::openapi::{Document, Operation, text};
use crate::http::rfc::caching::{Freshness, set_freshness};
use crate::http::rfc::hardening::defuse;
use crate::http::serving::origin::Origin;
use crate::http::serving::reading::Reading;
use crate::http::serving::rendered::Rendered;
use crate::http::state::AppState;
use crate::protocol::AsOf;
use crate::service::catalogs::ActiveCatalog;
use crate::wire::{Code, blob_address, headers};

const GENERATION: HeaderName = HeaderName::from_static(headers::GENERATION);
const SERIAL: HeaderName = HeaderName::from_static(headers::SERIAL);
/// The folder of wares.
const WAREHOUSE: &str = "/warehouse/";
/// How many releases that have a ware are tried: the newest may be retired, or not for the caller.
const TRIED: usize = 8;

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/timeless/{*place}", get(show))
}

pub(super) fn describe(document: &mut Document) {
    document.tag("timeless", "Catalogs as tools of the Timeless Stack read them. Whatever is not to be had is 404.");
    let file = |method, id, summary, about| {
        Operation::new(method, id, summary)
            .about(about)
            .by_policy()
            .takes(&[&p::IF_NONE_MATCH])
            .answers(
                200,
                "The file, in the canonical form.",
                &[&p::ETAG, &p::CACHE_CONTROL, &p::LARDER_GENERATION, &p::LARDER_SERIAL],
                [text("application/json")],
            )
            .empty(304, "The client has the file already.", &[&p::ETAG, &p::CACHE_CONTROL])
            .fails(&[404, 412, 500, 503])
    };
    let lineage = |method, id| {
        file(method, id, "The lineage of a catalog", "All releases, each with those of its items that are wares.")
    };
    let operations = [lineage("get", "lineage"), lineage("head", "headLineage")];
    document.path("/timeless/{catalog}/lineage.tl", &[&p::CATALOG], operations);
    let mirrors = |method, id| {
        let about = "The warehouses that the catalog states, and the one of this server if the catalog has files that are \
                     wares.";
        file(method, id, "The mirrors of a catalog", about)
    };
    let operations = [mirrors("get", "mirrors"), mirrors("head", "headMirrors")];
    document.path("/timeless/{catalog}/mirrors.tl", &[&p::CATALOG], operations);
    let ware = |method, id| {
        Operation::new(method, id, "Redirect to a ware")
            .about(
                "The address of the warehouse is `ca+URL/timeless/CATALOG/warehouse`. The file is that of the newest release \
                 which has it. That it is the ware is what the catalog's author says.",
            )
            .by_policy()
            .answers(307, "Where the bytes are.", &[&p::LOCATION, &p::CACHE_CONTROL, &p::LINK], [text("text/plain")])
            .fails(&[404, 500, 503])
    };
    let places = [&p::CATALOG, &p::WARE_FIRST, &p::WARE_SECOND, &p::WARE_HASH];
    let operations = [ware("get", "ware"), ware("head", "headWare")];
    document.path("/timeless/{catalog}/warehouse/{first}/{second}/{hash}", &places, operations);
}

/// What a path behind `/timeless/` leads to.
#[derive(Debug, PartialEq, Eq)]
enum Place<'a> {
    Lineage,
    Mirrors,
    Ware(WarePath<'a>),
}

/// Splits a path into a catalog and what is asked of it. Read from its end, because a catalog's name may have any of
/// these segments in it.
fn parse(path: &str) -> Option<(CatalogName, Place<'_>)> {
    let (above, file) = path.rsplit_once('/')?;
    let (catalog, place) = match file {
        LINEAGE_FILE => (above, Place::Lineage),
        MIRRORS_FILE => (above, Place::Mirrors),
        _ => {
            let at = path.rfind(WAREHOUSE)?;
            (&path[..at], Place::Ware(WarePath::parse(&path[at + WAREHOUSE.len()..])?))
        }
    };
    Some((catalog.parse().ok()?, place))
}

/// Handles HEAD as well.
async fn show(
    State(state): State<AppState>,
    caller: Caller,
    rest: Result<Rest, ApiError>,
    RequestedFreshness(fresh): RequestedFreshness,
    request: Request,
) -> Result<Response, ApiError> {
    let rest = rest.map_err(|_| absent())?;
    let (catalog, place) = parse(&rest.0).ok_or_else(absent)?;
    let asked = Asked { state: &state, caller: &caller, fresh };
    let (request, _) = request.into_parts();
    asked.answer(&catalog, place, &request).await.map_err(hidden)
}

/// The same for everything that is not to be had.
fn absent() -> ApiError {
    let detail = "There is no such lineage or ware, or not for you.";
    ApiError::new(StatusCode::NOT_FOUND, Code::NotFound, detail)
}

/// Hides why something is not to be had. Failures of the server, and of preconditions, stay what they are.
fn hidden(error: ApiError) -> ApiError {
    match error.status() {
        StatusCode::PRECONDITION_FAILED => error,
        status if status.is_server_error() => error,
        _ => absent(),
    }
}

/// Who asks.
struct Asked<'a> {
    state: &'a AppState,
    caller: &'a Caller,
    fresh: AsOf,
}

impl Asked<'_> {
    async fn answer(&self, catalog: &CatalogName, place: Place<'_>, request: &Parts) -> Result<Response, ApiError> {
        let Self { state, caller, fresh } = *self;
        caller.require_read(&state.access, &catalog.manifest())?;
        require_blob_read(&state.access, caller)?;
        match place {
            Place::Lineage => {
                let (active, view) = state.catalogs.timeless(catalog, fresh).await?;
                let document = self.document(catalog, &active, LINEAGE_FILE, view.lineage, true);
                document.answer_with(view.digest, &request.headers)
            }
            Place::Mirrors => {
                let (active, view) = state.catalogs.timeless(catalog, fresh).await?;
                let origin = Origin::of(&state.base, &request.headers, request.uri.authority());
                let address = origin
                    .address
                    .map(|base| format!("ca+{base}/timeless/{catalog}{}", WAREHOUSE.trim_end_matches('/')));
                let own = address.iter().flat_map(|address| view.packed.iter().map(|kind| (*kind, address.clone())));
                let mirrors = Mirrors::of(&active.document, &own.collect::<Vec<_>>()).write();
                self.document(catalog, &active, MIRRORS_FILE, mirrors.into(), origin.is_configured)
                    .answer(&request.headers)
            }
            Place::Ware(WarePath { hash }) => self.ware(catalog, hash).await,
        }
    }

    fn document(
        &self,
        catalog: &CatalogName,
        active: &ActiveCatalog,
        file: &str,
        bytes: axum::body::Bytes,
        is_cacheable: bool,
    ) -> Rendered {
        let name = catalog.manifest();
        let mut headers = HeaderMap::new();
        headers.insert(SERIAL, HeaderValue::from(active.document.serial));
        headers.insert(GENERATION, HeaderValue::from(active.found.generation));
        Rendered {
            bytes,
            media_type: "application/json",
            location: format!("{}/timeless/{catalog}/{file}", self.state.base),
            freshness: Freshness::Revalidate,
            public: self.state.access.is_public(&name),
            headers,
            heads: Some(vec![(name, active.found.generation)]),
            is_cacheable,
        }
    }

    /// The redirect to the file that a release has of this ware.
    async fn ware(&self, catalog: &CatalogName, hash: &str) -> Result<Response, ApiError> {
        let is_public = self.state.access.is_public(&catalog.manifest());
        let hash = hash.to_owned();
        let look = move |document: &catalog::Document| -> Vec<(Target, FileName)> {
            let held = holders(document, &hash).take(TRIED);
            held.filter_map(|(release, file)| Some((release.target()?, file))).collect()
        };
        let (_, _, held) = self.state.catalogs.look_through(catalog, self.fresh, look).await?;
        for (target, file) in held {
            match self.file(target, &file, is_public).await {
                Err(error) if !error.status().is_server_error() => {}
                found => return found,
            }
        }
        Err(absent())
    }

    async fn file(&self, target: Target, file: &FileName, is_public: bool) -> Result<Response, ApiError> {
        let Self { state, caller, fresh } = *self;
        let reading = Reading::new(&state.resolve, &state.access, caller, target, fresh).await?;
        let (found, loaded) = state.resolve.manifest(reading.target(), fresh).await?;
        let artifact = loaded.file(file)?.ok_or_else(absent)?;
        let location = format!("{}/{}", state.base, blob_address(artifact));
        let described =
            format!("<{}/manifests/{}@{}>; rel=\"describedby\"", state.base, reading.target().name, found.row.number);
        let mut headers = HeaderMap::with_capacity(6);
        headers.insert(LOCATION, header(&location)?);
        headers.insert(LINK, header(described)?);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        // The release may be retired, and the next one has other bytes of the same files.
        set_freshness(&mut headers, Freshness::Revalidate, is_public && reading.is_public);
        defuse(&mut headers);
        Ok((StatusCode::TEMPORARY_REDIRECT, headers, location + "\n").into_response())
    }
}

fn header(text: impl Display) -> Result<HeaderValue, ApiError> {
    HeaderValue::try_from(text.to_string()).map_err(ApiError::internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_read_from_its_end() {
        let place = |path| parse(path).map(|(catalog, place)| (catalog.to_string(), place));
        let of = |catalog: &str, place| Some((catalog.to_owned(), place));
        assert_eq!(place("a.example/tool/lineage.tl"), of("a.example/tool", Place::Lineage));
        assert_eq!(place("a.example/lineage.tl/lineage.tl"), of("a.example/lineage.tl", Place::Lineage));
        assert_eq!(place("a/warehouse/mirrors.tl"), of("a/warehouse", Place::Mirrors));
        let ware = |hash| Place::Ware(WarePath { hash });
        assert_eq!(place("a/warehouse/abc/def/abcdefg"), of("a", ware("abcdefg")));
        assert_eq!(place("a/warehouse/warehouse/abc/def/abcdefg"), of("a/warehouse", ware("abcdefg")));
        for nothing in [
            "lineage.tl",
            "/lineage.tl",
            "A/lineage.tl",
            "a/../lineage.tl",
            "a/lineage",
            "a/warehouse/abc/xyz/abcdefg",
            "a/warehouse/abcdefg",
            "a/warehouse/",
            "a",
            "",
        ] {
            assert_eq!(place(nothing), None, "{nothing}");
        }
    }
}
