//! `/tls/ask`: whether a proxy may get a certificate for a host (Caddy's on-demand TLS).
//!
//! Asked with each handshake for a host that the proxy does not know, by whoever connects to it; so nothing is looked
//! at but the host table, and the attached hosts as they are known. Without it, anybody who points names at the proxy could use up what the certificate authority
//! issues.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use serde::Deserialize;

use crate::domain::hosts::{HostRole, LiveHosts};
use crate::domain::site::HostName;
use crate::http::error::ApiError;
use crate::http::extract::Params;
use crate::http::openapi::{Document, Operation, Parameter, of, text};
use crate::http::state::AppState;
use crate::service::Domains;

const DOMAIN: Parameter = Parameter {
    id: "domain",
    name: "domain",
    place: "query",
    required: true,
    about: "The host that a client wants to connect to.",
    schema: of::<String>,
};

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/tls/ask", get(ask))
}

/// These operations belong to the tag that [`super::index`] adds.
pub(super) fn describe(document: &mut Document) {
    let ask = Operation::new("get", "tlsAsk", "Whether a certificate may be issued for a host")
        .about(
            "For `on_demand_tls { ask … }` of Caddy. Attached hosts count once they are verified. Hosts of previews are refused unless `on_demand` is set for them: each \
             certificate is public, and one for `*.DOMAIN` serves all of them.",
        )
        .takes(&[&DOMAIN])
        .answers(200, "It may.", &[], [text("text/plain")])
        .fails(&[400, 404, 421, 500, 503]);
    document.path("/tls/ask", &[], [ask]);
}

#[derive(Deserialize)]
struct Question {
    domain: String,
}

async fn ask(
    State(hosts): State<LiveHosts>,
    State(domains): State<Arc<Domains>>,
    Params(asked): Params<Question>,
) -> Result<Response, ApiError> {
    let host: HostName = asked.domain.parse().map_err(|_| ApiError::no_route())?;
    if hosts.configured(Some(host.as_str())) == HostRole::Unlisted {
        domains.refresh().await?;
    }
    if !hosts.has_certificate(host.as_str()) {
        return Err(ApiError::no_route());
    }
    Ok((StatusCode::OK, [(CACHE_CONTROL, "no-store"), (CONTENT_TYPE, "text/plain; charset=utf-8")], "ok\n")
        .into_response())
}
