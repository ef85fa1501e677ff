//! `[[names]]`: policies of names.

mod signatures;

use std::sync::Arc;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

pub use self::signatures::Signatures;
use super::Duration;
use crate::domain::policy::{Labels, PolicyKeys, Tags};
use crate::domain::retention;
use crate::domain::{Cas, Glob, ManifestName, NamePattern, NamePolicy, PolicyRule, Reads};

/// Maximum number of patterns in `keep_labels`.
const MAX_KEPT: usize = 32;
/// Maximum number of names in `follow`: reading the name reads all of them.
const MAX_FOLLOWED: usize = 4;

/// `[[names]]`: a rule that sets some policy keys for some names. Each key has the value of the first rule that matches
/// a name and sets the key.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NameRule {
    /// Patterns of the names that it applies to.
    #[serde(rename = "match")]
    pub matches: Vec<NamePattern>,
    /// Who may read the names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<Reads>,
    /// Whether changes must state a precondition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cas: Option<Cas>,
    /// Keep at least this many of the newest versions that are or were active, regardless of age.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_last: Option<u64>,
    /// How long an archived version is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_for: Option<Duration>,
    /// How long a staged version is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staged_for: Option<Duration>,
    /// Time limit for completing a prepared version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prepared_for: Option<Duration>,
    /// How long a manifest without a tag is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub untagged_for: Option<Duration>,
    /// Whether other content may become active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Tags>,
    /// How often the same label may be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Labels>,
    /// Patterns of labels; versions with such a label are kept, however old they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_labels: Option<Vec<Glob>>,
    /// Names whose active version readers get if its label is higher than that of the own one. Only in a rule for a
    /// single name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follow: Option<Vec<ManifestName>>,
    /// Which versions that were active still answer for files that the active one lacks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earlier_files: Option<EarlierFiles>,
    /// Whether a name that ends with `/_catalog` holds a catalog, so that each document has to follow from the one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catalog: Option<bool>,
    /// Subjects who may found a catalog, as patterns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catalog_founders: Option<Vec<Glob>>,
    /// Whether the wares that a catalog states of tars are compared with the files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify_wares: Option<bool>,
    /// The signatures that a version needs to become active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signatures: Option<Signatures>,
}

/// `earlier_files = { for = "7days", versions = 20 }`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EarlierFiles {
    /// How long after a version was archived; zero is never.
    #[serde(rename = "for", default = "EarlierFiles::window")]
    pub window: Duration,
    /// Of how many versions, counted from the one that was archived last.
    #[serde(default = "EarlierFiles::versions")]
    pub versions: u64,
}

impl EarlierFiles {
    fn window() -> Duration {
        Duration::from_secs(7 * 24 * 3600)
    }

    fn versions() -> u64 {
        retention::EarlierFiles::VERSIONS
    }

    fn policy(self) -> retention::EarlierFiles {
        retention::EarlierFiles { window: self.window.signed(), versions: self.versions }
    }
}

impl NameRule {
    /// Creates a rule for these names that sets every key to its value in `policy`.
    #[must_use]
    pub fn setting_all(matches: Vec<NamePattern>, policy: &NamePolicy) -> Self {
        let written = |time: SignedDuration| Some(Duration::from_secs(time.as_secs().unsigned_abs()));
        let retention = &policy.retention;
        Self {
            matches,
            read: Some(policy.read),
            cas: Some(policy.cas),
            keep_last: Some(retention.keep_last),
            keep_for: written(retention.keep_for),
            staged_for: written(retention.staged_for),
            prepared_for: written(retention.prepared_for),
            untagged_for: written(policy.untagged_for),
            tags: Some(policy.tags),
            labels: Some(policy.labels),
            keep_labels: Some(policy.keep_labels.to_vec()),
            follow: Some(policy.follow.to_vec()),
            earlier_files: written(policy.earlier_files.window)
                .map(|window| EarlierFiles { window, versions: policy.earlier_files.versions }),
            catalog: Some(policy.catalog),
            catalog_founders: Some(policy.catalog_founders.to_vec()),
            verify_wares: Some(policy.verify_wares),
            signatures: Some(policy.signatures.as_deref().map_or_else(Signatures::none, Signatures::from)),
        }
    }

    /// Converts to the domain's rule.
    #[must_use]
    pub fn rule(&self) -> PolicyRule {
        let keys = PolicyKeys {
            read: self.read,
            cas: self.cas,
            keep_last: self.keep_last,
            keep_for: self.keep_for.map(Duration::signed),
            staged_for: self.staged_for.map(Duration::signed),
            prepared_for: self.prepared_for.map(Duration::signed),
            untagged_for: self.untagged_for.map(Duration::signed),
            tags: self.tags,
            labels: self.labels,
            keep_labels: self.keep_labels.as_deref().map(Into::into),
            follow: self.follow.as_deref().map(Into::into),
            earlier_files: self.earlier_files.map(EarlierFiles::policy),
            catalog: self.catalog,
            catalog_founders: self.catalog_founders.as_deref().map(Into::into),
            verify_wares: self.verify_wares,
            // What is not valid was refused before.
            signatures: self.signatures.as_ref().and_then(|signatures| signatures.requirement().ok()).map(Arc::new),
        };
        PolicyRule { matches: self.matches.clone(), keys }
    }
}

pub(super) fn validate(rules: &[NameRule], problems: &mut Vec<String>) {
    for (number, rule) in (1..).zip(rules) {
        if rule.matches.is_empty() {
            problems.push(format!("names: rule {number} needs at least one name pattern in match"));
        }
        if rule.keep_labels.as_ref().is_some_and(|kept| kept.len() > MAX_KEPT) {
            problems.push(format!("names: rule {number} has more than {MAX_KEPT} patterns in keep_labels"));
        }
        if let Some(Err(error)) = rule.signatures.as_ref().map(Signatures::requirement) {
            problems.push(format!("names: rule {number}: signatures: {error}"));
        }
        let versions = 1..=retention::EarlierFiles::MAX_VERSIONS;
        if rule.earlier_files.is_some_and(|earlier| !versions.contains(&earlier.versions)) {
            let most = versions.end();
            problems.push(format!("names: rule {number}: versions in earlier_files must be 1 to {most}"));
        }
        if let Some(followed) = rule.follow.as_ref().filter(|followed| !followed.is_empty()) {
            following(number, rule, followed, problems);
        }
    }
}

fn following(number: u64, rule: &NameRule, followed: &[ManifestName], problems: &mut Vec<String>) {
    let name = match &*rule.matches {
        [one] => one.to_string().parse::<ManifestName>().ok(),
        _ => None,
    };
    let Some(name) = name else {
        let what = "follow is for one name: match must be that name, such as match = [\"tool/beta\"]";
        problems.push(format!("names: rule {number}: {what}"));
        return;
    };
    if followed.contains(&name) {
        problems.push(format!("names: rule {number}: {name} cannot follow itself"));
    }
    if followed.len() > MAX_FOLLOWED {
        problems.push(format!("names: rule {number}: {name} follows more than {MAX_FOLLOWED} names"));
    }
}
