//! `/versions/NAME@SELECTOR/yank` and `…/floor`: warnings against versions.

use axum::Json;
use axum::body::Body;
use axum::http::header::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::parameters as p;
use super::reasons;
use super::selecting::require_selectable;
use crate::access::Caller;
use crate::domain::{Permission, Selector, Target};
use crate::http::completion::run_to_completion;
use crate::http::error::ApiError;
use crate::http::openapi::{Document, Operation, json_of};
use crate::http::serving::intake;
use crate::http::state::AppState;
use crate::protocol::AsOf;
use crate::service::versions::YankOptions;
use crate::wire::{Code, Floor, FloorRequest, Instead, NameFloor, Row, YankRequest};

/// Largest request body, in bytes.
const MAX_BODY: u64 = 4096;

/// Query of a PUT or DELETE. Each action takes what its description lists, and ignores the rest.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Warning {
    pub(super) reason: Option<String>,
    #[serde(default)]
    pub(super) rollback: bool,
    pub(super) owner: Option<String>,
    #[serde(default)]
    pub(super) force: bool,
}

pub(super) fn describe(document: &mut Document) {
    let yank = Operation::new("put", "yank", "Warn against a version")
        .by_token(
            "The bytes stay and exact addresses (`@NUMBER`, `@sha256:HEX`) still answer, with `Larder-Yanked`; what selects a \
             version by itself skips it, and it cannot be promoted. Needs `retire`, and `promote` where `rollback` takes \
             effect.",
        )
        .takes(&[&p::ROLL_BACK])
        .body(json_of::<YankRequest>())
        .answers(200, "The row as it is now.", &[], [json_of::<Row>()])
        .fails(&[400, 401, 403, 404, 408, 409, 410, 413, 415, 500, 503, 507]);
    let unyank = Operation::new("delete", "unyank", "Take the warning away")
        .by_token("Needs `retire`.")
        .takes(&[&p::REASON])
        .answers(200, "The row as it is now.", &[], [json_of::<Row>()])
        .fails(&[400, 401, 403, 404, 409, 410, 500, 503, 507]);
    document.path("/versions/{target}/yank", &[&p::TARGET_EXPLICIT], [yank, unyank]);
    let set = Operation::new("put", "setFloor", "State the lowest version that clients should run")
        .by_token(
            "Manifests of the name are answered with `Larder-Minimum-Version` from now on. Clients decide what follows from \
             it: nothing is refused. Needs `retire`.",
        )
        .body(json_of::<FloorRequest>())
        .answers(200, "The floor.", &[], [json_of::<NameFloor>()])
        .fails(&[400, 401, 403, 404, 408, 409, 410, 413, 415, 500, 503, 507]);
    let clear = Operation::new("delete", "clearFloor", "Take the floor away")
        .by_token("`NAME@active`: whichever it is. `NAME@NUMBER`: 404 unless it is that version. Needs `retire`.")
        .takes(&[&p::REASON])
        .answers(200, "There is no floor.", &[], [json_of::<NameFloor>()])
        .fails(&[400, 401, 403, 404, 500, 503, 507]);
    document.path("/versions/{target}/floor", &[&p::TARGET_EXPLICIT], [set, clear]);
}

pub(super) async fn yank(
    state: AppState,
    caller: Caller,
    target: Target,
    query: Warning,
    (headers, body): (&HeaderMap, Body),
) -> Result<Response, ApiError> {
    caller.require(Permission::Retire, &target.name)?;
    if query.rollback {
        caller.require(Permission::Promote, &target.name)?;
    }
    require_selectable(&state, &target).await?;
    let example = r#"{"reason": "TEXT", "instead": "SELECTOR"}"#;
    let YankRequest { reason, instead } = request(&state, &caller, headers, body, example).await?;
    let reason = reasons::required(reason)?;
    let instead = match instead {
        None => None,
        Some(Instead::Number(number)) => Some(number.to_string()),
        Some(Instead::Selector(text)) => Some(text),
    };
    let instead = match instead {
        Some(text) => Some(Target { selector: text.parse()?, explicit: true, ..target.clone() }),
        None => None,
    };
    let options = YankOptions { reason, instead, rollback: query.rollback };
    let (tasks, by) = (state.tasks.clone(), caller.author());
    let work = async move { Ok(state.versions.yank(&target, options, by).await?) };
    let receipt = run_to_completion(&tasks, work).await?;
    Ok(Json(Row::from(&receipt.row)).into_response())
}

pub(super) async fn unyank(
    state: AppState,
    caller: Caller,
    target: Target,
    query: Warning,
) -> Result<Response, ApiError> {
    caller.require(Permission::Retire, &target.name)?;
    require_selectable(&state, &target).await?;
    let by = caller.author().because(reasons::optional(query.reason)?.as_deref());
    let tasks = state.tasks.clone();
    let receipt = run_to_completion(&tasks, async move { Ok(state.versions.unyank(&target, by).await?) }).await?;
    Ok(Json(Row::from(&receipt.row)).into_response())
}

pub(super) async fn set_floor(
    state: AppState,
    caller: Caller,
    target: Target,
    (headers, body): (&HeaderMap, Body),
) -> Result<Response, ApiError> {
    caller.require(Permission::Retire, &target.name)?;
    require_selectable(&state, &target).await?;
    let request: FloorRequest = request(&state, &caller, headers, body, r#"{"reason": "TEXT"}"#).await?;
    let reason = reasons::required(request.reason)?;
    let (tasks, by) = (state.tasks.clone(), caller.author());
    let head =
        run_to_completion(&tasks, async move { Ok(state.versions.set_floor(&target, reason, by).await?) }).await?;
    let floor = head.floor.as_deref().map(Floor::from);
    Ok(Json(NameFloor { name: head.name.governing(), generation: head.generation, floor }).into_response())
}

pub(super) async fn clear_floor(
    state: AppState,
    caller: Caller,
    target: Target,
    query: Warning,
) -> Result<Response, ApiError> {
    let name = target.name.clone();
    caller.require(Permission::Retire, &name)?;
    let version = match target.selector {
        // Whatever is active, if anything is: the floor of the name is meant.
        Selector::Active => None,
        Selector::Number(number) => Some(number),
        _ => Some(state.resolve.row(&target, AsOf::Now).await?.row.number),
    };
    let by = caller.author().because(reasons::optional(query.reason)?.as_deref());
    let tasks = state.tasks.clone();
    let head =
        run_to_completion(&tasks, async move { Ok(state.versions.clear_floor(&name, version, by).await?) }).await?;
    Ok(Json(NameFloor { name: head.name.governing(), generation: head.generation, floor: None }).into_response())
}

async fn request<T: DeserializeOwned>(
    state: &AppState,
    caller: &Caller,
    headers: &HeaderMap,
    body: Body,
    example: &str,
) -> Result<T, ApiError> {
    let held = intake::hold(state, &state.memory.questions, caller, headers, body, MAX_BODY).await?;
    intake::document(&held.bytes, Code::RequestInvalid, example)
}
