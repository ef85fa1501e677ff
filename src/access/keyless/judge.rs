//! Rules: what the claims of a token grant, and what is in the way of what they do not.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::claims::Claims;
use crate::access::caller::Grant;
use crate::config::{AccessRule, IssuerKind, RuleGrant, Uses};
use crate::domain::Glob;

/// Most rules that an explanation is about.
const EXPLAINED: usize = 3;
/// Most claims of a rule that an explanation is about.
const MISMATCHES: usize = 8;
/// Longest text of an explanation's member, in characters.
const SHOWN: usize = 200;
/// Claims whose values mean the same in upper and lower case.
const CASELESS: [&str; 7] = [
    "environment",
    "enterprise",
    "namespace_path",
    "organization_slug",
    "project_path",
    "repository",
    "repository_owner",
];

/// A claim that is in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// The claim.
    pub claim: String,
    /// What the rule expects, in words.
    pub expected: String,
    /// The value; `None` if the token has no such claim.
    pub actual: Option<String>,
}

impl Mismatch {
    fn new(claim: &str, expected: impl Into<String>, actual: Option<&str>) -> Self {
        let shown = |text: &str| text.chars().take(SHOWN).collect::<String>();
        Self { claim: claim.to_owned(), expected: shown(&expected.into()), actual: actual.map(shown) }
    }
}

/// A rule that would have granted something, if not for some claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NearMiss {
    /// Id of the rule.
    pub rule: String,
    /// What is in the way, as far as explanations go.
    pub mismatches: Vec<Mismatch>,
}

/// What a rule grants to a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// Id of the rule.
    pub rule: Box<str>,
    /// The grants, with claims in place of placeholders. They end with the life of an exchanged token.
    pub grants: Vec<Grant>,
    /// How often the token may be exchanged.
    pub(super) uses: Uses,
    /// Whether the token itself is accepted as a bearer token.
    pub raw_bearer: bool,
}

/// What the rules of an issuer say to a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The rules that grant something.
    pub granted: Vec<Granted>,
    /// Of the others, those about the token's owner, the nearest first. About others nothing is said, because anybody
    /// can have a token of a public issuer.
    pub near: Vec<NearMiss>,
}

/// The rules of one issuer.
#[derive(Debug, Clone)]
pub(super) struct Judge {
    kind: IssuerKind,
    audience: Option<String>,
    rules: Vec<Rule>,
}

#[derive(Debug, Clone)]
struct Rule {
    configured: AccessRule,
    claims: BTreeMap<String, Vec<Glob>>,
}

impl Judge {
    /// `audience` is what tokens are for unless a rule says otherwise.
    pub(super) fn new(kind: IssuerKind, audience: Option<&str>, rules: impl Iterator<Item = AccessRule>) -> Self {
        let rules = rules.map(|configured| {
            let claims = configured.claims.iter().map(|(claim, patterns)| {
                let spelled = |glob: &Glob| fold(claim, glob.as_str()).parse().unwrap_or_else(|_| glob.clone());
                (claim.clone(), patterns.0.iter().map(spelled).collect())
            });
            Rule { claims: claims.collect(), configured }
        });
        Self { kind, audience: audience.map(str::to_owned), rules: rules.collect() }
    }

    /// Whether some rule accepts identity tokens unexchanged.
    pub(super) fn accepts_raw(&self) -> bool {
        self.rules.iter().any(|rule| rule.configured.raw_bearer)
    }

    /// The ids of the rules.
    pub(super) fn ids(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().map(|rule| rule.configured.id.as_str())
    }

    /// Judges the claims of a token of this issuer.
    pub(super) fn judge(&self, claims: &Claims, at: Timestamp) -> Verdict {
        let (mut granted, mut near) = (Vec::new(), Vec::new());
        for rule in &self.rules {
            let mut mismatches = self.mismatches(rule, claims);
            let grants = if mismatches.is_empty() { fill(rule, claims, at, &mut mismatches) } else { Vec::new() };
            let configured = &rule.configured;
            if mismatches.is_empty() {
                granted.push(Granted {
                    rule: configured.id.as_str().into(),
                    grants,
                    uses: configured.jti.unwrap_or_else(|| default_uses(self.kind)),
                    raw_bearer: configured.raw_bearer,
                });
            } else if self.is_about_owner(rule, claims) {
                near.push(NearMiss { rule: configured.id.clone(), mismatches });
            }
        }
        near.sort_by_key(|miss| miss.mismatches.len());
        near.truncate(EXPLAINED);
        for miss in &mut near {
            miss.mismatches.truncate(MISMATCHES);
        }
        Verdict { granted, near }
    }

    /// Whether one of the claims by which a rule knows its owner holds.
    fn is_about_owner(&self, rule: &Rule, claims: &Claims) -> bool {
        let mut owner = self.kind.immutable_claims().iter().chain(self.kind.name_claims());
        owner.any(|claim| rule.claims.get(*claim).is_some_and(|globs| holds(claim, globs, claims)))
    }

