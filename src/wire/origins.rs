//! Origins of imported and copied versions.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::limits::ORIGIN_URL;
use super::schema;
use crate::domain::{self, Digest};

/// Where a version comes from that was not made by its publisher: another name of this server, or another server.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Origin {
    /// Name at the origin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub name: Option<String>,
    /// Number of the version at the origin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    pub version: Option<u64>,
    /// Digest of its manifest at the origin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "schema::Digest")]
    pub manifest: Option<Digest>,
    /// Address of the release at the other server. Absent for a copy within this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub url: Option<String>,
    /// When it was published at the origin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "schema::Time")]
    pub published_at: Option<Timestamp>,
}

impl Origin {
    /// Whether it comes from outside of this server.
    #[must_use]
    pub fn is_import(&self) -> bool {
        self.url.is_some() || self.name.is_none()
    }
}

impl From<&domain::Origin> for Origin {
    fn from(origin: &domain::Origin) -> Self {
        Self {
            name: origin.name.as_deref().map(str::to_owned),
            version: origin.version,
            manifest: origin.manifest,
            url: origin.url.as_deref().map(str::to_owned),
            published_at: origin.published_at,
        }
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
