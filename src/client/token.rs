//! The bearer token, which is never included in debug output.

use std::fmt;
use std::str::FromStr;

use reqwest::header::HeaderValue;

/// A bearer token, stored as the value of the `Authorization` header.
#[derive(Clone)]
pub struct Token(HeaderValue);

impl Token {
    pub(super) fn header(&self) -> HeaderValue {
        self.0.clone()
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
        let mut header = HeaderValue::from_str(&format!("Bearer {text}")).map_err(|_| TokenError)?;
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
        assert_eq!("abc.def\n".parse::<Token>().unwrap().header(), "Bearer abc.def");
        for bad in ["", " \n", "a b", "a\nb", "é"] {
            assert!(bad.parse::<Token>().is_err(), "{bad:?}");
        }
        assert_eq!(format!("{:?}", "abc".parse::<Token>().unwrap()), "Token(redacted)");
    }
}
