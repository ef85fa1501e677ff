//! `[[access.rules]]`: what the holders of identity tokens may do, by the claims of their tokens.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Deserializer, Serialize};

use super::{Duration, Issuer, IssuerKind};
use crate::domain::{Glob, NameTemplate, Permission};

/// Longest life of a token that was exchanged.
const LONGEST_TTL: Duration = Duration::from_secs(60 * 60);
/// Most rules.
const MAX_RULES: usize = 1000;

/// How often an identity token may be exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Uses {
    /// Once, through whichever server of the store.
    Once,
    /// Until it expires: for issuers that give a job one token for all of its steps.
    UntilExp,
}

/// Patterns of which a claim must match one; written as one text or as a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Patterns(pub Vec<Glob>);

impl<'de> Deserialize<'de> for Patterns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a pattern, or a list of patterns")]
        enum Written {
            One(Glob),
            Many(Vec<Glob>),
        }
        Ok(Self(match Written::deserialize(deserializer)? {
            Written::One(glob) => vec![glob],
            Written::Many(globs) => globs,
        }))
    }
}

/// Permissions of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleGrant {
    /// Permissions that it grants.
    pub actions: Vec<Permission>,
    /// Names that the permissions apply to; `{CLAIM}` stands for the value of a claim.
    pub names: Vec<NameTemplate>,
    /// Surfaces that it is valid on; all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub surfaces: Option<Vec<String>>,
}

/// `[[access.rules]]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessRule {
    /// What histories, logs and explanations call it.
    pub id: String,
    /// Id of the issuer.
    pub issuer: String,
    /// Values of `aud` that are accepted; `access.audience` if absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub audience: Vec<String>,
    /// Patterns that claims must match, all of them.
    pub claims: BTreeMap<String, Patterns>,
    /// What it grants.
    pub grants: Vec<RuleGrant>,
    /// How long an exchanged token lives.
    #[serde(default = "quarter_of_an_hour")]
    pub ttl: Duration,
    /// Whether the identity token itself is accepted as a bearer token, unexchanged.
    #[serde(default)]
    pub raw_bearer: bool,
    /// How often an identity token may be exchanged; `once` if absent, but `until_exp` with GitLab.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jti: Option<Uses>,
}

fn quarter_of_an_hour() -> Duration {
    Duration::from_secs(15 * 60)
}

impl IssuerKind {
    /// Claims that are ids and never given to somebody else.
    #[must_use]
    pub fn immutable_claims(self) -> &'static [&'static str] {
        match self {
            Self::Github => &["repository_id", "repository_owner_id", "enterprise_id"],
            Self::Gitlab => &["project_id", "namespace_id"],
            Self::Buildkite => &["organization_id", "pipeline_id"],
            Self::Other => &["sub"],
        }
    }

    /// Claims that are names, which can be given to somebody else once their owner gives them up.
    #[must_use]
    pub fn name_claims(self) -> &'static [&'static str] {
        match self {
            Self::Github => &["repository", "repository_owner", "enterprise"],
            Self::Gitlab => &["project_path", "namespace_path"],
            Self::Buildkite => &["organization_slug", "pipeline_slug"],
            Self::Other => &[],
        }
    }

    /// The claim that says what a run was started by, and the values that are fine without being listed; none means all
    /// but the ones below.
    #[must_use]
    pub fn events(self) -> Option<(&'static str, &'static [&'static str])> {
        match self {
            Self::Github => Some(("event_name", &["push", "release", "workflow_dispatch"])),
            Self::Gitlab => Some(("pipeline_source", &["push", "web", "schedule", "api", "trigger", "pipeline"])),
            Self::Buildkite | Self::Other => None,
        }
    }

    /// Whether runs that were started so may work for people who may not push, and are accepted only if a rule lists
    /// them literally.
    #[must_use]
    pub fn is_risky_event(self, event: &str) -> bool {
        match self {
            Self::Github => event.starts_with("pull_request") || matches!(event, "workflow_run" | "issue_comment"),
            Self::Gitlab => matches!(event, "merge_request_event" | "external_pull_request_event"),
            Self::Buildkite | Self::Other => false,
        }
    }
}

impl AccessRule {
    /// Whether it needs one value, or one of a few, of one of these claims.
    fn pins(&self, claims: &[&str]) -> bool {
        let literal = |patterns: &Patterns| !patterns.0.is_empty() && patterns.0.iter().all(Glob::is_literal);
        claims.iter().any(|claim| self.claims.get(*claim).is_some_and(literal))
    }

