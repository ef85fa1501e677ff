//! Who makes a request, and what they may do.

use crate::domain::{ManifestName, NamePattern, Permission, Subject};

/// Somebody who makes a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// No token was sent.
    Anonymous,
    /// The holder of a token.
    Token {
        /// Who that is.
        subject: Subject,
        /// What it may do.
        actions: Vec<Permission>,
        /// The names it may do it to.
        names: Vec<NamePattern>,
    },
}

impl Caller {
    /// Who makes the request, as logs and the history have it.
    #[must_use]
    pub fn subject(&self) -> Subject {
        match self {
            Self::Anonymous => Subject::anonymous(),
            Self::Token { subject, .. } => subject.clone(),
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
