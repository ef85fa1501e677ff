//! Who makes a request, and what they may do.

use std::sync::{Arc, LazyLock};

use jiff::Timestamp;

use crate::domain::{ManifestName, NamePattern, Permission, Subject};

/// What somebody may do, whichever way it was granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// What.
    pub actions: Vec<Permission>,
    /// The names it may be done to.
    pub names: Vec<NamePattern>,
    /// The surfaces it may be done on; `None` for all.
    pub surfaces: Option<Vec<Box<str>>>,
    /// When the grant ends; `None` for never.
    pub until: Option<Timestamp>,
}

impl Grant {
    /// Everything, for ever.
    #[must_use]
    pub fn everything() -> Self {
        Self { actions: vec![Permission::Admin], names: vec![NamePattern::any()], surfaces: None, until: None }
    }

    /// Whether it has ended.
    #[must_use]
    pub fn is_over(&self, at: Timestamp) -> bool {
        self.until.is_some_and(|until| at >= until)
    }

    fn holds(&self, scope: Scope) -> bool {
        let here = |surfaces: &Vec<Box<str>>| surfaces.iter().any(|surface| &**surface == scope.surface);
        !self.is_over(scope.at) && self.surfaces.as_ref().is_none_or(here)
    }

    fn allows(&self, wanted: Permission) -> bool {
        self.actions.iter().any(|action| action.includes(wanted))
    }

    fn reaches(&self, name: &ManifestName) -> bool {
        self.names.iter().any(|pattern| pattern.matches(name))
    }
}

/// Everything that somebody was granted.
pub type Grants = Vec<Grant>;

/// Where and when a request is made; grants may be limited to both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope {
    /// The surface that was asked.
    pub surface: &'static str,
    /// The time.
    pub at: Timestamp,
}

/// Somebody who makes a request. Making and cloning one allocates nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    subject: Subject,
    grants: Arc<Grants>,
    scope: Scope,
}

impl Caller {
    /// `subject`, who was granted `grants`, with a request in `scope`.
    #[must_use]
    pub fn new(subject: Subject, grants: Arc<Grants>, scope: Scope) -> Self {
        Self { subject, grants, scope }
    }

    /// Somebody who sent no credentials, and was granted nothing.
    #[must_use]
    pub fn anonymous() -> Self {
        static NOTHING: LazyLock<Arc<Grants>> = LazyLock::new(Arc::default);
        let scope = Scope { surface: "", at: Timestamp::MIN };
        Self { subject: Subject::anonymous(), grants: Arc::clone(&NOTHING), scope }
    }

    /// Whether no credentials were sent.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        self.subject == Subject::anonymous()
    }

    /// Who makes the request, as logs and the history have it. What belongs to a subject is found by comparing these.
    #[must_use]
    pub fn subject(&self) -> Subject {
        self.subject.clone()
    }

    /// Whether the caller may do this to some name.
    #[must_use]
    pub fn may_somewhere(&self, wanted: Permission) -> bool {
        self.granting(wanted).next().is_some()
    }

    /// Whether the caller may do this to `name`.
    #[must_use]
    pub fn may(&self, wanted: Permission, name: &ManifestName) -> bool {
        self.granting(wanted).any(|grant| grant.reaches(name))
    }

    fn granting(&self, wanted: Permission) -> impl Iterator<Item = &Grant> {
        self.grants.iter().filter(move |grant| grant.holds(self.scope) && grant.allows(wanted))
    }
}
