//! `R/manifests/T` and `R/manifests/D`.

mod delete;
mod push;
mod read;

use axum::body::Body;
use axum::http::header::AUTHORIZATION;
use axum::http::{Method, StatusCode};
use axum::response::Response;

use super::OciRequest;
use super::address::Reference;
use crate::domain::RepositoryName;
use crate::http::error::ApiError;

pub(super) async fn answer(
    request: OciRequest,
    body: Body,
    repository: RepositoryName,
    reference: Reference,
) -> Result<Response, ApiError> {
    match request.method {
        Method::GET => read::answer(&request, &repository, reference).await,
        Method::HEAD => {
            let answer = read::answer(&request, &repository, reference).await;
            answer.map_err(|error| challenged_if_absent(&request, error))
        }
        Method::PUT => push::answer(request, body, repository, reference).await,
        Method::DELETE => delete::answer(request, repository, reference).await,
        _ => Err(ApiError::method_not_allowed_but("GET,HEAD,PUT,DELETE")),
    }
}

/// Asks a client for credentials that sent none and finds nothing by `HEAD`, as if there might be something for others.
///
/// containerd looks for a manifest like that before it pushes it. If the layers are there already, the `PUT` would be the
/// first request that is refused, and containerd 1.6 hangs then: it cannot send a body twice. Who pulls gets the token of
/// nobody, and then the 404.
fn challenged_if_absent(request: &OciRequest, error: ApiError) -> ApiError {
    if error.status() == StatusCode::NOT_FOUND && !request.headers.contains_key(AUTHORIZATION) {
        ApiError::unauthorized("There is nothing for who has no token. Get one where the challenge says.")
    } else {
        error
    }
}
