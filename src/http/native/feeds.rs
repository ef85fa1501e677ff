//! `/feeds/NAME[@SELECTOR]/FORMAT`: lists of releases as other programs read them, and release notes.
//!
//! All of them are made of the newest head when they are asked for. Behind a selector, a list ends with that version.

mod atom;
mod index;
mod labels;
mod notes;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{HeaderMap, HeaderName, HeaderValue};
use axum::http::request::Parts;
use axum::response::Response;
use axum::routing::get;

use super::parameters as p;
use crate::access::Caller;
use crate::domain::{Head, Target};
use crate::http::error::ApiError;
use crate::http::extract::{RequestedFreshness, Rest};
use crate::http::openapi::{Document, Field, Operation, json_of, text};
use crate::http::rfc::caching::Freshness;
use crate::http::serving::origin::Origin;
use crate::http::serving::rendered::Rendered;
use crate::http::state::AppState;
use crate::protocol::AsOf;
use crate::wire::{Code, IndexEntry, VersionLabels, headers};

const GENERATION: HeaderName = HeaderName::from_static(headers::GENERATION);
/// The formats, as an error lists them.
const FORMATS: &str = "versions.txt, versions.json, index.json, atom.xml, notes";

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/feeds/{*path}", get(feed))
}

pub(super) fn describe(document: &mut Document) {
    document.tag("feeds", "Lists of releases, and their notes.");
    let list = |id, summary, about| {
        Operation::new("get", id, summary).about(about).by_policy().fails(&[400, 401, 403, 404, 410, 412, 500, 503])
    };
    let about = "A release is a version that is or was active, is neither retired nor yanked, and has a label that selects \
                 it. Behind a selector, the list ends with that version.";
    let labels = list("versionsText", "The labels of all releases, oldest first", about);
    let labels = labels.answers(200, "One label a line.", FIELDS, [text("text/plain")]);
    document.path("/feeds/{target}/versions.txt", &[&p::TARGET], [labels]);
    let labels = list("versionsJson", "The labels of all releases, oldest first, as JSON", about);
    let labels = labels.answers(200, "The labels.", FIELDS, [json_of::<VersionLabels>()]);
    document.path("/feeds/{target}/versions.json", &[&p::TARGET], [labels]);
    let entries = list("releaseIndex", "Releases with their files, newest first", "Pages of at most 20 releases.")
        .takes(&[&p::BEFORE, &p::YANKED])
        .answers(200, "A page of them.", INDEX_FIELDS, [json_of::<Vec<IndexEntry>>()]);
    document.path("/feeds/{target}/index.json", &[&p::TARGET], [entries]);
    let atom =
        list("releaseFeed", "The newest releases as a feed", "At most 50, in Atom (RFC 4287), with their notes.")
            .answers(200, "The feed.", FIELDS, [text("application/atom+xml")]);
    document.path("/feeds/{target}/atom.xml", &[&p::TARGET], [atom]);
    let notes = list(
        "releaseNotes",
        "Release notes of a version, or of all since another one",
        "As their publishers wrote them.",
    )
    .takes(&[&p::SINCE])
    .answers(200, "Markdown, newest release first.", FIELDS, [text("text/markdown")]);
    document.path("/feeds/{target}/notes", &[&p::TARGET], [notes]);
}

const FIELDS: &[&Field] = &[&p::ETAG, &p::CONTENT_LOCATION, &p::CACHE_CONTROL, &p::LARDER_GENERATION];
const INDEX_FIELDS: &[&Field] = &[&p::ETAG, &p::CONTENT_LOCATION, &p::CACHE_CONTROL, &p::LARDER_GENERATION, &p::LINK];

/// A request for a feed.
struct Asked<'a> {
    state: &'a AppState,
    caller: &'a Caller,
    target: Target,
    /// The number of the version that a selector selects.
    selected: Option<u64>,
    fresh: AsOf,
    request: &'a Parts,
}

/// Handles HEAD as well.
async fn feed(
    State(state): State<AppState>,
    caller: Caller,
    rest: Rest,
    RequestedFreshness(fresh): RequestedFreshness,
    request: Request,
) -> Result<Response, ApiError> {
    let (target, format) = rest.file()?;
    caller.require_read(&state.access, &target.name)?;
    let (request, _) = request.into_parts();
    let selected = if target.explicit { Some(state.resolve.row(&target, fresh).await?.row.number) } else { None };
    let asked = Asked { state: &state, caller: &caller, target, selected, fresh, request: &request };
    match format.as_str() {
        "versions.txt" => labels::text(&asked).await,
        "versions.json" => labels::json(&asked).await,
        "index.json" => index::page(&asked).await,
        "atom.xml" => atom::feed(&asked).await,
        "notes" => notes::notes(&asked).await,
        _ => {
            let detail = format!("There is no such feed; there are {FORMATS}.");
            Err(ApiError::new(StatusCode::NOT_FOUND, Code::NotFound, detail))
        }
    }
}

impl Asked<'_> {
    /// The versions of a list have lower numbers than this.
    fn before(&self) -> Option<u64> {
        self.selected.map(|number| number + 1)
    }

    /// What absolute addresses begin with.
    fn origin(&self) -> String {
        let origin = Origin::of(&self.state.base, &self.request.headers, self.request.uri.authority());
        origin.address.unwrap_or_else(|| "http://localhost".to_owned())
    }

    /// The answer with a document of this format, whose newest version is `newest`. A document that holds `addresses`
    /// depends on the host that was asked, if the configuration does not say which one to use; then no shared cache keeps it.
    fn answer(
        &self,
        head: &Head,
        newest: Option<u64>,
        (format, media_type): (&str, &'static str),
        bytes: Vec<u8>,
        addresses: bool,
    ) -> Result<Response, ApiError> {
        let Target { name, .. } = &self.target;
        let base = &self.state.base;
        let is_for_all = !addresses || base.url().is_some();
        let query = self.request.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        let location = match self.selected.or(newest) {
            Some(number) => format!("{base}/feeds/{name}@{number}/{format}{query}"),
            None => format!("{base}/feeds/{name}/{format}{query}"),
        };
        let mut headers = HeaderMap::with_capacity(16);
        headers.insert(GENERATION, HeaderValue::from(head.generation));
        let document = Rendered {
            bytes: bytes.into(),
            media_type,
            location,
            // A version that is listed today may be yanked tomorrow.
            freshness: Freshness::Revalidate,
            public: self.state.access.is_public(name) && is_for_all,
            headers,
            heads: Some(vec![(name.clone(), head.generation)]),
            is_cacheable: is_for_all && !self.target.selector.has_many_spellings(),
        };
        document.answer(&self.request.headers)
    }
}
