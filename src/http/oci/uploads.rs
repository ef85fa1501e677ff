//! `R/blobs/uploads/` and `R/blobs/uploads/ID`.

use axum::body::Body;
use axum::response::Response;

use super::OciRequest;
use crate::domain::RepositoryName;
use crate::http::error::ApiError;

pub(super) async fn begin(
    _request: OciRequest,
    _body: Body,
    _repository: RepositoryName,
) -> Result<Response, ApiError> {
    Err(ApiError::no_route())
}

pub(super) async fn answer(
    _request: OciRequest,
    _body: Body,
    _repository: RepositoryName,
    _id: &str,
) -> Result<Response, ApiError> {
    Err(ApiError::no_route())
}
