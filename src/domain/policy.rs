//! Policies of names: requirements on their readers and writers, and the retention of their versions.
//!
//! A policy is assembled from rules, key by key: each key has the value of the first rule that matches the name *and
//! sets the key*. So a rule for one key leaves the other keys to later rules.

use std::sync::{Arc, PoisonError, RwLock};

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::attestation::Requirement;
use super::pattern::Reach;
use super::retention::{EarlierFiles, Verdict};
use super::{Cas, Glob, LogName, ManifestName, NamePattern, Reads, RepositoryName, Retention, VersionRow};

/// How often the same label may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Labels {
    /// As often as publishers like; the newest version with a label is the one that it selects.
    #[default]
    Any,
    /// Once: a publish with a label that any version of the name ever had is refused, unless the manifest is the same.
    Once,
}

/// Whether a name, once it leads somewhere, may lead elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tags {
    /// It may.
    #[default]
    Mutable,
    /// While a version is active, no other content becomes active: the name must be withdrawn or deleted first.
    Immutable,
}

/// The policy of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamePolicy {
    /// Who may read the name.
    pub read: Reads,
    /// Whether changes must state a precondition.
    pub cas: Cas,
    /// How long versions are kept.
    pub retention: Retention,
    /// How long a manifest without a tag is kept after it was pushed by its digest. Only in policies of repositories.
    pub untagged_for: SignedDuration,
    /// Whether another content may become active.
    pub tags: Tags,
    /// How often the same label may be used.
    pub labels: Labels,
    /// Versions whose label any of these matches are kept, however old they are.
    pub keep_labels: Arc<[Glob]>,
    /// Names whose active version readers get if its label is higher.
    pub follow: Arc<[ManifestName]>,
    /// Which versions that were active still answer for files that the active one lacks.
    pub earlier_files: EarlierFiles,
    /// Whether a name that ends with `/_catalog` holds a catalog, so that each document has to follow from the one before.
    pub catalog: bool,
    /// Which subjects may found a catalog, as patterns.
    pub catalog_founders: Arc<[Glob]>,
    /// Whether the wares that a catalog states of tars are compared with the files.
    pub verify_wares: bool,
    /// The signatures that a version needs to become active. `None`: none.
    pub signatures: Option<Arc<Requirement>>,
}

impl Default for NamePolicy {
    fn default() -> Self {
        PolicyKeys::default().policy()
    }
}

/// [`NamePolicy::catalog_founders`] where no rule sets it: only the server's own administrator.
fn founders() -> Arc<[Glob]> {
    "larder:admin".parse::<Glob>().into_iter().collect()
}

/// [`NamePolicy::untagged_for`] where no rule sets it.
const UNTAGGED_FOR: SignedDuration = SignedDuration::from_hours(24 * 7);

impl NamePolicy {
    /// As [`Retention::judge`], keeping versions for their labels and for their files as well.
    #[must_use]
    pub fn judge(&self, rows: &[VersionRow], age: impl Fn(&VersionRow) -> SignedDuration) -> Vec<Verdict> {
        let mut verdicts = self.retention.judge(rows, &age);
        let earlier: Vec<u64> = self.earlier_files.eligible(rows, age).iter().map(|row| row.number).collect();
        for (verdict, row) in verdicts.iter_mut().zip(rows) {
            *verdict = match *verdict {
                Verdict::ArchiveExpired | Verdict::StagingExpired if self.keeps_label(row) => Verdict::KeepLabels,
                Verdict::ArchiveExpired if earlier.contains(&row.number) => Verdict::EarlierFiles,
                other => other,
            };
        }
        verdicts
    }

    /// As [`Retention::judge`], for the roots of a hidden log of a repository. What is staged there is a manifest without a
    /// tag, kept for [`NamePolicy::untagged_for`]; and if it describes another manifest, for as long as that one is there,
    /// which `is_attached` says. It is asked only of rows that would expire.
    #[must_use]
    pub fn judge_untagged(
        &self,
        rows: &[VersionRow],
        age: impl Fn(&VersionRow) -> SignedDuration,
        is_attached: impl Fn(&VersionRow) -> bool,
    ) -> Vec<Verdict> {
        let retention = Retention { staged_for: self.untagged_for, ..self.retention };
        let mut verdicts = retention.judge(rows, age);
        for (verdict, row) in verdicts.iter_mut().zip(rows) {
            *verdict = match *verdict {
                Verdict::Staged => Verdict::Untagged,
                Verdict::StagingExpired if is_attached(row) => Verdict::Attached,
                Verdict::StagingExpired => Verdict::UntaggedExpired,
                other => other,
            };
        }
        verdicts
    }

    fn keeps_label(&self, row: &VersionRow) -> bool {
        row.summary.label.as_deref().is_some_and(|label| self.keep_labels.iter().any(|glob| glob.matches(label)))
    }
}

