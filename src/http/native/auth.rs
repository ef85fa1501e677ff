//! `/auth/oidc`: identity tokens of jobs are exchanged for tokens of this server.

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use std::sync::Arc;

use super::parameters as p;
use crate::access::{Caller, Credentials, Exchanged, Granted, Keyless};
use crate::http::error::ApiError;
use crate::http::openapi::{Document, Operation, json_of};
use crate::http::serving::intake;
use crate::http::state::AppState;
use crate::wire::auth::{ACCESS_TOKEN, GRANT_TYPE};
use crate::wire::{AudienceAnswer, Code, TokenAnswer, TokenQuestion, TokenRule};

/// Largest request body in bytes: a token, with room for what is around it.
const MAX_QUESTION: u64 = 32 << 10;
/// The body of an exchange, for whoever sent something else.
const EXAMPLE: &str = r#"{"token": "JWT"}"#;

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/auth/oidc/token", post(exchange).delete(revoke)).route("/auth/oidc/audience", get(audience))
}

pub(super) fn describe(document: &mut Document) {
    document.tag("auth", "Tokens for jobs that have an identity and no secret.");
    let exchange = Operation::new("post", "exchangeToken", "Exchange an identity token for one of this server")
        .about(
            "The identity token is a JWT of a configured issuer, with this server's audience. The same may be sent as \
             `application/x-www-form-urlencoded` in the form of RFC 8693: `grant_type`, `subject_token`, \
             `subject_token_type`. A refusal names, for the nearest rules, the claims that are in the way (`rules`).",
        )
        .body(json_of::<TokenQuestion>())
        .answers(200, "A token of this server.", &[&p::CACHE_CONTROL], [json_of::<TokenAnswer>()])
        .fails(&[400, 401, 403, 404, 408, 413, 415, 500, 503]);
    let revoke = Operation::new("delete", "revokeToken", "Revoke a token that was exchanged")
        .by_token("The token to revoke is the one that the request carries.")
        .empty(204, "It does not count any more; other servers of the store know within ten seconds.", &[])
        .fails(&[401, 404, 500, 503]);
    document.path("/auth/oidc/token", &[], [exchange, revoke]);
    let audience = Operation::new("get", "audience", "What the identity tokens for this server have to be for")
        .answers(200, "The audience.", &[&p::CACHE_CONTROL], [json_of::<AudienceAnswer>()])
        .fails(&[404, 500]);
    document.path("/auth/oidc/audience", &[], [audience]);
}

/// The exchange, or 404 where no issuer is configured.
fn keyless(state: &AppState) -> Result<Arc<Keyless>, ApiError> {
    state.access.keyless().ok_or_else(|| {
        let detail = "This server exchanges no identity tokens: its operator has configured no access.issuers.";
        ApiError::new(StatusCode::NOT_FOUND, Code::NotFound, detail)
    })
}

async fn audience(State(state): State<AppState>) -> Result<Response, ApiError> {
    let keyless = keyless(&state)?;
    let audience = keyless.audience().ok_or_else(|| ApiError::internal("no audience"))?.to_owned();
    Ok(([(CACHE_CONTROL, "no-cache")], Json(AudienceAnswer { audience })).into_response())
}

/// Whoever sends credentials besides is not asked for them: the token in the body is what counts.
async fn exchange(State(state): State<AppState>, headers: HeaderMap, body: Body) -> Result<Response, ApiError> {
    let keyless = keyless(&state)?;
    let caller = Caller::anonymous();
    let held = intake::hold(&state, &state.memory.questions, &caller, &headers, body, MAX_QUESTION).await?;
    let token = if is_form(&headers, &held.bytes) { subject_token(&held.bytes)? } else { question(&held.bytes)? };
    let Exchanged { token, lives, subject, granted } = keyless.exchange(token.trim(), state.access.now()).await?;
    let answer = TokenAnswer {
        access_token: token,
        token_type: "Bearer".to_owned(),
        expires_in: lives.as_secs().unsigned_abs(),
        issued_token_type: ACCESS_TOKEN.to_owned(),
        subject: Some(subject),
        rules: granted.iter().flat_map(rules).collect(),
    };
    Ok(([(CACHE_CONTROL, "no-store")], Json(answer)).into_response())
}

fn rules(granted: &Granted) -> impl Iterator<Item = TokenRule> {
    granted.grants.iter().map(|grant| TokenRule {
        rule: granted.rule.to_string(),
        actions: grant.actions.clone(),
        names: grant.names.clone(),
        surfaces: grant.surfaces.as_ref().map(|surfaces| surfaces.iter().map(ToString::to_string).collect()),
    })
}

async fn revoke(State(state): State<AppState>, headers: HeaderMap) -> Result<StatusCode, ApiError> {
    let keyless = keyless(&state)?;
    let credentials = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(Credentials::parse);
    let Some(Credentials::Bearer(token)) = credentials else {
        return Err(ApiError::unauthorized("Send the token to revoke as `Authorization: Bearer TOKEN`."));
    };
    let revoked = keyless.revoke(token, state.access.now()).await.map_err(|why| ApiError::unavailable(&why))?;
    if revoked {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(ApiError::invalid_token("The token was not exchanged here, or does not count any more: nothing was revoked."))
}

/// JSON is taken for what it is, because `curl --data` calls everything a form.
fn is_form(headers: &HeaderMap, body: &[u8]) -> bool {
    let media = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_form = media.split(';').next().is_some_and(|essence| essence.trim() == "application/x-www-form-urlencoded");
    is_form && !body.trim_ascii_start().starts_with(b"{")
}

fn question(body: &[u8]) -> Result<String, ApiError> {
    let TokenQuestion { token } = intake::document(body, Code::RequestInvalid, EXAMPLE)?;
    Ok(token)
}

/// The form of RFC 8693 section 2.1. What else it may ask for (`scope`, `audience`) only the rules decide.
fn subject_token(body: &[u8]) -> Result<String, ApiError> {
    #[derive(Deserialize)]
    struct Form {
        grant_type: String,
        subject_token: String,
        subject_token_type: String,
    }
    const TYPES: [&str; 2] = ["urn:ietf:params:oauth:token-type:jwt", "urn:ietf:params:oauth:token-type:id_token"];
    let refused = || {
        let detail = format!(
            "Send grant_type={GRANT_TYPE}, subject_token=JWT and subject_token_type={}, or as JSON {EXAMPLE}.",
            TYPES[0]
        );
        ApiError::bad_request(Code::RequestInvalid, detail).with("error", "invalid_request")
    };
    // A form is written like a query.
    let text = std::str::from_utf8(body).map_err(|_| refused())?;
    let query = Uri::try_from(format!("/?{text}")).map_err(|_| refused())?;
    let form = axum::extract::Query::<Form>::try_from_uri(&query).map_err(|_| refused())?.0;
    let is_exchange = form.grant_type == GRANT_TYPE && TYPES.contains(&form.subject_token_type.as_str());
    if is_exchange { Ok(form.subject_token) } else { Err(refused()) }
}