    fn mismatches(&self, rule: &Rule, claims: &Claims) -> Vec<Mismatch> {
        let mut found = Vec::new();
        let audiences =
            || rule.configured.audience.iter().chain(self.audience.as_ref().filter(|_| rule.uses_default()));
        if !claims.audience.iter().any(|audience| audiences().any(|wanted| wanted == audience)) {
            let wanted: Vec<_> = audiences().map(|wanted| format!("{wanted:?}")).collect();
            found.push(Mismatch::new("aud", wanted.join(" or "), Some(&claims.audience.join(", "))));
        }
        for (claim, globs) in rule.claims.iter().filter(|(claim, globs)| !holds(claim, globs, claims)) {
            let wanted: Vec<_> = globs.iter().map(|glob| format!("{:?}", glob.as_str())).collect();
            found.push(Mismatch::new(claim, wanted.join(" or "), claims.get(claim)));
        }
        found.extend(self.event(rule, claims));
        found.extend(self.called_workflow(rule, claims));
        found
    }

    /// What started the run: a few events are fine unless the rule lists others; those whose runs may work for people
    /// who may not push are accepted only where they are listed literally.
    fn event(&self, rule: &Rule, claims: &Claims) -> Option<Mismatch> {
        let (claim, usual) = self.kind.events()?;
        let actual = claims.get(claim);
        let event = actual.unwrap_or_default();
        match rule.claims.get(claim) {
            None if usual.contains(&event) => None,
            None => {
                let expected = format!("{}, unless the rule lists others", usual.join(" or "));
                Some(Mismatch::new(claim, expected, actual))
            }
            Some(globs) => {
                let listed = globs.iter().any(|glob| glob.as_str() == event);
                let is_open = self.kind.is_risky_event(event) && !listed && holds(claim, globs, claims);
                is_open.then(|| Mismatch::new(claim, "an event that the rule lists without '*'", actual))
            }
        }
    }

    /// A reusable workflow of somebody else runs with the claims of the workflow that calls it. So whoever pins the file
    /// means that this file does the work, unless the rule says which other one may.
    fn called_workflow(&self, rule: &Rule, claims: &Claims) -> Option<Mismatch> {
        if self.kind != IssuerKind::Github || !rule.claims.contains_key("workflow_file") {
            return None;
        }
        if rule.claims.contains_key("job_workflow_ref") {
            return None;
        }
        let (job, own) = (claims.get("job_workflow_ref")?, claims.get("workflow_ref"));
        let expected = "the workflow itself, unless the rule says which reusable one";
        (own != Some(job)).then(|| Mismatch::new("job_workflow_ref", expected, Some(job)))
    }
}

impl Rule {
    fn uses_default(&self) -> bool {
        self.configured.audience.is_empty()
    }
}

/// GitLab gives a job one token, which all of its steps have to share.
fn default_uses(kind: IssuerKind) -> Uses {
    if kind == IssuerKind::Gitlab { Uses::UntilExp } else { Uses::Once }
}

/// The grants of a rule whose claims hold. Those whose names the claims cannot be part of are left out; if that are all,
/// that is in the way.
fn fill(rule: &Rule, claims: &Claims, at: Timestamp, mismatches: &mut Vec<Mismatch>) -> Vec<Grant> {
    let until = at.checked_add(rule.configured.ttl.signed()).unwrap_or(Timestamp::MAX);
    let (mut grants, mut failed) = (Vec::new(), Vec::new());
    for grant in &rule.configured.grants {
        let mut names = Vec::new();
        for template in &grant.names {
            match template.fill(|claim| claims.get(claim)) {
                Ok(pattern) => names.push(pattern),
                Err(why) => {
                    let actual = template.claims().last().and_then(|claim| claims.get(claim));
                    failed.push(Mismatch::new(&template.to_string(), format!("a name ({why})"), actual));
                }
            }
        }
        let RuleGrant { actions, surfaces, .. } = grant;
        let surfaces = surfaces.as_ref().map(|list| list.iter().map(|surface| surface.as_str().into()).collect());
        if !names.is_empty() {
            grants.push(Grant { actions: actions.clone(), names, surfaces, until: Some(until) });
        }
    }
    if grants.is_empty() {
        mismatches.extend(failed);
    }
    grants
}

/// How a value of this claim is compared.
fn fold(claim: &str, value: &str) -> String {
    if CASELESS.contains(&claim) { value.to_lowercase() } else { value.to_owned() }
}

fn holds(claim: &str, globs: &[Glob], claims: &Claims) -> bool {
    claims.get(claim).is_some_and(|value| {
        let value = fold(claim, value);
        globs.iter().any(|glob| glob.matches(&value))
    })
}

/// How long the longest grant lives.
pub(super) fn longest(granted: &[Granted], at: Timestamp) -> SignedDuration {
    let ends = granted.iter().flat_map(|rule| &rule.grants).filter_map(|grant| grant.until);
    ends.map(|end| end.duration_since(at)).max().unwrap_or_default()
}
