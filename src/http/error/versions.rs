//! Errors of operations on versions.

use axum::http::StatusCode;

use super::ApiError;
use crate::service::versions::{CopyError, YankError};
use crate::wire::Code;

impl From<CopyError> for ApiError {
    fn from(error: CopyError) -> Self {
        match error {
            CopyError::From(error) => error.into(),
            CopyError::To(error) => error.into(),
        }
    }
}

impl From<YankError> for ApiError {
    fn from(error: YankError) -> Self {
        match error {
            YankError::Instead(error) => error.into(),
            YankError::InsteadYanked(number) => {
                let detail = format!("Version {number} cannot be used instead: it is yanked itself. Name another one.");
                Self::new(StatusCode::CONFLICT, Code::VersionYanked, detail).with("version", number)
            }
            YankError::Change(error) => error.into(),
        }
    }
}