/// The keys that a rule sets; `None` leaves a key to later rules, and finally to the default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
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
    /// [`NamePolicy::untagged_for`]
    pub untagged_for: Option<SignedDuration>,
    /// [`NamePolicy::tags`]
    pub tags: Option<Tags>,
    /// [`NamePolicy::labels`]
    pub labels: Option<Labels>,
    /// [`NamePolicy::keep_labels`]
    pub keep_labels: Option<Arc<[Glob]>>,
    /// [`NamePolicy::follow`]
    pub follow: Option<Arc<[ManifestName]>>,
    /// [`NamePolicy::earlier_files`]
    pub earlier_files: Option<EarlierFiles>,
    /// [`NamePolicy::catalog`]
    pub catalog: Option<bool>,
    /// [`NamePolicy::catalog_founders`]
    pub catalog_founders: Option<Arc<[Glob]>>,
    /// [`NamePolicy::verify_wares`]
    pub verify_wares: Option<bool>,
    /// [`NamePolicy::signatures`]; a threshold of 0 is none.
    pub signatures: Option<Arc<Requirement>>,
}

/// A function that returns whether a rule sets a certain key.
type IsSet = fn(&PolicyKeys) -> bool;

/// All keys, as configurations spell them.
const KEYS: [(&str, IsSet); 16] = [
    ("read", |keys| keys.read.is_some()),
    ("cas", |keys| keys.cas.is_some()),
    ("keep_last", |keys| keys.keep_last.is_some()),
    ("keep_for", |keys| keys.keep_for.is_some()),
    ("staged_for", |keys| keys.staged_for.is_some()),
    ("prepared_for", |keys| keys.prepared_for.is_some()),
    ("untagged_for", |keys| keys.untagged_for.is_some()),
    ("tags", |keys| keys.tags.is_some()),
    ("labels", |keys| keys.labels.is_some()),
    ("keep_labels", |keys| keys.keep_labels.is_some()),
    ("follow", |keys| keys.follow.is_some()),
    ("earlier_files", |keys| keys.earlier_files.is_some()),
    ("catalog", |keys| keys.catalog.is_some()),
    ("catalog_founders", |keys| keys.catalog_founders.is_some()),
    ("verify_wares", |keys| keys.verify_wares.is_some()),
    ("signatures", |keys| keys.signatures.is_some()),
];

impl PolicyKeys {
    /// Takes missing keys from `later`.
    fn or(&self, later: &Self) -> Self {
        Self {
            read: self.read.or(later.read),
            cas: self.cas.or(later.cas),
            keep_last: self.keep_last.or(later.keep_last),
            keep_for: self.keep_for.or(later.keep_for),
            staged_for: self.staged_for.or(later.staged_for),
            prepared_for: self.prepared_for.or(later.prepared_for),
            untagged_for: self.untagged_for.or(later.untagged_for),
            tags: self.tags.or(later.tags),
            labels: self.labels.or(later.labels),
            keep_labels: self.keep_labels.as_ref().or(later.keep_labels.as_ref()).map(Arc::clone),
            follow: self.follow.as_ref().or(later.follow.as_ref()).map(Arc::clone),
            earlier_files: self.earlier_files.or(later.earlier_files),
            catalog: self.catalog.or(later.catalog),
            catalog_founders: self.catalog_founders.as_ref().or(later.catalog_founders.as_ref()).map(Arc::clone),
            verify_wares: self.verify_wares.or(later.verify_wares),
            signatures: self.signatures.as_ref().or(later.signatures.as_ref()).map(Arc::clone),
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
            untagged_for: self.untagged_for.unwrap_or(UNTAGGED_FOR),
            tags: self.tags.unwrap_or_default(),
            labels: self.labels.unwrap_or_default(),
            keep_labels: self.keep_labels.clone().unwrap_or_default(),
            follow: self.follow.clone().unwrap_or_default(),
            earlier_files: self.earlier_files.unwrap_or_default(),
            catalog: self.catalog.unwrap_or_default(),
            catalog_founders: self.catalog_founders.clone().unwrap_or_else(founders),
            verify_wares: self.verify_wares.unwrap_or_default(),
            signatures: self.signatures.clone().filter(|requirement| requirement.threshold() > 0),
        }
    }
}

/// A rule that sets some policy keys for some names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PolicyRule {
    /// The names that it applies to: those that any of the patterns matches.
    pub matches: Vec<NamePattern>,
    /// The keys that it sets.
    pub keys: PolicyKeys,
}

impl PolicyRule {
    /// The first of the rule's patterns that matches `name`.
    #[must_use]
    pub fn pattern_for(&self, name: &ManifestName) -> Option<&NamePattern> {
        self.matches.iter().find(|pattern| pattern.matches(name))
    }

    /// How many of a repository's tags the rule applies to.
    fn reach(&self, repository: &RepositoryName) -> Reach {
        self.matches.iter().map(|pattern| pattern.reach(repository)).max().unwrap_or(Reach::None)
    }

