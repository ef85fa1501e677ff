//! `[access]`: tokens, identity tokens, and public access.

use std::collections::HashSet;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use toml::value::Datetime;

use super::{AccessRule, Issuer, issuers, rules};
use crate::domain::subject::{LARDER, RESERVED};
use crate::domain::{NamePattern, Permission, Reads};

/// Maximum length of a token's id, in bytes.
const MAX_ID: usize = 128;

/// `[access]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Access {
    /// Who may read blobs by digest.
    pub blob_reads: Reads,
    /// The value of `aud` in identity tokens for this server; `server.public_url` if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// Static tokens, by their hash.
    pub tokens: Vec<Token>,
    /// Issuers of identity tokens.
    pub issuers: Vec<Issuer>,
    /// What the holders of identity tokens may do.
    pub rules: Vec<AccessRule>,
}

/// `[[access.tokens]]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// Name of the token in logs and histories.
    pub id: String,
    /// SHA-256 of the token, in hex.
    pub sha256: String,
    /// Permissions that it grants.
    pub actions: Vec<Permission>,
    /// Names that the permissions apply to.
    #[serde(default = "all_names")]
    pub names: Vec<NamePattern>,
    /// Surfaces that it is valid on; all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub surfaces: Option<Vec<String>>,
    /// When it expires; never if absent.
    #[serde(default, deserialize_with = "moment", skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// Deserialises a time from a TOML date-time or a string. One without an offset is refused, since it could be any of 26
/// hours.
pub(super) fn moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a time with its offset, such as 2027-01-31T18:00:00Z")]
    enum Written {
        Time(Datetime),
        Text(String),
    }
    let text = match Written::deserialize(deserializer)? {
        Written::Time(time) => time.to_string(),
        Written::Text(text) => text,
    };
    let problem = |_| format!("{text:?} is not a time with its offset, such as 2027-01-31T18:00:00Z");
    text.parse().map(Some).map_err(problem).map_err(serde::de::Error::custom)
}

fn all_names() -> Vec<NamePattern> {
    vec![NamePattern::any()]
}

impl Token {
    fn validate(&self, problems: &mut Vec<String>) {
        let id = &self.id;
        if id.is_empty() || id.len() > MAX_ID || id.chars().any(char::is_control) {
            problems.push(format!("access.tokens: the id {id:?} must be 1 to {MAX_ID} printable characters"));
        }
        if is_reserved(id) {
            problems.push(format!(
                "access.tokens: the id {id:?} is, or looks like, one of the server's own ({}); call it something else",
                RESERVED.join(", ")
            ));
        }
        if self.sha256.len() != 64 || !self.sha256.bytes().all(|b| b.is_ascii_hexdigit()) {
            problems.push(format!(
                "access.tokens: sha256 of {id:?} must be 64 hex digits (the SHA-256 of the token, never the token)"
            ));
        }
        if self.actions.is_empty() || self.names.is_empty() {
            problems.push(format!("access.tokens: {id:?} needs at least one action and one name pattern"));
        }
        if self.surfaces.as_ref().is_some_and(Vec::is_empty) {
            problems.push(format!("access.tokens: surfaces of {id:?} must name at least one, or be left out for all"));
        }
    }
}

/// Whether users could mistake the holder for one of the server's own subjects. Programs cannot: the issuer differs.
fn is_reserved(id: &str) -> bool {
    let id = id.trim().to_lowercase();
    RESERVED.contains(&&*id) || id.strip_prefix(LARDER).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
}

impl Access {
    pub(super) fn validate(&self, problems: &mut Vec<String>) {
        let mut ids = HashSet::new();
        for token in &self.tokens {
            token.validate(problems);
            if !ids.insert(&token.id) {
                problems.push(format!("access.tokens: the id {:?} is used twice", token.id));
            }
        }
        if self.audience.as_ref().is_some_and(|audience| audience.is_empty() || audience.len() > 512) {
            problems.push("access.audience must have 1 to 512 bytes".to_owned());
        }
        issuers::validate(&self.issuers, problems);
        rules::validate(&self.rules, &self.issuers, problems);
    }
}
