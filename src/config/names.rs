//! `[[names]]`: policies of names.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::Duration;
use crate::domain::policy::PolicyKeys;
use crate::domain::{Cas, NamePattern, NamePolicy, PolicyRule, Reads};

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
        };
        PolicyRule { matches: self.matches.clone(), keys }
    }
}

pub(super) fn validate(rules: &[NameRule], problems: &mut Vec<String>) {
    for (number, rule) in (1..).zip(rules) {
        if rule.matches.is_empty() {
            problems.push(format!("names: rule {number} needs at least one name pattern in match"));
        }
    }
}
