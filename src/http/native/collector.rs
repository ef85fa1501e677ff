//! `/collector/runs`: what the collector did, for those who may do everything.

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Deserialize;

use crate::access::Caller;
use crate::domain::Permission;
use crate::domain::RunId;
use crate::http::extract::{Params, Rest};
use crate::http::{ApiError, AppState};
use crate::upkeep::collect::RunSummary;

/// Runs on a page, unless asked otherwise.
const PAGE: usize = 20;
/// Most runs on a page.
const MAX_PAGE: usize = 200;

pub(in crate::http) fn routes() -> Router<AppState> {
    Router::new().route("/collector/runs", get(page)).route("/collector/runs/{*run}", get(show))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    before: Option<RunId>,
    limit: Option<usize>,
}

async fn page(State(state): State<AppState>, caller: Caller, Params(page): Params<Page>) -> Result<Response, ApiError> {
    caller.require_somewhere(Permission::Admin)?;
    let limit = page.limit.unwrap_or(PAGE).clamp(1, MAX_PAGE);
    // One more than asked for tells whether there is a next page.
    let mut runs = state.runs.page(page.before, limit + 1).await?;
    let more = runs.len() > limit;
    runs.truncate(limit);
    let next = runs.last().filter(|_| more).map(RunSummary::run);
    Ok(([(CACHE_CONTROL, "no-store")], Json(serde_json::json!({"runs": runs, "next": next}))).into_response())
}

async fn show(State(state): State<AppState>, caller: Caller, Rest(path): Rest) -> Result<Response, ApiError> {
    caller.require_somewhere(Permission::Admin)?;
    let (run, wants_plan) = match path.strip_suffix("/plan") {
        Some(run) => (run, true),
        None => (path.as_str(), false),
    };
    let unknown = || ApiError::run_unknown(run);
    let run: RunId = run.parse().map_err(|_| unknown())?;
    let summary = state.runs.summary(run).await?.ok_or_else(unknown)?;
    if wants_plan {
        return plan(state, run).await;
    }
    Ok(([(CACHE_CONTROL, "no-store")], Json(summary)).into_response())
}

/// The plans of all passes of a run, one after the other.
async fn plan(state: AppState, run: RunId) -> Result<Response, ApiError> {
    let parts = state.runs.plans(run).await?;
    let runs = std::sync::Arc::clone(&state.runs);
    let plans = stream::iter(parts).then(move |first| {
        let runs = std::sync::Arc::clone(&runs);
        async move {
            let plan = runs.plan(run, first).await?;
            Ok::<_, crate::store::StoreError>(plan.map_or_else(|| stream::empty().boxed(), |object| object.body))
        }
    });
    let headers = [(CACHE_CONTROL, "no-store"), (CONTENT_TYPE, "application/x-ndjson")];
    Ok((headers, Body::from_stream(plans.try_flatten())).into_response())
}
