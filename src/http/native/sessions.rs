//! `/sessions/NAME`: publishing in three steps, for clients that upload what is missing in between.

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{HeaderMap, HeaderValue, LOCATION};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};

use super::manifests::{publish_options, read_manifest};
use super::versions::receipt_body;
use crate::access::Caller;
use crate::domain::Permission;
use crate::domain::{ManifestName, Rejection, Selector};
use crate::http::extract::{Activation, Params, Rest};
use crate::http::{ApiError, AppState, run_to_completion};
use crate::protocol::ChangeError;
use crate::service::{Prepared, PublishError};

pub(in crate::http) fn routes() -> Router<AppState> {
    Router::new().route("/sessions/{*name}", post(prepare).get(show).put(commit).delete(abort))
}

async fn prepare(
    State(state): State<AppState>,
    caller: Caller,
    rest: Rest,
    Params(activation): Params<Activation>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let name = rest.name()?;
    caller.require(Permission::Publish, &name)?;
    let options = publish_options(&state.access, &name, &headers, activation.activate)?;
    let held = read_manifest(&state, &headers, body).await?;
    let tasks = state.tasks.clone();
    let prepared = run_to_completion(&tasks, async move {
        Ok(state.publish.prepare(&name, held.bytes.clone(), &options, &caller.subject()).await?)
    })
    .await?;
    match prepared {
        Prepared::Unchanged(receipt) => Ok(Json(receipt_body(&receipt)).into_response()),
        Prepared::Session(receipt, missing) => {
            let location = format!("/sessions/{}@{}", receipt.name, receipt.row.number);
            let header = HeaderValue::try_from(&location).map_err(ApiError::internal)?;
            let body = serde_json::json!({
                "name": receipt.name, "version": receipt.row.number, "state": receipt.row.state,
                "missing": missing, "location": location,
            });
            Ok((StatusCode::CREATED, [(LOCATION, header)], Json(body)).into_response())
        }
    }
}

async fn show(State(state): State<AppState>, caller: Caller, rest: Rest) -> Result<Response, ApiError> {
    let (name, number) = session(&rest)?;
    caller.require(Permission::Publish, &name)?;
    let (row, missing) = state.publish.session(&name, number).await.map_err(refusal)?;
    let body = serde_json::json!({"name": name, "version": number, "state": row.state, "missing": missing});
    Ok(Json(body).into_response())
}

async fn commit(
    State(state): State<AppState>,
    caller: Caller,
    rest: Rest,
    Params(activation): Params<Activation>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (name, number) = session(&rest)?;
    caller.require(Permission::Publish, &name)?;
    let options = publish_options(&state.access, &name, &headers, activation.activate)?;
    let tasks = state.tasks.clone();
    let receipt = run_to_completion(&tasks, async move {
        state.publish.commit(&name, number, options, &caller.subject()).await.map_err(refusal)
    })
    .await?;
    let status = if receipt.unchanged { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, Json(receipt_body(&receipt))).into_response())
}

async fn abort(State(state): State<AppState>, caller: Caller, rest: Rest) -> Result<StatusCode, ApiError> {
    let (name, number) = session(&rest)?;
    caller.require(Permission::Publish, &name)?;
    let tasks = state.tasks.clone();
    run_to_completion(&tasks, async move { Ok(state.publish.abort(&name, number, &caller.subject()).await?) }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A session that is not there has most often been given up: by its client, or because its time was over.
fn refusal(error: PublishError) -> ApiError {
    match error {
        PublishError::Change(ChangeError::Rejected(Rejection::NoSuchVersion)) => ApiError::session_unknown(),
        error => error.into(),
    }
}

/// A session is `NAME@NUMBER`.
fn session(rest: &Rest) -> Result<(ManifestName, u64), ApiError> {
    let target = rest.target()?;
    let Selector::Number(number) = target.selector else {
        let detail = "A session is NAME@NUMBER, as the Location of its creation says.";
        return Err(ApiError::bad_request("SELECTOR_INVALID", detail));
    };
    Ok((target.name, number))
}
