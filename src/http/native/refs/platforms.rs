//! `/refs/NAME[@SELECTOR]?os=linux&arch=arm64`: a link that leads to the file for a platform, whatever it is called.

use axum::Json;
use axum::extract::{FromRequestParts as _, Query, Request};
use axum::http::header::{CONTENT_LOCATION, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, VARY};
use axum::http::{StatusCode, Uri};
use axum::response::{Html, IntoResponse as _, Response};
use maud::{DOCTYPE, html};
use serde::Deserialize;
use serde_json::json;

use super::redirect;
use crate::access::Caller;
use crate::domain::manifest::Artifact;
use crate::domain::platform::{Choice, Stated, Traits, choose};
use crate::domain::text::Escaped;
use crate::domain::{ManifestName, Target};
use crate::http::error::ApiError;
use crate::http::extract::Rest;
use crate::http::rfc::accept::WantsHtml;
use crate::http::rfc::caching::set_freshness;
use crate::http::serving::reading::Reading;
use crate::http::serving::rendered::origin;
use crate::http::serving::rendering::render;
use crate::http::state::AppState;
use crate::protocol::AsOf;
use crate::service::{ResolveError, Resolved};
use crate::wire::{Code, PlatformFile, PlatformFiles, file_address, headers};

const FALLBACK: HeaderName = HeaderName::from_static(headers::FALLBACK);
/// Most files that an answer lists.
const MAX_LISTED: usize = 100;
/// A page without scripts and styles.
const POLICY: &str = "default-src 'none'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

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
    let choice = render(state, caller, loaded.bytes.len() as u64, || choose(files, &wanted)).await?;
    let Choice { files: chosen, fallback } = choice;
    let list = List {
        origin: origin(&state.base, &request.headers, request.uri.authority().map(AsRef::as_ref)),
        found: &found,
        target,
    };
    let mut response = match *chosen.as_slice() {
        [] => return Err(list.none(files, &wanted)),
        [one] => {
            let mut response = redirect(state, reading, &found, one, false)?;
            let exact = format!("{}/{}", state.base, file_address(&target.name, found.row.number, &one.name));
            let exact = HeaderValue::try_from(exact).map_err(ApiError::internal)?;
            response.headers_mut().insert(CONTENT_LOCATION, exact);
            response
        }
        _ => list.several(&chosen, html),
    };
    set_freshness(response.headers_mut(), reading.freshness(&found), reading.is_public);
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
    fn several(&self, chosen: &[&Artifact], html: bool) -> Response {
        let listed: Vec<_> = chosen.iter().take(MAX_LISTED).filter_map(|file| self.file(file)).collect();
        let more = chosen.len() - listed.len();
        let vary = [(VARY, "Accept")];
        if !html {
            let body = PlatformFiles { version: self.found.row.number, files: listed, more };
            return (StatusCode::MULTIPLE_CHOICES, vary, Json(body)).into_response();
        }
        let title = format!("Files of {}@{}", self.target.name, self.found.row.number);
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head { meta charset="utf-8"; meta name="viewport" content="width=device-width"; title { (title) } }
                body {
                    h1 { (title) }
                    p { "Several files are for this platform:" }
                    ul {
                        @for file in &listed {
                            li { a href=(file.url) { (Escaped::new(&file.name)) } " (" (file.size) " bytes)" }
                        }
                    }
                    @if more > 0 { p { "And " (more) " more." } }
                }
            }
        };
        let policy = [(CONTENT_SECURITY_POLICY, POLICY)];
        (StatusCode::MULTIPLE_CHOICES, vary, policy, Html(page.into_string())).into_response()
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
