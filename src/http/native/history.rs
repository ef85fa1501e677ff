//! `/history/NAME[@SELECTOR]`: every change of a name, newest first.

use axum::extract::State;
use axum::http::header::{HeaderMap, HeaderValue, LINK, VARY};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;

use super::pages::{self, HistoryView, Site, browse};
use super::parameters as p;
use crate::access::Caller;
use crate::domain::{ManifestName, Origin, Selector, Target};
use crate::http::error::ApiError;
use crate::http::extract::{Params, Rest};
use crate::http::openapi::{Document, Operation, json_of, text};
use crate::http::rfc::accept::WantsHtml;
use crate::http::rfc::caching::{Freshness, set_freshness};
use crate::http::serving::intake;
use crate::http::state::AppState;
use crate::protocol::AsOf;
use crate::service::{HistoryEntry, HistoryQuery, ResolveError};
use crate::wire::{ChangeEntry, ChangeOrigin, Changes, Deletion, limits};

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/history/{*name}", get(show))
}

/// The operation belongs to the tag of [`super::versions`].
pub(super) fn describe(document: &mut Document) {
    let show = Operation::new("get", "history", "Every change of a name: who, what, when and why")
        .about(
            "Newest first. With a selector only the changes that concern that version. The history of a deleted name stays. \
             A page reads one small object for each change on it, and for each step between them.",
        )
        .by_policy()
        .takes(&[&p::BEFORE_GENERATION, &p::LIMIT_CHANGES, &p::ALL_STEPS])
        .answers(
            200,
            "A page of changes. Browsers get a page of at most 50.",
            &[&p::LINK, &p::CACHE_CONTROL],
            [json_of::<Changes>(), text("text/html")],
        )
        .fails(&[400, 401, 403, 404, 410, 500, 503]);
    document.path("/history/{target}", &[&p::TARGET], [show]);
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    before: Option<u64>,
    limit: Option<usize>,
    #[serde(default)]
    all: bool,
}

async fn show(
    State(state): State<AppState>,
    caller: Caller,
    (WantsHtml(html), site): (WantsHtml, Site),
    rest: Rest,
    Params(page): Params<Page>,
) -> Result<Response, ApiError> {
    let target = rest.target()?;
    caller.require_read(&state.access, &target.name)?;
    let version = version(&state, &target).await?;
    let limit = page.limit.unwrap_or(limits::CHANGES).clamp(1, if html { browse::ROWS } else { limits::MAX_CHANGES });
    let query = HistoryQuery { before: page.before, limit, steps: page.all, version };
    // A page reads a head for each change, which the store has and no cache: those who ask for many take turns.
    let turn = intake::turn(&state, &caller).await?;
    let found = state.histories.page(&target.name, query).await?;
    drop(turn);
    let found = found.ok_or_else(|| ResolveError::NoSuchName(target.name.clone()))?;
    let mut headers = HeaderMap::new();
    headers.insert(VARY, HeaderValue::from_static("Accept"));
    // What a caller may know of origins differs.
    set_freshness(&mut headers, Freshness::Revalidate, false);
    if let Some(before) = found.next.filter(|_| !html) {
        let (base, all) = (&state.base, if page.all { "&all=true" } else { "" });
        let link = format!("<{base}/history/{target}?before={before}&limit={limit}{all}>; rel=\"next\"");
        headers.insert(LINK, HeaderValue::try_from(link).map_err(ApiError::internal)?);
    }
    let body = Changes {
        generation: found.head.generation,
        active: found.head.active().map(|row| row.number),
        deleted: found.head.deleted.as_ref().map(Deletion::from),
        changes: found.entries.into_iter().map(|entry| change(entry, &state, &caller)).collect(),
        next: found.next,
        name: target.name.clone(),
    };
    if html {
        let (first, public) = (page.before.is_none(), state.access.is_public(&target.name));
        let view = HistoryView { site: &site, target: &target, changes: &body, all: page.all, first, public };
        return Ok((headers, pages::history(&view)).into_response());
    }
    Ok((headers, Json(body)).into_response())
}

/// The number of the version that the history is to be about.
async fn version(state: &AppState, target: &Target) -> Result<Option<u64>, ApiError> {
    match target.selector {
        _ if !target.explicit => Ok(None),
        // Also those that were given up, whose rows are gone.
        Selector::Number(number) => Ok(Some(number)),
        _ => Ok(Some(state.resolve.row(target, AsOf::Now).await?.row.number)),
    }
}

fn change(entry: HistoryEntry, state: &AppState, caller: &Caller) -> ChangeEntry {
    let HistoryEntry { generation, time, operation, label, from, to } = entry;
    let may_know = |origin: &Origin| match origin.name.as_deref().filter(|_| origin.is_copy()) {
        // Whoever may read a copy need not be allowed to know the name that it was made from.
        Some(name) => name.parse().is_ok_and(|name: ManifestName| state.access.may_read(caller, &name)),
        None => true,
    };
    let origin = operation.from.filter(|origin| may_know(origin)).map(|origin| ChangeOrigin {
        name: origin.name.map(Into::into),
        version: origin.version,
        manifest: origin.manifest,
        url: origin.url.map(Into::into),
        published_at: origin.published_at,
    });
    ChangeEntry {
        generation,
        at: time,
        action: operation.action,
        issuer: operation.by.issuer().to_owned(),
        id: operation.by.id().to_owned(),
        by: operation.by,
        claims: operation.claims,
        via: operation.via.map(Into::into),
        version: operation.version,
        label,
        versions: operation.versions,
        from,
        to,
        origin,
        reason: operation.reason,
    }
}
