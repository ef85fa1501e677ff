//! `/refs/NAME[@SELECTOR]?os=linux&arch=arm64`: a link that leads to the file for a platform, whatever it is called.

use axum::Json;
use axum::extract::{FromRequestParts as _, Query, Request};
use axum::http::header::{CONTENT_LOCATION, HeaderName, HeaderValue, VARY};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::json;

use super::redirect;
use crate::access::Caller;
use crate::domain::manifest::Artifact;
use crate::domain::platform::{Choice, Stated, Traits, choose};
use crate::domain::{ManifestName, Target};
use crate::http::error::ApiError;
use crate::http::extract::Rest;
use crate::http::native::pages::{self, Site};
use crate::http::rfc::accept::WantsHtml;
use crate::http::rfc::caching::set_freshness;
use crate::http::serving::origin::Origin;
use crate::http::serving::reading::Reading;
use crate::http::serving::rendering::render;
use crate::http::state::AppState;
use crate::protocol::AsOf;
use crate::service::{ResolveError, Resolved};
use crate::wire::{Code, PlatformFile, PlatformFiles, file_address, headers};

const FALLBACK: HeaderName = HeaderName::from_static(headers::FALLBACK);
/// Most files that an answer lists.
const MAX_LISTED: usize = 100;

#[derive(Deserialize)]
struct Wanted {
    os: Option<String>,
    arch: Option<String>,
    libc: Option<String>,
    format: Option<String>,
    kind: Option<String>,
    target: Option<String>,
}

/// Whether a query may be that of a platform link.
pub(super) fn is_asked(uri: &Uri) -> bool {
    let Some(query) = uri.query() else { return false };
    let names = ["os=", "arch=", "libc=", "format=", "kind=", "target="];
    query.split('&').any(|pair| names.iter().any(|name| pair.starts_with(name)))
}

/// What a query says of the wanted file.
pub(super) fn stated(uri: &Uri) -> Result<Stated, ApiError> {
    let Query(Wanted { os, arch, libc, format, kind, target }) = Query::try_from_uri(uri)
        .map_err(|error| ApiError::bad_request(Code::QueryInvalid, format!("A query parameter is wrong: {error}.")))?;
    Ok(Stated { os, arch, libc, format, kind, target })
}

/// The name or version that a platform link is about; `None` if the path is that of a file. Updaters add such parameters
/// to the addresses of files, too, so a path without a selector is a name only if that exists.
pub(super) async fn target(
    state: &AppState,
    caller: &Caller,
    rest: &Rest,
    fresh: AsOf,
) -> Result<Option<Target>, ApiError> {
    let Ok(target) = rest.target() else { return Ok(None) };
    let Some((parent, _)) = target.name.as_str().rsplit_once('/').filter(|_| !target.explicit) else {
        return Ok(Some(target));
    };
    if !state.access.may_read(caller, &target.name) {
        let file_is_readable = parent.parse().is_ok_and(|parent: ManifestName| state.access.may_read(caller, &parent));
        return Ok(Some(target).filter(|_| !file_is_readable));
    }
    match state.resolve.row(&target, fresh).await {
        Err(ResolveError::NoSuchName(_)) => Ok(None),
        _ => Ok(Some(target)),
    }
}

