//! Warnings about settings that are valid, but probably not intended.

use std::collections::HashMap;

use jiff::Timestamp;

use super::{Access, Config, PublicUrl};
use crate::domain::policy::PolicyKeys;

impl Config {
    /// Warnings about settings without effect, as sentences without a full stop.
    #[must_use]
    pub fn remarks(&self, now: Timestamp) -> Vec<String> {
        let policies = self.policies();
        let idle = (1..).zip(policies.rules()).filter(|(_, rule)| rule.keys == PolicyKeys::default());
        let idle = idle.map(|(number, _)| format!("rule {number} of [[names]] sets nothing"));
        let shadowed = policies.shadowed().into_iter().map(|(rule, key, earlier)| {
            let (rule, earlier) = (rule + 1, earlier + 1);
            format!("{key} in rule {rule} of [[names]] never counts: rule {earlier} sets it for all of these names")
        });
        let path = self.server.public_url.as_ref().map(PublicUrl::path).filter(|path| !path.is_empty());
        let rooted = path.map(|path| {
            format!(
                "container clients look for /v2/ at the root of a host: below the path {path} of server.public_url they find \
                 nothing, unless a proxy passes /v2/ on as well"
            )
        });
        idle.chain(shadowed).chain(rooted).chain(self.access.remarks(now)).collect()
    }
}

impl Access {
    fn remarks(&self, now: Timestamp) -> Vec<String> {
        let mut remarks = Vec::new();
        let mut ids = HashMap::new();
        for token in &self.tokens {
            if let Some(until) = token.until.filter(|until| *until <= now) {
                remarks.push(format!("the token {:?} ended at {until}", token.id));
            }
            if let Some(other) = ids.insert(token.sha256.to_ascii_lowercase(), &token.id) {
                remarks.push(format!("{other:?} and {:?} are the same token, so only the latter counts", token.id));
            }
        }
        remarks.extend(self.rules.iter().flat_map(|rule| rule.remarks(&self.issuers)));
        remarks
    }
}
