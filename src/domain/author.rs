//! Who is recorded for a change, and why: a subject, the surface that it used, what an issuer says of it, and its reason.

use std::sync::Arc;

use super::Subject;
use super::head::Operation;
use super::version::bounded;

/// Most claims of an author.
pub const MAX_CLAIMS: usize = 16;
/// Most bytes of all claims of an author.
pub const MAX_CLAIM_BYTES: usize = 1024;

/// The author of a change, as its operation records it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// The subject.
    pub subject: Subject,
    /// The surface that the request came through; `None` for the native one.
    pub via: Option<&'static str>,
    /// Claims about the subject, each `NAME=VALUE`. Those beyond [`MAX_CLAIMS`] or [`MAX_CLAIM_BYTES`] are not recorded.
    pub claims: Arc<[Box<str>]>,
    /// Why the subject made the change, verbatim. What exceeds 500 bytes is not recorded.
    pub reason: Option<Box<str>>,
}

impl From<&Subject> for Author {
    fn from(subject: &Subject) -> Self {
        Self { subject: subject.clone(), via: None, claims: Arc::default(), reason: None }
    }
}

impl From<&Self> for Author {
    fn from(author: &Self) -> Self {
        author.clone()
    }
}

impl Author {
    /// The same author, who gives this reason for the change.
    #[must_use]
    pub fn because(self, reason: Option<&str>) -> Self {
        Self { reason: reason.map(Into::into), ..self }
    }

    /// Records the author in an operation.
    #[must_use]
    pub fn sign(&self, operation: Operation) -> Operation {
        let (mut room, mut claims) = (MAX_CLAIM_BYTES, Vec::new());
        for claim in &*self.claims {
            if claim.len() <= room && claims.len() < MAX_CLAIMS {
                room -= claim.len();
                claims.push(claim.clone());
            }
        }
        let reason = self.reason.as_deref().map(bounded);
        Operation { via: self.via.map(Into::into), claims, reason, ..operation }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Action;

    #[test]
    fn claims_are_bounded_in_number_and_in_all() {
        let operation = || Operation::new("id".into(), Action::Publish, Subject::admin());
        let signed = |claims: Vec<Box<str>>| {
            Author { claims: claims.into(), ..Author::from(&Subject::admin()) }.sign(operation()).claims
        };
        assert_eq!(signed((0..20).map(|number| format!("a={number}").into()).collect()).len(), MAX_CLAIMS);
        let long = "x".repeat(1000);
        assert_eq!(signed(vec![long.as_str().into(), "b=2000000000000000000000000".into(), "c=3".into()]).len(), 2);
    }
}
