//! `R/manifests/T` and `R/manifests/D`.

mod delete;
mod push;
mod read;

use axum::body::Body;
use axum::http::Method;
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
        Method::GET | Method::HEAD => read::answer(&request, &repository, reference).await,
        Method::PUT => push::answer(request, body, repository, reference).await,
        Method::DELETE => delete::answer(request, repository, reference).await,
        _ => Err(ApiError::method_not_allowed_but("GET,HEAD,PUT,DELETE")),
    }
}
