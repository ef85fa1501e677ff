//! `R/manifests/T` and `R/manifests/D`.

use axum::response::Response;

use super::OciRequest;
use super::address::Reference;
use crate::domain::RepositoryName;
use crate::http::error::ApiError;

pub(super) async fn answer(
    _request: OciRequest,
    _repository: RepositoryName,
    _reference: Reference,
) -> Result<Response, ApiError> {
    Err(ApiError::no_route())
}
