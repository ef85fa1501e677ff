//! `[access]`: who may do what.

use serde::{Deserialize, Serialize};

use crate::domain::{Cas, NamePattern, Permission, Reads};

/// `[access]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Access {
    /// Who may read blobs by digest.
    pub blob_reads: Reads,
    /// Tokens, by their hash.
    pub tokens: Vec<Token>,
    /// Rules for names; the first whose pattern matches counts.
    pub policies: Vec<Policy>,
}

/// `[[access.tokens]]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// What the token is called in logs and in the history.
    pub id: String,
    /// SHA-256 of the token, in hex.
    pub sha256: String,
    /// What it may do.
    pub actions: Vec<Permission>,
    /// The names it may do it to.
    #[serde(default = "all_names")]
    pub names: Vec<NamePattern>,
}

fn all_names() -> Vec<NamePattern> {
    vec![NamePattern::any()]
}

/// `[[access.policies]]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// The names it applies to.
    pub names: Vec<NamePattern>,
    /// Who may read them.
    #[serde(default)]
    pub read: Reads,
    /// Whether changes need a precondition.
    #[serde(default)]
    pub cas: Cas,
}

impl Access {
    pub(super) fn validate(&self, problems: &mut Vec<String>) {
        let mut ids = std::collections::HashSet::new();
        for token in &self.tokens {
            let id = &token.id;
            if id.is_empty() || id.len() > 128 || id.chars().any(char::is_control) {
                problems.push(format!("access.tokens: the id {id:?} must be 1 to 128 printable characters"));
            }
            if !ids.insert(id) {
                problems.push(format!("access.tokens: the id {id:?} is used twice"));
            }
            if token.sha256.len() != 64 || !token.sha256.bytes().all(|b| b.is_ascii_hexdigit()) {
                problems.push(format!(
                    "access.tokens: sha256 of {id:?} must be 64 hex digits (the SHA-256 of the token, never the token)"
                ));
            }
            if token.actions.is_empty() || token.names.is_empty() {
                problems.push(format!("access.tokens: {id:?} needs at least one action and one name pattern"));
            }
        }
        if self.policies.iter().any(|policy| policy.names.is_empty()) {
            problems.push("access.policies: every policy needs at least one name pattern".to_owned());
        }
    }
}
