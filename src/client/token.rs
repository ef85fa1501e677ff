//! The bearer token, which is never included in debug output, and the place that all clones of a client take it from.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, PoisonError, RwLock};

use reqwest::header::HeaderValue;

/// What the value of the header starts with (RFC 6750 section 2.1).
const SCHEME: &str = "Bearer ";

/// A bearer token, stored as the value of the `Authorization` header.
#[derive(Clone)]
pub struct Token(HeaderValue);

impl Token {
    pub(super) fn header(&self) -> HeaderValue {
        self.0.clone()
    }

    /// The token itself, for the body of a request.
    pub(super) fn secret(&self) -> &str {
        self.0.to_str().unwrap_or_default().trim_start_matches(SCHEME)
    }
}

/// The token that requests carry. Shared by the clones of a client, so that a renewed token reaches all of them.
#[derive(Debug, Clone)]
pub(super) struct Credential(Arc<RwLock<Token>>);

impl Credential {
    pub(super) fn new(token: Token) -> Self {
        Self(Arc::new(RwLock::new(token)))
    }

    pub(super) fn header(&self) -> HeaderValue {
        self.0.read().unwrap_or_else(PoisonError::into_inner).header()
    }

    pub(super) fn replace(&self, token: Token) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = token;
    }
}

/// The text is not valid as a bearer token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("A token is one word of visible ASCII characters.")]
pub struct TokenError;

impl FromStr for Token {
    type Err = TokenError;

    /// Trims surrounding white space, such as the newline at the end of a token file.
    fn from_str(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TokenError);
        }
        let mut header = HeaderValue::from_str(&format!("{SCHEME}{text}")).map_err(|_| TokenError)?;
        header.set_sensitive(true);
        Ok(Self(header))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_visible_word_and_stays_hidden() {
        let token: Token = "abc.def\n".parse().unwrap();
        assert_eq!((token.header().to_str().unwrap(), token.secret()), ("Bearer abc.def", "abc.def"));
        for bad in ["", " \n", "a b", "a\nb", "é"] {
            assert!(bad.parse::<Token>().is_err(), "{bad:?}");
        }
        assert_eq!(format!("{:?}", "abc".parse::<Token>().unwrap()), "Token(redacted)");
    }
}
