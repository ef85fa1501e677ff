//! Policies of names: what a name asks of those who read or change it, and how long its versions are kept.
//!
//! A policy is put together from rules, key by key: each key has the value of the first rule that matches the name *and
//! sets it*. So a rule about one key leaves the others to the rules behind it.

use std::sync::{Arc, PoisonError, RwLock};

use jiff::SignedDuration;

use super::{Cas, ManifestName, NamePattern, Reads, Retention};

/// The policy of one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NamePolicy {
    /// Who may read it.
    pub read: Reads,
    /// Whether changes must state what they expect.
    pub cas: Cas,
    /// How long its versions are kept.
    pub retention: Retention,
}

/// What a rule sets; `None` leaves a key to later rules, and at last to the default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PolicyKeys {
    /// [`NamePolicy::read`]
    pub read: Option<Reads>,
    /// [`NamePolicy::cas`]
    pub cas: Option<Cas>,
    /// [`Retention::keep_last`]
    pub keep_last: Option<u64>,
    /// [`Retention::keep_for`]
    pub keep_for: Option<SignedDuration>,
    /// [`Retention::staged_for`]
    pub staged_for: Option<SignedDuration>,
    /// [`Retention::prepared_for`]
    pub prepared_for: Option<SignedDuration>,
}

/// Tells whether a rule sets a key.
type IsSet = fn(&PolicyKeys) -> bool;

/// Every key as configurations spell it.
const KEYS: [(&str, IsSet); 6] = [
    ("read", |keys| keys.read.is_some()),
    ("cas", |keys| keys.cas.is_some()),
    ("keep_last", |keys| keys.keep_last.is_some()),
    ("keep_for", |keys| keys.keep_for.is_some()),
    ("staged_for", |keys| keys.staged_for.is_some()),
    ("prepared_for", |keys| keys.prepared_for.is_some()),
];

impl PolicyKeys {
    /// These keys, and those of `later` for the ones that are not set here.
    fn or(&self, later: &Self) -> Self {
        Self {
            read: self.read.or(later.read),
            cas: self.cas.or(later.cas),
            keep_last: self.keep_last.or(later.keep_last),
            keep_for: self.keep_for.or(later.keep_for),
            staged_for: self.staged_for.or(later.staged_for),
            prepared_for: self.prepared_for.or(later.prepared_for),
        }
    }

    fn policy(&self) -> NamePolicy {
        let default = Retention::default();
        NamePolicy {
            read: self.read.unwrap_or_default(),
            cas: self.cas.unwrap_or_default(),
            retention: Retention {
                keep_last: self.keep_last.unwrap_or(default.keep_last),
                keep_for: self.keep_for.unwrap_or(default.keep_for),
                staged_for: self.staged_for.unwrap_or(default.staged_for),
                prepared_for: self.prepared_for.unwrap_or(default.prepared_for),
            },
        }
    }
}

/// Some keys of the policies of some names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PolicyRule {
    /// The names: those that one of the patterns matches.
    pub matches: Vec<NamePattern>,
    /// What it sets for them.
    pub keys: PolicyKeys,
}

impl PolicyRule {
    /// The first of the rule's patterns that matches `name`.
    #[must_use]
    pub fn pattern_for(&self, name: &ManifestName) -> Option<&NamePattern> {
        self.matches.iter().find(|pattern| pattern.matches(name))
    }

    /// Whether this rule certainly matches every name that `other` matches.
    fn covers(&self, other: &Self) -> bool {
        let is_covered = |one: &NamePattern| self.matches.iter().any(|pattern| pattern.covers(one));
        other.matches.iter().all(is_covered)
    }
}

/// The rules of all names, in their order.
#[derive(Debug, Clone, Default)]
pub struct Policies {
    rules: Vec<PolicyRule>,
    /// Of a name that no rule matches.
    default: Arc<NamePolicy>,
    /// Of names that only the rule of this number matches, which are most; so that they cost no allocation.
    alone: Vec<Arc<NamePolicy>>,
}

impl Policies {
    /// Policies made of these rules.
    #[must_use]
    pub fn new(rules: Vec<PolicyRule>) -> Self {
        let alone = rules.iter().map(|rule| Arc::new(rule.keys.policy())).collect();
        Self { rules, default: Arc::default(), alone }
    }

    /// The policy of a name. Names that are derived from another one, such as hidden logs, have that one's.
    #[must_use]
    pub fn of(&self, name: &ManifestName) -> Arc<NamePolicy> {
        let mut matching = self.matching(name);
        let Some((first, rule)) = matching.next() else { return Arc::clone(&self.default) };
        let Some((_, second)) = matching.next() else { return Arc::clone(&self.alone[first]) };
        let keys = matching.fold(rule.keys.or(&second.keys), |keys, (_, later)| keys.or(&later.keys));
        Arc::new(keys.policy())
    }

    /// For each key, as configurations spell it, the index of the rule that the policy of `name` takes it from; `None` for
    /// the default.
    #[must_use]
    pub fn sources(&self, name: &ManifestName) -> Vec<(&'static str, Option<usize>)> {
        let source = |is_set: IsSet| self.matching(name).find(|(_, rule)| is_set(&rule.keys)).map(|(at, _)| at);
        KEYS.iter().map(|(key, is_set)| (*key, source(*is_set))).collect()
    }

    /// Keys that can never count, because an earlier rule sets them for all the rule's names: the rule's index, the key
    /// and the earlier rule's index. Only obvious ones.
    #[must_use]
    pub fn shadowed(&self) -> Vec<(usize, &'static str, usize)> {
        let mut found = Vec::new();
        for (at, rule) in self.rules.iter().enumerate() {
            for (key, is_set) in KEYS.iter().filter(|(_, is_set)| is_set(&rule.keys)) {
                let earlier = self.rules[..at].iter().position(|early| is_set(&early.keys) && early.covers(rule));
                found.extend(earlier.map(|earlier| (at, *key, earlier)));
            }
        }
        found
    }

    /// The rules in their order.
    #[must_use]
    pub fn rules(&self) -> &[PolicyRule] {
        &self.rules
    }

    fn matching(&self, name: &ManifestName) -> impl Iterator<Item = (usize, &PolicyRule)> {
        self.rules.iter().enumerate().filter(|(_, rule)| rule.pattern_for(name).is_some())
    }
}

/// The policies that are in force now, shared by all who go by them. Clones share.
#[derive(Debug, Clone, Default)]
pub struct LivePolicies(Arc<RwLock<Arc<Policies>>>);

impl From<Policies> for LivePolicies {
    fn from(policies: Policies) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(policies))))
    }
}

impl LivePolicies {
    /// The policies as they are now. Work that must not change its mind half-way keeps what it got.
    #[must_use]
    pub fn current(&self) -> Arc<Policies> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts other policies in force.
    pub fn replace(&self, policies: Policies) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(policies);
    }
}

#[cfg(test)]
mod tests;
