//! Sessions that several jobs fill: each brings a part of the release, and the last one completes it.

use std::collections::BTreeSet;

use axum::Json;
use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::{HeaderMap, HeaderValue, LOCATION};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::super::parameters as p;
use super::refusal;
use crate::access::Caller;
use crate::domain::manifest::parts::{MAX_LABEL, MAX_PART_NAME, MAX_PARTS, is_label, is_part_name};
use crate::domain::{ManifestName, Permission, Selector, Target, VersionRow};
use crate::http::completion::run_to_completion;
use crate::http::error::ApiError;
use crate::http::openapi::{Document, Operation, json_of};
use crate::http::serving::intake::{self, HeldBody};
use crate::http::state::AppState;
use crate::service::publish::Progress;
use crate::wire::manifest::PartDocument;
use crate::wire::{BeginParts, Code, Session, SessionParts};

/// Maximum size of a request that begins such a session, in bytes.
const MAX_REQUEST: usize = 64 << 10;
/// Number of sessions in a list whose parts are read and shown.
const PARTS_SHOWN: usize = 50;

pub(super) fn describe(document: &mut Document) {
    let put = Operation::new("put", "putPart", "Send a part of a release")
        .by_token(
            "A manifest with the files of this part alone. Replaces the part as a whole, until the release is complete. \
             Its blobs are protected from now on; upload those that are `missing`, before or after. Members beside \
             `artifacts` and `metadata` become members of the release; parts must not disagree about them. Needs `publish`.",
        )
        .body(json_of::<PartDocument>())
        .answers(200, "The session.", &[], [json_of::<Session>()])
        .fails(&[400, 401, 403, 404, 408, 409, 410, 413, 415, 422, 500, 503, 507]);
    document.path("/sessions/{session}/parts/{part}", &[&p::SESSION, &p::PART], [put]);
}

/// The parts that a request wants to begin a release with, if it is no manifest.
pub(super) fn wanted(bytes: &[u8]) -> Result<Option<(String, BTreeSet<String>)>, ApiError> {
    #[derive(Deserialize)]
    struct Members {
        artifacts: Option<IgnoredAny>,
        parts: Option<IgnoredAny>,
    }
    let is_manifest = |members: &Members| members.artifacts.is_some() || members.parts.is_none();
    if bytes.len() > MAX_REQUEST || serde_json::from_slice(bytes).map_or(true, |members| is_manifest(&members)) {
        return Ok(None);
    }
    let example = r#"{"label": "v1.4.0", "parts": ["linux", "macos"]}"#;
    let BeginParts { label, parts } = intake::document(bytes, Code::ManifestInvalid, example)?;
    let invalid = |detail: String| Err(ApiError::bad_request(Code::ManifestInvalid, detail));
    if !is_label(&label) {
        return invalid(format!("`label` has 1 to {MAX_LABEL} bytes without control characters."));
    }
    if let Some(bad) = parts.iter().find(|name| !is_part_name(name)) {
        let bad: String = bad.chars().take(80).collect();
        let rule = format!("1 to {MAX_PART_NAME} letters, digits, dots, underscores or hyphens");
        return invalid(format!("{bad:?} cannot be the name of a part: that has {rule}."));
    }
    let (count, parts) = (parts.len(), parts.into_iter().collect::<BTreeSet<_>>());
    if parts.len() != count || !(1..=MAX_PARTS).contains(&count) {
        return invalid(format!("`parts` names 1 to {MAX_PARTS} parts, each of them once."));
    }
    Ok(Some((label, parts)))
}

/// Begins a session of parts, or answers with the one that there is.
pub(super) async fn begin(
    state: AppState,
    caller: Caller,
    name: ManifestName,
    (label, parts): (String, BTreeSet<String>),
    held: HeldBody,
) -> Result<Response, ApiError> {
    let held = held.with_turn(&state, &caller).await?;
    let (tasks, base) = (state.tasks.clone(), state.base.clone());
    let (session, is_new) = run_to_completion(&tasks, async move {
        let _held = held;
        let (row, is_new) = state.publish.begin_parts(&name, &label, &parts, &caller.author()).await?;
        Ok((describe_session(&state, name, row.number).await?, is_new))
    })
    .await?;
    let location = format!("{base}/sessions/{}@{}", session.name, session.version);
    let header = HeaderValue::try_from(&location).map_err(ApiError::internal)?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, [(LOCATION, header)], Json(Session { location: Some(location), ..session })).into_response())
}

/// Takes a part.
pub(super) async fn put(
    state: AppState,
    caller: Caller,
    target: Target,
    tail: &str,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let (Selector::Number(number), Some(part)) = (target.selector, tail.strip_prefix("parts/")) else {
        let detail = "A part of a session is NAME@NUMBER/parts/PART.";
        return Err(ApiError::bad_request(Code::SelectorInvalid, detail));
    };
    let (name, part) = (target.name, part.to_owned());
    caller.require(Permission::Publish, &name)?;
    let limit = state.publish.limits().manifest_bytes;
    let held = intake::hold(&state, &state.memory.manifests, &caller, headers, body, limit).await?;
    let held = held.with_turn(&state, &caller).await?;
    let tasks = state.tasks.clone();
    let session = run_to_completion(&tasks, async move {
        let held = held;
        let by = caller.author();
        state.publish.put_part(&name, number, &part, held.bytes.clone(), &by).await.map_err(refusal)?;
        describe_session(&state, name, number).await
    })
    .await?;
    Ok(Json(session).into_response())
}

/// The session of a version, with what is missing.
pub(super) async fn describe_session(state: &AppState, name: ManifestName, number: u64) -> Result<Session, ApiError> {
    let (row, missing) = state.publish.session(&name, number).await.map_err(refusal)?;
    let parts = state.publish.progress(&row).await?.map(SessionParts::from);
    let label = row.summary.label.clone().filter(|_| parts.is_some());
    Ok(Session { name, version: row.number, state: row.state, missing, label, parts, location: None })
}

/// What the newest of these sessions have of their parts; `None` for others.
pub(super) async fn shown(
    state: &AppState,
    caller: &Caller,
    rows: &[VersionRow],
) -> Result<Vec<Option<SessionParts>>, ApiError> {
    let mut shown = vec![None; rows.len()];
    let _turn = if rows.iter().any(VersionRow::is_draft) { Some(intake::turn(state, caller).await?) } else { None };
    let drafts = rows.iter().zip(&mut shown).rev().filter(|(row, _)| row.is_draft());
    for (row, parts) in drafts.take(PARTS_SHOWN) {
        *parts = state.publish.progress(row).await?.map(SessionParts::from);
    }
    Ok(shown)
}

impl From<Progress> for SessionParts {
    fn from(Progress { done, waiting }: Progress) -> Self {
        Self { done, waiting }
    }
}
