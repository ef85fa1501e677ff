//! `/sessions/NAME`: publishing in three steps, for clients that upload missing blobs in between.

mod parts;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{HeaderMap, HeaderValue, LOCATION};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use jiff::Timestamp;
use serde::Deserialize;

use super::parameters as p;
use super::signatures;
use crate::access::Caller;
use crate::domain::{ManifestName, Origin, Permission, Rejection, Selector};
use crate::http::completion::run_to_completion;
use crate::http::error::ApiError;
use crate::http::expectation::required_expectation;
use crate::http::extract::{Activation, Params, Rest, VersionPath};
use crate::http::openapi::{Document, Operation, either, json_of};
use crate::http::serving::intake;
use crate::http::state::AppState;
use crate::protocol::ChangeError;
use crate::service::publish::PublishOptions;
use crate::service::{Prepared, PublishError};
use crate::wire::manifest::ManifestDocument;
use crate::wire::{BeginParts, Code, OpenSession, OpenSessions, Receipt, Session, is_origin_url, limits};

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/sessions/{*name}", post(prepare).get(show).put(put).delete(abort).fallback(other))
}

pub(super) fn describe(document: &mut Document) {
    document.tag("sessions", "Publishing in steps.");
    let prepare = Operation::new("post", "prepareSession", "Begin to publish in steps")
        .by_token(
            "The address is a name without a selector. The bytes of the manifest are kept and served exactly as they are \
             sent. With `label` and `parts` in place of a manifest, several requests each bring a part of it; whoever \
             states the same label gets the same session. Needs `publish`.",
        )
        .takes(&[
            &p::ACTIVATE,
            &p::FROM_URL,
            &p::FROM_PUBLISHED_AT,
            &p::LARDER_SIGNATURE,
            &p::IF_MATCH_CHANGE,
            &p::IF_NONE_MATCH_CHANGE,
        ])
        .body(either::<ManifestDocument, BeginParts>())
        .answers(
            200,
            "The same manifest was there already; there is no session. Or the session of parts with this label, which was \
             begun or completed before.",
            &[],
            [either::<Receipt, Session>()],
        )
        .answers(
            201,
            "The session. From now on its blobs are protected; upload those that are missing.",
            &[&p::LOCATION],
            [json_of::<Session>()],
        )
        .fails(&[400, 401, 403, 408, 409, 412, 413, 415, 422, 428, 500, 503, 507]);
    let show = Operation::new("get", "showSession", "What a session still lacks, or the open sessions of a name")
        .by_token("With `NAME` in place of `NAME@NUMBER`: the open sessions of the name. Needs `publish`.")
        .answers(200, "The session, or the sessions.", &[], [either::<Session, OpenSessions>()])
        .fails(&[400, 401, 403, 404, 500, 503, 507]);
    let commit = Operation::new("put", "commitSession", "Complete a session")
        .by_token(
            "409 while blobs or parts are missing: the session stays open. Of several requests that complete it at once, one \
             does, and all get the same version. Needs `publish`.",
        )
        .takes(&[&p::ACTIVATE, &p::IF_MATCH_CHANGE, &p::IF_NONE_MATCH_CHANGE])
        .answers(200, "It was complete already.", &[], [json_of::<Receipt>()])
        .answers(201, "The version is complete and, unless staged, active.", &[], [json_of::<Receipt>()])
        .fails(&[400, 401, 403, 404, 409, 410, 412, 428, 500, 503, 507]);
    let abort = Operation::new("delete", "abortSession", "Give a session up")
        .by_token("Needs `publish`.")
        .empty(204, "It is gone.", &[])
        .fails(&[400, 401, 403, 404, 409, 410, 500, 503, 507]);
    document.path("/sessions/{session}", &[&p::SESSION], [prepare, show, commit, abort]);
    parts::describe(document);
}

/// How to begin a session.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Preparation {
    #[serde(default = "yes")]
    activate: bool,
    from_url: Option<String>,
    from_published_at: Option<Timestamp>,
}

fn yes() -> bool {
    true
}

impl Preparation {
    /// The origin that an import states. Never a name: one without an address would be a copy within this store, which
    /// only the server itself may say.
    fn origin(&self) -> Result<Option<Origin>, ApiError> {
        let Self { from_url: url, from_published_at: published_at, .. } = self;
        if url.as_deref().is_some_and(|url| !is_origin_url(url)) {
            let detail = format!(
                "`from_url` must be an http or https address of at most {} bytes without user, query and fragment.",
                limits::ORIGIN_URL
            );
            return Err(ApiError::bad_request(Code::QueryInvalid, detail));
        }
        let url = url.as_deref().map(Box::from);
        let origin = Origin { url, published_at: *published_at, ..Origin::default() };
        Ok((origin != Origin::default()).then_some(origin))
    }
}

