//! Origins of imported versions.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::limits::ORIGIN_URL;
use super::schema;
use crate::domain;

/// Where an imported version was published before.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Origin {
    /// Address of the release there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub url: Option<String>,
    /// When it was published there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "schema::Time")]
    pub published_at: Option<Timestamp>,
}

impl Origin {
    /// The origin of an imported version. `None` for a copy within this server: whoever may read the copy need not be
    /// allowed to know the name that it was made from.
    pub(super) fn of(origin: &domain::Origin) -> Option<Self> {
        let url = origin.url.as_deref().map(str::to_owned);
        (!origin.is_copy()).then_some(Self { url, published_at: origin.published_at })
    }
}

/// Whether a publisher may name this address as an origin: http or https, at most [`ORIGIN_URL`] bytes of visible ASCII,
/// and no user, query or fragment, which is where secrets of addresses are.
#[must_use]
pub fn is_origin_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or_default();
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"?#@\"<>\\`".contains(&byte);
    !rest.is_empty() && !rest.starts_with('/') && text.len() <= ORIGIN_URL && rest.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_may_hold_secrets_are_no_origins() {
        for good in ["https://example.org/a/b", "http://localhost:8080/", "https://example.org"] {
            assert!(is_origin_url(good), "{good}");
        }
        let long = format!("https://example.org/{}", "x".repeat(ORIGIN_URL));
        for bad in [
            "",
            "ftp://x/",
            "https://",
            "https:///x",
            "https://u:p@h/",
            "https://h/?t=1",
            "https://h/#x",
            "https://h/a b",
            &long,
        ] {
            assert!(!is_origin_url(bad), "{bad}");
        }
    }
}