    /// Whether this rule provably matches every name that `other` matches.
    fn covers(&self, other: &Self) -> bool {
        let is_covered = |one: &NamePattern| self.matches.iter().any(|pattern| pattern.covers(one));
        other.matches.iter().all(is_covered)
    }
}

/// The rules of all names, in order of precedence.
#[derive(Debug, Clone, Default)]
pub struct Policies {
    rules: Vec<PolicyRule>,
    /// The policy of a name that no rule matches.
    default: Arc<NamePolicy>,
    /// The policies of names that only the rule with this index matches. Cached because that is the common case.
    alone: Vec<Arc<NamePolicy>>,
}

impl Policies {
    /// Creates the policies from their rules.
    #[must_use]
    pub fn new(rules: Vec<PolicyRule>) -> Self {
        let alone = rules.iter().map(|rule| Arc::new(rule.keys.policy())).collect();
        Self { rules, default: Arc::default(), alone }
    }

    /// The policy of a log: that of its name, or, for what is untagged in a repository, what all tags of the repository
    /// have in common.
    ///
    /// A rule governs what is untagged if it applies to *every* tag. Who may read it is decided more strictly: a rule
    /// that applies to only some tags counts, too, if it requires a token, because manifests without a tag may be theirs.
    #[must_use]
    pub fn of_log(&self, log: &LogName) -> Arc<NamePolicy> {
        match log.split_hidden().and_then(|_| RepositoryName::of(log)) {
            Some(repository) => self.of_untagged(&repository),
            None => self.of(&log.governing()),
        }
    }

    fn of_untagged(&self, repository: &RepositoryName) -> Arc<NamePolicy> {
        let mut governing = Vec::new();
        let mut read = None;
        let mut is_decided = false;
        for (at, rule) in self.rules.iter().enumerate() {
            let reach = rule.reach(repository);
            if reach == Reach::Every {
                governing.push(at);
            }
            if let Some(stated) = rule.keys.read.filter(|_| reach != Reach::None && !is_decided) {
                read = read.max(Some(stated));
                is_decided = reach == Reach::Every;
            }
        }
        match *governing {
            [] if read.unwrap_or_default() == Reads::default() => Arc::clone(&self.default),
            [only] if read.unwrap_or_default() == self.alone[only].read => Arc::clone(&self.alone[only]),
            _ => {
                let first = PolicyKeys { read, ..PolicyKeys::default() };
                Arc::new(governing.iter().fold(first, |keys, at| keys.or(&self.rules[*at].keys)).policy())
            }
        }
    }

    /// Who may read at least one of the tags that a repository could have.
    #[must_use]
    pub fn least_read(&self, repository: &RepositoryName) -> Reads {
        let mut least = Reads::Token;
        for rule in &self.rules {
            let reach = rule.reach(repository);
            let Some(read) = rule.keys.read.filter(|_| reach != Reach::None) else { continue };
            least = least.min(read);
            if reach == Reach::Every {
                return least;
            }
        }
        least.min(Reads::default())
    }

    /// The policy of a name.
    #[must_use]
    pub fn of(&self, name: &ManifestName) -> Arc<NamePolicy> {
        let mut matching = self.matching(name);
        let Some((first, rule)) = matching.next() else { return Arc::clone(&self.default) };
        let Some((_, second)) = matching.next() else { return Arc::clone(&self.alone[first]) };
        let keys = matching.fold(rule.keys.or(&second.keys), |keys, (_, later)| keys.or(&later.keys));
        Arc::new(keys.policy())
    }

    /// For each key, as it is spelled, the index of the rule that determines it for `name`; `None` for the default.
    #[must_use]
    pub fn sources(&self, name: &ManifestName) -> Vec<(&'static str, Option<usize>)> {
        let source = |is_set: IsSet| self.matching(name).find(|(_, rule)| is_set(&rule.keys)).map(|(at, _)| at);
        KEYS.iter().map(|(key, is_set)| (*key, source(*is_set))).collect()
    }

    /// Keys that never have an effect because an earlier rule sets them for all the rule's names, as far as that is
    /// provable: index of the rule, key, and index of the earlier rule.
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

    /// The rules, in order of precedence.
    #[must_use]
    pub fn rules(&self) -> &[PolicyRule] {
        &self.rules
    }

    fn matching(&self, name: &ManifestName) -> impl Iterator<Item = (usize, &PolicyRule)> {
        self.rules.iter().enumerate().filter(|(_, rule)| rule.pattern_for(name).is_some())
    }
}

/// The policies currently in force. Clones share the same state.
#[derive(Debug, Clone, Default)]
pub struct LivePolicies(Arc<RwLock<Arc<Policies>>>);

impl From<Policies> for LivePolicies {
    fn from(policies: Policies) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(policies))))
    }
}

impl LivePolicies {
    /// A snapshot of the current policies. Work that must be consistent throughout keeps one snapshot.
    #[must_use]
    pub fn current(&self) -> Arc<Policies> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the policies for all clones.
    pub fn replace(&self, policies: Policies) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(policies);
    }
}

#[cfg(test)]
mod tests;