async fn prepare(
    State(state): State<AppState>,
    caller: Caller,
    rest: Rest,
    Params(preparation): Params<Preparation>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let name = rest.name()?;
    caller.require(Permission::Publish, &name)?;
    let expect = required_expectation(&state.access, &name, &headers)?;
    let from = preparation.origin()?;
    let options = PublishOptions { activate: preparation.activate, expect };
    let signature = signatures::sent_with(&headers)?;
    let limit = state.publish.limits().manifest_bytes;
    let held = intake::hold(&state, &state.memory.manifests, &caller, &headers, body, limit).await?;
    if let Some(wanted) = parts::wanted(&held.bytes)? {
        signatures::none_for_parts(signature.as_ref())?;
        return parts::begin(state, caller, name, wanted, held).await;
    }
    let (tasks, base) = (state.tasks.clone(), state.base.clone());
    let prepared = run_to_completion(&tasks, async move {
        // All of it, so that its memory counts until the work is done, even if the client goes away.
        let held = held;
        Ok(state.publish.prepare_from((from, signature), &name, held.bytes.clone(), &options, caller.author()).await?)
    })
    .await?;
    match prepared {
        Prepared::Unchanged(receipt) => Ok(Json(Receipt::from(&receipt)).into_response()),
        Prepared::Session(receipt, missing) => {
            let location = format!("{base}/sessions/{}@{}", receipt.name, receipt.row.number);
            let header = HeaderValue::try_from(&location).map_err(ApiError::internal)?;
            let (name, version, state) = (receipt.name.governing(), receipt.row.number, receipt.row.state);
            let body = Session { name, version, state, missing, label: None, parts: None, location: Some(location) };
            Ok((StatusCode::CREATED, [(LOCATION, header)], Json(body)).into_response())
        }
    }
}

async fn show(State(state): State<AppState>, caller: Caller, rest: Rest) -> Result<Response, ApiError> {
    if let Ok(name) = rest.name() {
        return list(&state, &caller, name).await;
    }
    let (name, number) = session(&rest)?;
    caller.require(Permission::Publish, &name)?;
    let _turn = intake::turn(&state, &caller).await?;
    Ok(Json(parts::describe_session(&state, name, number).await?).into_response())
}

/// The open sessions of a name, so that those of a client that was killed can be given up.
async fn list(state: &AppState, caller: &Caller, name: ManifestName) -> Result<Response, ApiError> {
    caller.require(Permission::Publish, &name)?;
    let rows = state.publish.sessions(&name).await?;
    let shown = parts::shown(state, caller, &rows).await?;
    let sessions = rows.iter().zip(shown).map(|(row, parts)| OpenSession { parts, ..OpenSession::from(row) }).collect();
    Ok(Json(OpenSessions { name, sessions }).into_response())
}

async fn put(
    State(state): State<AppState>,
    caller: Caller,
    rest: Rest,
    Params(activation): Params<Activation>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    match rest.place()? {
        VersionPath { target, tail: Some(tail) } => parts::put(state, caller, target, &tail, &headers, body).await,
        VersionPath { tail: None, .. } => commit(state, caller, &rest, activation, headers).await,
    }
}

async fn commit(
    state: AppState,
    caller: Caller,
    rest: &Rest,
    activation: Activation,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (name, number) = session(rest)?;
    caller.require(Permission::Publish, &name)?;
    let expect = required_expectation(&state.access, &name, &headers)?;
    let options = PublishOptions { activate: activation.activate, expect };
    let turn = intake::turn(&state, &caller).await?;
    let tasks = state.tasks.clone();
    let receipt = run_to_completion(&tasks, async move {
        let _turn = turn;
        let by = caller.author();
        let receipt = state.publish.commit(&name, number, options, by.clone()).await.map_err(refusal)?;
        state.repositories.show_attachments(&receipt.name, &receipt.row, None, &by).await?;
        Ok(receipt)
    })
    .await?;
    let status = if receipt.unchanged { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, Json(Receipt::from(&receipt))).into_response())
}

async fn abort(State(state): State<AppState>, caller: Caller, rest: Rest) -> Result<StatusCode, ApiError> {
    let (name, number) = session(&rest)?;
    caller.require(Permission::Publish, &name)?;
    let tasks = state.tasks.clone();
    run_to_completion(&tasks, async move { Ok(state.publish.abort(&name, number, caller.author()).await?) }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Other methods, OPTIONS among them: a session has other methods than the name that it is begun for.
async fn other(rest: Rest) -> Result<Response, ApiError> {
    let allowed = match rest.place()? {
        VersionPath { tail: Some(_), .. } => "PUT",
        VersionPath { target, .. } if target.explicit => "GET,HEAD,PUT,DELETE",
        VersionPath { .. } => "POST",
    };
    Err(ApiError::method_not_allowed_but(allowed))
}

/// Maps an error. A session that does not exist was most often aborted, by its client or because it expired.
fn refusal(error: PublishError) -> ApiError {
    match error {
        PublishError::Change(ChangeError::Rejected(Rejection::NoSuchVersion)) => ApiError::session_unknown(),
        error => error.into(),
    }
}

/// Parses the address of a session, `NAME@NUMBER`.
fn session(rest: &Rest) -> Result<(ManifestName, u64), ApiError> {
    let target = rest.target()?;
    let Selector::Number(number) = target.selector else {
        let detail = "A session is NAME@NUMBER, as the Location of its creation says.";
        return Err(ApiError::bad_request(Code::SelectorInvalid, detail));
    };
    Ok((target.name, number))
}
