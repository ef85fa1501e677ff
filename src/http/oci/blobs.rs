//! `R/blobs/D`: the same bytes as `/blobs/D`.

use axum::http::Method;
use axum::response::Response;

use super::OciRequest;
use crate::domain::{Digest, RepositoryName};
use crate::http::error::ApiError;

pub(super) async fn answer(
    request: OciRequest,
    _repository: &RepositoryName,
    _digest: Digest,
) -> Result<Response, ApiError> {
    match request.method {
        Method::GET | Method::HEAD => Err(ApiError::no_route()),
        _ => Err(ApiError::method_not_allowed_but("GET,HEAD")),
    }
}
