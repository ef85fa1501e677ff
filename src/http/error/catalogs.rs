//! What is wrong with the document of a catalog.

use axum::http::StatusCode;
use serde_json::Value;

use super::{ApiError, services};
use crate::domain::catalog::{Problems, Rule};
use crate::service::catalogs::CatalogReadError;
use crate::wire::Code;

impl From<CatalogReadError> for ApiError {
    fn from(error: CatalogReadError) -> Self {
        let detail = format!("{}.", services::sentence(&error.to_string()).trim_end_matches('.'));
        match error {
            CatalogReadError::Resolve(error) => error.into(),
            CatalogReadError::Unreadable { .. } => Self::new(StatusCode::NOT_FOUND, Code::CatalogDocument, detail),
            CatalogReadError::NoSuchRelease(_) => Self::new(StatusCode::NOT_FOUND, Code::ReleaseUnknown, detail),
            CatalogReadError::NoSuchItem(_) => Self::new(StatusCode::NOT_FOUND, Code::ItemUnknown, detail),
        }
    }
}

impl ApiError {
    /// All problems of a document: 409 if it only contradicts what is published.
    pub(super) fn catalog(problems: &Problems) -> Self {
        let status = if problems.are_conflicts() { StatusCode::CONFLICT } else { StatusCode::UNPROCESSABLE_ENTITY };
        let rule = problems.rule().unwrap_or(Rule::Document);
        let detail = format!("The catalog is not valid: {}.", problems.to_string().replace('\n', "; "));
        let listed: Value = serde_json::to_value(problems.listed()).unwrap_or_default();
        Self::new(status, Code::from(rule.code()), detail).with("problems", listed).with("more", problems.more())
    }
}
