//! Who makes a request, and what they may do.

use crate::domain::{ManifestName, NamePattern, Permission};

/// Somebody who makes a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// No token was sent.
    Anonymous,
    /// The holder of a token.
    Token {
        /// What the token is called.
        id: String,
        /// What it may do.
        actions: Vec<Permission>,
        /// The names it may do it to.
        names: Vec<NamePattern>,
    },
}

impl Caller {
    /// What the caller is called in logs and in the history.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Token { id, .. } => id,
        }
    }

    /// Whether the caller may do this to some name.
    #[must_use]
    pub fn may_somewhere(&self, wanted: Permission) -> bool {
        let Self::Token { actions, .. } = self else { return false };
        let implied = |have: &Permission| {
            *have == wanted
                || *have == Permission::Admin
                || (*have == Permission::Publish && wanted == Permission::Upload)
        };
        actions.iter().any(implied)
    }

    /// Whether the caller may do this to `name`.
    #[must_use]
    pub fn may(&self, wanted: Permission, name: &ManifestName) -> bool {
        let Self::Token { names, .. } = self else { return false };
        self.may_somewhere(wanted) && names.iter().any(|pattern| pattern.matches(name))
    }
}
