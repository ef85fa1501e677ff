//! `/collector/runs`: reports of the collector's runs, for administrators.

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Deserialize;

use super::parameters as p;
use crate::access::Caller;
use crate::domain::{Permission, RunId};
use crate::http::error::ApiError;
use crate::http::extract::{Params, Rest};
use crate::http::openapi::{Document, Operation, json_of, text};
use crate::http::state::AppState;
use crate::upkeep::collect::RunSummary;
use crate::wire::limits;
use crate::wire::runs::{Run, RunPage};

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/collector/runs", get(page)).route("/collector/runs/{*run}", get(show))
}

/// These operations belong to the tag that [`super::index`] adds.
pub(super) fn describe(document: &mut Document) {
    let list = Operation::new("get", "listRuns", "Runs of the collector, newest first")
        .by_token("Needs a token that grants `admin`.")
        .takes(&[&p::BEFORE_RUN, &p::LIMIT_RUNS])
        .answers(200, "A page of them.", &[&p::CACHE_CONTROL], [json_of::<RunPage>()])
        .fails(&[400, 401, 403, 500, 503]);
    document.path("/collector/runs", &[], [list]);
    let show = Operation::new("get", "showRun", "One run of the collector")
        .by_token("Needs a token that grants `admin`.")
        .answers(200, "Its report, or how it was set up while it has none.", &[&p::CACHE_CONTROL], [json_of::<Run>()])
        .fails(&[401, 403, 404, 500, 503]);
    document.path("/collector/runs/{run}", &[&p::RUN], [show]);
    let plan = Operation::new("get", "showRunPlan", "What a run was about to delete")
        .by_token(
            "One JSON document a line, for each version it retired and each copy of a blob it meant to delete, with the \
             reason. It is stored before anything is deleted. Empty when there was nothing to do. Needs a token that \
             grants `admin`.",
        )
        .answers(200, "The plan.", &[&p::CACHE_CONTROL], [text("application/x-ndjson")])
        .fails(&[401, 403, 404, 500, 503]);
    document.path("/collector/runs/{run}/plan", &[&p::RUN], [plan]);
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    before: Option<RunId>,
    limit: Option<usize>,
}

async fn page(State(state): State<AppState>, caller: Caller, Params(page): Params<Page>) -> Result<Response, ApiError> {
    caller.require_somewhere(Permission::Admin)?;
    let limit = page.limit.unwrap_or(limits::RUNS).clamp(1, limits::MAX_RUNS);
    // One more than requested, to learn whether there is a next page.
    let mut runs = state.runs.page(page.before, limit + 1).await?;
    let more = runs.len() > limit;
    runs.truncate(limit);
    let next = runs.last().filter(|_| more).map(RunSummary::run);
    Ok(([(CACHE_CONTROL, "no-store")], Json(RunPage { runs: runs.iter().map(Run::from).collect(), next }))
        .into_response())
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
    Ok(([(CACHE_CONTROL, "no-store")], Json(Run::from(&summary))).into_response())
}

/// Concatenates the plans of all passes of a run.
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
