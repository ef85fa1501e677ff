//! Mapping of errors of identity tokens to responses. They carry what OAuth clients look for, too (RFC 6749 section 5.2).

use serde_json::{Value, json};

use super::ApiError;
use super::services::sentence;
use crate::access::{ExchangeError, NearMiss, TokenError};

impl From<TokenError> for ApiError {
    fn from(error: TokenError) -> Self {
        let text = error.to_string();
        match error {
            TokenError::Unavailable(_) => Self::unavailable(&text).with("error", "temporarily_unavailable"),
            _ => Self::invalid_token(&sentence(&text)).with("error", "invalid_request"),
        }
    }
}

impl From<ExchangeError> for ApiError {
    fn from(error: ExchangeError) -> Self {
        let detail = sentence(&error.to_string());
        match error {
            ExchangeError::Token(error) => error.into(),
            ExchangeError::Refused(near) => Self::forbidden(detail)
                .with("error", "access_denied")
                .with("rules", near.iter().map(explained).collect::<Vec<_>>()),
        }
    }
}

/// What is in the way of one rule, for programs.
fn explained(miss: &NearMiss) -> Value {
    let mismatches = miss
        .mismatches
        .iter()
        .map(|mismatch| json!({"claim": mismatch.claim, "expected": mismatch.expected, "actual": mismatch.actual}));
    json!({"rule": miss.rule, "mismatches": mismatches.collect::<Vec<_>>()})
}
