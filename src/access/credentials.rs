//! Credentials in requests (RFC 9110 section 11.6.2).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The token that container clients are given who log in as nobody. It grants nothing.
pub const ANONYMOUS_TOKEN: &str = "larder-anonymous";

/// The content of an `Authorization` header field.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials<'a> {
    /// A token (RFC 6750 section 2.1).
    Bearer(&'a str),
    /// A user and a password (RFC 7617).
    Basic {
        /// The user name; contains no colon.
        user: String,
        /// The password, in clear text.
        password: String,
    },
}

impl<'a> Credentials<'a> {
    /// Parses the value of the field. `None` if it is malformed or of another scheme.
    #[must_use]
    pub fn parse(value: &'a str) -> Option<Self> {
        let (scheme, content) = value.split_once(' ')?;
        let content = content.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            return Some(Self::Bearer(content));
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let pair = String::from_utf8(STANDARD.decode(content).ok()?).ok()?;
        let (user, password) = pair.split_once(':')?;
        Some(Self::Basic { user: user.to_owned(), password: password.to_owned() })
    }

    /// The same, taking a password for a token, whoever the user. For clients that know nothing but users and passwords.
    #[must_use]
    pub fn as_token(&self) -> Credentials<'_> {
        match self {
            Self::Bearer(token) => Credentials::Bearer(token),
            Self::Basic { password, .. } => Credentials::Bearer(password),
        }
    }

    /// Whether the value of the field states that the sender is nobody.
    #[must_use]
    pub fn are_of_nobody(value: &[u8]) -> bool {
        let value = std::str::from_utf8(value).ok();
        value.and_then(Credentials::parse).is_some_and(|credentials| credentials.are_anonymous())
    }

    /// Whether they state that the sender is nobody: [`ANONYMOUS_TOKEN`], or neither user nor password.
    #[must_use]
    pub fn are_anonymous(&self) -> bool {
        match self {
            Self::Bearer(token) => *token == ANONYMOUS_TOKEN,
            Self::Basic { user, password } => password == ANONYMOUS_TOKEN || (user.is_empty() && password.is_empty()),
        }
    }
}

/// Prints nothing of them, so that they cannot end up in logs: a user name may be a token too.
impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bearer(_) => f.write_str("Bearer(..)"),
            Self::Basic { .. } => f.write_str("Basic(..)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_schemes_are_read_and_others_are_not() {
        let bearer = Some(Credentials::Bearer("abc"));
        assert_eq!(Credentials::parse("bearer abc"), bearer);
        assert_eq!(Credentials::parse("Bearer  abc "), bearer);
        let basic = Credentials::parse("BASIC eDp5Ono=").unwrap();
        assert_eq!(basic, Credentials::Basic { user: "x".into(), password: "y:z".into() });
        assert_eq!(format!("{basic:?} {bearer:?}"), "Basic(..) Some(Bearer(..))");
        assert_eq!(
            (basic.as_token(), Credentials::Bearer("abc").as_token()),
            (Credentials::Bearer("y:z"), Credentials::Bearer("abc"))
        );
        for (value, anonymous) in [("Basic Og==", true), ("Bearer larder-anonymous", true), ("Basic eDo=", false)] {
            assert_eq!(Credentials::parse(value).unwrap().are_anonymous(), anonymous, "{value}");
        }
        for bad in ["", "abc", "Digest abc", "Basic", "Basic ????", "Basic eHk=", "Basic /////w=="] {
            assert_eq!(Credentials::parse(bad), None, "{bad}");
        }
    }
}