    fn validate(&self, issuers: &[Issuer], problems: &mut Vec<String>) {
        let id = &self.id;
        let letter = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        if !(1..=64).contains(&id.len()) || !id.bytes().all(letter) {
            problems.push(format!("access.rules: the id {id:?} must be 1 to 64 letters, digits, '-', '_' and '.'"));
        }
        if self.claims.values().any(|patterns| patterns.0.is_empty() || patterns.0.len() > 100) {
            problems.push(format!("access.rules: each claim of {id:?} needs 1 to 100 patterns"));
        }
        let is_empty = |grant: &RuleGrant| grant.actions.is_empty() || grant.names.is_empty();
        if self.grants.is_empty() || self.grants.len() > 20 || self.grants.iter().any(is_empty) {
            problems.push(format!("access.rules: {id:?} needs 1 to 20 grants, each with actions and names"));
        }
        if self.grants.iter().any(|grant| grant.surfaces.as_ref().is_some_and(Vec::is_empty)) {
            problems.push(format!("access.rules: surfaces of {id:?} must name at least one, or be left out for all"));
        }
        if self.ttl.std().is_zero() || self.ttl > LONGEST_TTL {
            problems.push(format!("access.rules: ttl of {id:?} must be more than 0s and at most {LONGEST_TTL}"));
        }
        match issuers.iter().find(|issuer| issuer.id == self.issuer) {
            None => problems.push(format!("access.rules: there is no issuer {:?}, which {id:?} names", self.issuer)),
            Some(issuer) => self.validate_owner(issuer.kind, problems),
        }
    }

    /// An issuer works for everybody: without an owner a rule would let in all of them.
    fn validate_owner(&self, kind: IssuerKind, problems: &mut Vec<String>) {
        let id = &self.id;
        match kind {
            IssuerKind::Other if !self.claims.keys().any(|claim| self.pins(&[claim.as_str()])) => {
                problems.push(format!("access.rules: {id:?} must pin at least one claim to a value without '*'"));
            }
            IssuerKind::Buildkite if !self.pins(&["organization_id", "organization_slug"]) => {
                let why = "all organizations share this issuer";
                problems.push(format!("access.rules: {id:?} must pin organization_id, because {why}"));
            }
            IssuerKind::Github | IssuerKind::Gitlab if !self.pins_owner(kind) => {
                let claims = kind.immutable_claims().join(", ");
                let why = "anybody can have an account there";
                problems.push(format!("access.rules: {id:?} must pin one of {claims}, because {why}"));
            }
            IssuerKind::Github | IssuerKind::Gitlab | IssuerKind::Buildkite | IssuerKind::Other => {}
        }
    }

    fn pins_owner(&self, kind: IssuerKind) -> bool {
        self.pins(kind.immutable_claims()) || self.pins(kind.name_claims())
    }

    /// Warnings about a valid rule.
    pub(super) fn remarks(&self, issuers: &[Issuer]) -> Vec<String> {
        let Some(kind) = issuers.iter().find(|issuer| issuer.id == self.issuer).map(|issuer| issuer.kind) else {
            return Vec::new();
        };
        let (id, mut remarks) = (&self.id, Vec::new());
        if !kind.name_claims().is_empty() && !self.pins(kind.immutable_claims()) {
            remarks.push(format!(
                "the rule {id:?} knows its owner only by a name, which somebody else can register once it is given up: add {}",
                kind.immutable_claims()[0]
            ));
        }
        let listed = kind.events().and_then(|(claim, _)| self.claims.get(claim));
        for event in listed.into_iter().flat_map(|patterns| &patterns.0) {
            if kind.is_risky_event(event.as_str()) {
                remarks.push(format!(
                    "the rule {id:?} accepts {event}, whose runs may carry code or data of people who may not push"
                ));
            }
        }
        if self.raw_bearer {
            remarks.push(format!(
                "the rule {id:?} accepts identity tokens unexchanged, so whoever sees one can use it until it expires"
            ));
        }
        remarks
    }
}

pub(super) fn validate(rules: &[AccessRule], issuers: &[Issuer], problems: &mut Vec<String>) {
    let mut ids = HashSet::new();
    for rule in rules {
        rule.validate(issuers, problems);
        if !ids.insert(&rule.id) {
            problems.push(format!("access.rules: the id {:?} is used twice", rule.id));
        }
    }
    if rules.len() > MAX_RULES {
        problems.push(format!("access.rules: there are more than {MAX_RULES} rules"));
    }
}