pub(super) async fn follow(
    (state, caller): (&AppState, &Caller),
    reading: &Reading,
    fresh: AsOf,
    request: Request,
) -> Result<Response, ApiError> {
    let (mut request, _) = request.into_parts();
    let Ok(WantsHtml(html)) = WantsHtml::from_request_parts(&mut request, state).await;
    let stated = stated(&request.uri)?;
    let wanted = Traits::wanted(&stated);
    if wanted == Traits::default() {
        let detail = "`target` names no platform that is known here; write os=linux&arch=amd64, or a target triple.";
        return Err(ApiError::bad_request(Code::QueryInvalid, detail));
    }
    let target = reading.target();
    let (found, loaded) = state.resolve.manifest(target, fresh).await?;
    let files = &loaded.manifest()?.files;
    let choice = render(state, caller, loaded.weight(), || choose(files, &wanted)).await?;
    let Choice { files: chosen, fallback } = choice;
    let origin = Origin::of(&state.base, &request.headers, request.uri.authority());
    let list =
        List { origin: origin.address.clone().unwrap_or_else(|| "http://localhost".to_owned()), found: &found, target };
    let mut response = match *chosen.as_slice() {
        [] => return Err(list.none(files, &wanted)),
        [one] => {
            let mut response = redirect(state, reading, (&found, one), false, None)?;
            let exact = format!("{}/{}", state.base, file_address(&target.name, found.row.number, &one.name));
            let exact = HeaderValue::try_from(exact).map_err(ApiError::internal)?;
            response.headers_mut().insert(CONTENT_LOCATION, exact);
            response
        }
        _ if html => {
            let Ok(site) = Site::from_request_parts(&mut request, state).await;
            list.page(&site, &chosen)
        }
        _ => list.several(&chosen),
    };
    // A list has the host in it that was asked.
    let is_for_all = origin.is_configured || chosen.len() == 1;
    set_freshness(response.headers_mut(), reading.freshness(&found), reading.is_public && is_for_all);
    if let Some(fallback) = fallback {
        response.headers_mut().insert(FALLBACK, HeaderValue::from_static(fallback));
    }
    Ok(response)
}

/// Lists of files of a version.
struct List<'a> {
    origin: String,
    found: &'a Resolved,
    target: &'a Target,
}

impl List<'_> {
    fn file(&self, file: &Artifact) -> Option<PlatformFile> {
        let traits = Traits::of(file)?;
        let owned = |text: Option<std::borrow::Cow<'_, str>>| text.map(std::borrow::Cow::into_owned);
        let address = file_address(&self.target.name, self.found.row.number, &file.name);
        Some(PlatformFile {
            name: file.name.to_string(),
            url: format!("{}/{address}", self.origin),
            digest: file.blob.digest,
            size: file.blob.size,
            platform: owned(traits.platform),
            arch: owned(traits.arch),
            libc: owned(traits.libc),
            format: owned(traits.format),
            kind: owned(traits.kind),
        })
    }

    /// Several files suit: 300, with all of them.
    fn several(&self, chosen: &[&Artifact]) -> Response {
        let (files, more) = self.listed(chosen);
        let body = PlatformFiles { version: self.found.row.number, files, more };
        (StatusCode::MULTIPLE_CHOICES, [(VARY, "Accept")], Json(body)).into_response()
    }

    /// The same for a browser.
    fn page(&self, site: &Site, chosen: &[&Artifact]) -> Response {
        let (files, more) = self.listed(chosen);
        let page = pages::choices(site, (&self.target.name, &self.found.row), &files, more);
        (StatusCode::MULTIPLE_CHOICES, [(VARY, "Accept")], page).into_response()
    }

    /// The first of these files, and how many more there are.
    fn listed(&self, chosen: &[&Artifact]) -> (Vec<PlatformFile>, usize) {
        let listed: Vec<_> = chosen.iter().take(MAX_LISTED).filter_map(|file| self.file(file)).collect();
        let more = chosen.len() - listed.len();
        (listed, more)
    }

    /// No file suits: 404, with those for other platforms.
    fn none(&self, files: &[Artifact], wanted: &Traits<'_>) -> ApiError {
        let fits = |file: &&Artifact| Traits::of(file).is_some_and(|traits| traits.platform.is_some());
        let listed: Vec<_> = files
            .iter()
            .filter(fits)
            .take(MAX_LISTED)
            .filter_map(|file| self.file(file))
            .map(|file| json!(file))
            .collect();
        let there = if listed.is_empty() { "it has no files for platforms" } else { "`files` lists those that it has" };
        let detail =
            format!("Version {} of {} has no file {wanted}; {there}.", self.found.row.number, self.target.name);
        ApiError::new(StatusCode::NOT_FOUND, Code::FileUnknown, detail)
            .with("version", self.found.row.number)
            .with("files", listed)
    }
}
