//! `/v2/…`: the registry protocol of container clients (OCI distribution specification 1.1).
//!
//! The tag `R:T` is the name `R/T`, so versions, rollback, retention and history hold for images as they do for files.
//! Repository names may hold segments such as `blobs` and `manifests`, so addresses are read from their end.

mod address;
mod authentication;
mod blobs;
mod describe;
mod errors;
mod lists;
mod manifests;
mod uploads;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, Uri};
use axum::response::Response;
use axum::routing::{any, get};

use self::address::Address;
use super::error::ApiError;
use super::extract::{RequestedFreshness, Rest};
use super::rfc::hardening::Hardening;
use super::state::AppState;
use super::surface::{Hosts, Surface, SurfaceProperties};
use crate::access::Caller;
use crate::domain::{AnyDigest, Digest, Permission, RepositoryName};
use crate::protocol::AsOf;

/// What old clients look for in every response.
const API_VERSION: (HeaderName, HeaderValue) =
    (HeaderName::from_static("docker-distribution-api-version"), HeaderValue::from_static("registry/2.0"));

/// The digest of what is sent, or was stored.
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// Name of the surface, which grants may be limited to.
const SURFACE: &str = "oci";

/// The surface: any host, everything below `/v2`, errors as the specification has them.
pub(super) fn surface() -> Surface<AppState> {
    Surface {
        routes: routes(),
        hosts: Hosts::Any,
        prefix: "/v2",
        describe: describe::describe,
        properties: SurfaceProperties {
            name: SURFACE,
            render: errors::render,
            page: None,
            challenge: authentication::challenge,
            login: true,
            blobs: Some(blobs::end_of_digest),
            hardening: Hardening::Artefact,
            cors: true,
            quiet: &[],
        },
    }
}

fn routes() -> Router<AppState> {
    Router::new()
        .route("/v2", get(authentication::ping))
        .route("/v2/", get(authentication::ping))
        // Clients that would rather send their credentials in a form use GET when they are told that there is no such thing.
        .route("/v2/token", get(authentication::token).fallback(async || ApiError::no_route()))
        .route("/v2/_catalog", get(lists::catalog))
        .route("/v2/{*rest}", any(dispatch))
}

/// What a handler gets of a request.
pub(super) struct OciRequest {
    pub(super) state: AppState,
    pub(super) caller: Caller,
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
    pub(super) fresh: AsOf,
}

async fn dispatch(
    State(state): State<AppState>,
    caller: Caller,
    RequestedFreshness(fresh): RequestedFreshness,
    rest: Rest,
    (method, uri, headers): (Method, Uri, HeaderMap),
    body: Body,
) -> Result<Response, ApiError> {
    let address = rest.0.parse::<Address>()?;
    let request = OciRequest { state, caller, method, uri, headers, fresh };
    let mut response = match address {
        Address::Blob(repository, digest) => blobs::answer(request, &repository, digest).await,
        Address::Uploads(repository) => uploads::begin(request, body, repository).await,
        Address::Upload(repository, id) => uploads::answer(request, body, repository, &id).await,
        Address::Manifest(repository, reference) => manifests::answer(request, body, repository, reference).await,
        Address::Tags(repository) => lists::tags(request, repository).await,
        Address::Referrers(repository, subject) => lists::referrers(request, repository, subject).await,
    }
    .map_err(errors::as_registry)?;
    response.headers_mut().extend([API_VERSION]);
    Ok(response)
}

impl OciRequest {
    /// Fails unless the caller has this permission for some tag that the repository could have.
    fn require(&self, wanted: Permission, repository: &RepositoryName) -> Result<(), ApiError> {
        self.caller.require_in_repository(wanted, repository)
    }

    /// The SHA-256 digest of what is named by a digest. `None` if nothing is known to have it; strangers may be told so from
    /// memory.
    async fn resolve(&self, digest: &AnyDigest) -> Result<Option<Digest>, ApiError> {
        let blobs = &self.state.blobs;
        Ok(match digest {
            AnyDigest::Sha256(digest) => Some(*digest),
            AnyDigest::Sha512(sha512) if self.caller.is_anonymous() && self.fresh == AsOf::Recent => {
                blobs.aliases().resolve_for_anybody(sha512, blobs.max_staleness()).await?
            }
            AnyDigest::Sha512(sha512) => blobs.aliases().resolve(sha512).await?,
        })
    }

    /// What to answer if the caller finds nothing in a repository: `unknown`, unless there may be something that the caller
    /// must not see. Clients send credentials only once they are asked for them.
    fn absent(&self, repository: &RepositoryName, unknown: ApiError) -> ApiError {
        self.require_visible(repository).err().unwrap_or(unknown)
    }

    /// Fails unless the caller may read what is untagged in a repository.
    fn require_visible(&self, repository: &RepositoryName) -> Result<(), ApiError> {
        // Which of the hidden logs makes no difference.
        let untagged = repository.untagged(Digest::of(b""));
        if self.state.access.may_read_log(&self.caller, &untagged) {
            return Ok(());
        }
        Err(self.caller.refuse(Permission::Read, &format!("to {repository}")))
    }
}
