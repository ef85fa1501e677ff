//! Who may do what: hashed tokens, grants over name patterns, and policies for names.

mod caller;

use sha2::Digest as _;
use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};

use crate::config::{self, Policy};
use crate::domain::{Cas, Permission, Reads};
use crate::domain::{ManifestName, NamePattern, Subject};

pub use caller::Caller;

#[derive(Debug)]
struct Credential {
    hash: [u8; 32],
    caller: Caller,
}

/// The tokens and policies of a server.
#[derive(Debug)]
pub struct Access {
    credentials: Vec<Credential>,
    policies: Vec<Policy>,
    blob_reads: Reads,
}

impl Access {
    /// Access as configured. `admin` is a token that may do everything, if there is one.
    #[must_use]
    pub fn new(config: &config::Access, admin: Option<&str>) -> Self {
        let mut credentials: Vec<Credential> = config.tokens.iter().filter_map(configured).collect();
        credentials.extend(admin.map(|token| Credential {
            hash: hash(token),
            caller: Caller::Token {
                subject: Subject::admin(),
                actions: vec![Permission::Admin],
                names: vec![NamePattern::any()],
            },
        }));
        Self { credentials, policies: config.policies.clone(), blob_reads: config.blob_reads }
    }

    /// Whose token this is. Takes the same time whether and where the token is found.
    #[must_use]
    pub fn identify(&self, token: &str) -> Option<Caller> {
        let sent = hash(token);
        let mut found = u32::MAX;
        for (at, credential) in (0..).zip(&self.credentials) {
            let same: Choice = credential.hash.ct_eq(&sent);
            found.conditional_assign(&at, same);
        }
        self.credentials.get(usize::try_from(found).ok()?).map(|credential| credential.caller.clone())
    }

    /// Whether `caller` may read what is published under `name`.
    #[must_use]
    pub fn may_read(&self, caller: &Caller, name: &ManifestName) -> bool {
        self.is_public(name) || caller.may(Permission::Read, name)
    }

    /// Whether everybody may read what is published under `name`, so that shared caches may keep it.
    #[must_use]
    pub fn is_public(&self, name: &ManifestName) -> bool {
        self.policy(name).is_none_or(|policy| policy.read == Reads::Public)
    }

    /// Whether `caller` may read blobs by their digest.
    #[must_use]
    pub fn may_read_blobs(&self, caller: &Caller) -> bool {
        self.blobs_are_public() || caller.may_somewhere(Permission::Read)
    }

    /// Whether everybody may read blobs by their digest.
    #[must_use]
    pub fn blobs_are_public(&self) -> bool {
        self.blob_reads == Reads::Public
    }

    /// Whether changes to `name` must state what they expect.
    #[must_use]
    pub fn needs_precondition(&self, name: &ManifestName) -> bool {
        self.policy(name).is_some_and(|policy| policy.cas == Cas::Required)
    }

    fn policy(&self, name: &ManifestName) -> Option<&Policy> {
        self.policies.iter().find(|policy| policy.names.iter().any(|pattern| pattern.matches(name)))
    }
}

fn configured(token: &config::Token) -> Option<Credential> {
    let mut hash = [0; 32];
    hex::decode_to_slice(&token.sha256, &mut hash).ok()?;
    let subject = Subject::token(&token.id).ok()?;
    let caller = Caller::Token { subject, actions: token.actions.clone(), names: token.names.clone() };
    Some(Credential { hash, caller })
}

/// Tokens are long random texts, so a plain hash is enough: there is nothing to guess.
fn hash(token: &str) -> [u8; 32] {
    sha2::Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(names: &str, actions: &[Permission]) -> Access {
        let token = config::Token {
            id: "ci".into(),
            sha256: hex::encode(hash("secret")),
            actions: actions.to_vec(),
            names: vec![names.parse().unwrap()],
        };
        let policies = vec![
            Policy { names: vec!["open/*".parse().unwrap()], read: Reads::Public, cas: Cas::Required },
            Policy { names: vec!["**".parse().unwrap()], read: Reads::Token, cas: Cas::Optional },
        ];
        Access::new(&config::Access { blob_reads: Reads::Token, tokens: vec![token], policies }, Some("root"))
    }

    #[test]
    fn a_token_reaches_as_far_as_its_grant() {
        let access = access("miren/*", &[Permission::Publish, Permission::Read]);
        let caller = access.identify("secret").unwrap();
        let (inside, outside) = ("miren/main".parse().unwrap(), "other/main".parse().unwrap());
        assert_eq!(caller.subject().to_string(), "token:ci");
        assert!(caller.may(Permission::Publish, &inside));
        assert!(caller.may(Permission::Upload, &inside), "publish includes upload");
        assert!(!caller.may(Permission::Promote, &inside));
        assert!(!caller.may(Permission::Publish, &outside));
        assert!(access.may_read(&caller, &inside) && !access.may_read(&caller, &outside));
        assert!(access.may_read_blobs(&caller) && !access.may_read_blobs(&Caller::Anonymous));
    }

    #[test]
    fn other_tokens_are_nobody_and_the_admin_may_everything() {
        let access = access("miren/*", &[Permission::Publish]);
        for wrong in ["", "secre", "secret ", "SECRET"] {
            assert_eq!(access.identify(wrong), None);
        }
        let admin = access.identify("root").unwrap();
        assert!(admin.may(Permission::Retire, &"any/name".parse().unwrap()));
        assert!(!Caller::Anonymous.may(Permission::Read, &"main".parse().unwrap()));
    }

    #[test]
    fn the_first_matching_policy_counts() {
        let access = access("**", &[Permission::Read]);
        let (open, closed) = ("open/main".parse().unwrap(), "main".parse().unwrap());
        assert!(access.is_public(&open) && !access.is_public(&closed));
        assert!(access.needs_precondition(&open) && !access.needs_precondition(&closed));
    }
}
