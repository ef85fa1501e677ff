//! Callers of requests, and their permissions.

use std::sync::{Arc, LazyLock};

use jiff::Timestamp;

use crate::domain::pattern::Reach;
use crate::domain::{Author, ManifestName, NamePattern, Permission, RepositoryName, Subject};

/// A set of permissions, independent of the provider that granted it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The permissions that it grants.
    pub actions: Vec<Permission>,
    /// The names that the permissions apply to.
    pub names: Vec<NamePattern>,
    /// The surfaces that it is valid on; `None` for all.
    pub surfaces: Option<Vec<Box<str>>>,
    /// When it expires; `None` for never.
    pub until: Option<Timestamp>,
}

impl Grant {
    /// A grant of everything, without expiry.
    #[must_use]
    pub fn everything() -> Self {
        Self { actions: vec![Permission::Admin], names: vec![NamePattern::any()], surfaces: None, until: None }
    }

    /// Whether it has expired.
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

    fn reaches_into(&self, repository: &RepositoryName) -> bool {
        self.names.iter().any(|pattern| pattern.reach(repository) != Reach::None)
    }

    fn reaches_all_of(&self, repository: &RepositoryName) -> bool {
        self.names.iter().any(|pattern| pattern.reach(repository) == Reach::Every)
    }
}

/// All grants of a caller.
pub type Grants = Vec<Grant>;

/// The surface and time of a request, which grants may be limited to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope {
    /// Name of the surface that receives the request.
    pub surface: &'static str,
    /// Time of the request.
    pub at: Timestamp,
}

/// Why the credentials of a request do not count: it is answered as if it had none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disregarded {
    /// They are malformed, or of a scheme that nobody here reads: meant for another server, or for a proxy.
    Unreadable,
    /// A token that no provider knows.
    Unknown,
    /// A provider refused them; holds a sentence with the reason.
    Refused(Arc<str>),
}

/// The surface that operations do not name, because it is the usual one.
const USUAL_SURFACE: &str = "native";

/// The caller of a request. Creating and cloning one allocates nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    subject: Subject,
    grants: Arc<Grants>,
    scope: Scope,
    claims: Option<Arc<[Box<str>]>>,
    disregarded: Option<Disregarded>,
}

impl Caller {
    /// A caller identified as `subject`, with these grants, making a request in `scope`.
    #[must_use]
    pub fn new(subject: Subject, grants: Arc<Grants>, scope: Scope) -> Self {
        Self { subject, grants, scope, claims: None, disregarded: None }
    }

    /// The same caller, of whom its issuer also says this, each as `NAME=VALUE`. Histories keep it.
    #[must_use]
    pub fn with_claims(self, claims: Arc<[Box<str>]>) -> Self {
        Self { claims: Some(claims), ..self }
    }

    /// A caller without credentials and without grants.
    #[must_use]
    pub fn anonymous() -> Self {
        static NOTHING: LazyLock<Arc<Grants>> = LazyLock::new(Arc::default);
        let scope = Scope { surface: "", at: Timestamp::MIN };
        Self::new(Subject::anonymous(), Arc::clone(&NOTHING), scope)
    }

    /// A caller whose credentials do not count: anonymous, but a denial can say why.
    #[must_use]
    pub fn disregarding(credentials: Disregarded) -> Self {
        Self { disregarded: Some(credentials), ..Self::anonymous() }
    }

    /// Why the credentials of the request do not count; `None` if they do, or there are none.
    #[must_use]
    pub fn disregarded(&self) -> Option<&Disregarded> {
        self.disregarded.as_ref()
    }

    /// Whether the request had no credentials that count.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        self.subject == Subject::anonymous()
    }

    /// The caller as recorded in logs and histories. Ownership is decided by comparing subjects.
    #[must_use]
    pub fn subject(&self) -> Subject {
        self.subject.clone()
    }

    /// The caller as the operations of its changes record it.
    #[must_use]
    pub fn author(&self) -> Author {
        let via = Some(self.scope.surface).filter(|surface| *surface != USUAL_SURFACE);
        Author { subject: self.subject(), via, claims: self.claims.clone().unwrap_or_default(), reason: None }
    }

    /// When the last of the caller's grants ends; `None` for never.
    #[must_use]
    pub fn until(&self) -> Option<Timestamp> {
        let ends: Option<Vec<_>> = self.grants.iter().map(|grant| grant.until).collect();
        ends?.into_iter().max()
    }

    /// Whether the caller has this permission for any name at all.
    #[must_use]
    pub fn may_somewhere(&self, wanted: Permission) -> bool {
        self.granting(wanted).next().is_some()
    }

    /// Whether the caller has this permission for `name`.
    #[must_use]
    pub fn may(&self, wanted: Permission, name: &ManifestName) -> bool {
        self.granting(wanted).any(|grant| grant.reaches(name))
    }

    /// Whether the caller was granted nothing but this, anywhere and at any time.
    #[must_use]
    pub fn is_limited_to(&self, only: Permission) -> bool {
        self.grants.iter().flat_map(|grant| &grant.actions).all(|action| *action == only)
    }

    /// Whether the caller has this permission for any tag that `repository` could have.
    #[must_use]
    pub fn may_in_repository(&self, wanted: Permission, repository: &RepositoryName) -> bool {
        self.granting(wanted).any(|grant| grant.reaches_into(repository))
    }

    /// Whether a grant of the caller has this permission for every tag that `repository` could have.
    #[must_use]
    pub fn may_in_whole_repository(&self, wanted: Permission, repository: &RepositoryName) -> bool {
        self.granting(wanted).any(|grant| grant.reaches_all_of(repository))
    }

    fn granting(&self, wanted: Permission) -> impl Iterator<Item = &Grant> {
        self.grants.iter().filter(move |grant| grant.holds(self.scope) && grant.allows(wanted))
    }
}
