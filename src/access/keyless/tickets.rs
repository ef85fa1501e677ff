//! Exchanged tokens: what they grant stands in them, under a MAC with a key that only the servers of a store know.
//!
//! `larder-x1.KEY.CONTENT.MAC`: the id of the key, a JSON document, and HMAC-SHA256 over all before it, the latter two in
//! base64url. Nothing is stored, so any server of the store judges one without asking anybody.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use ring::hmac;
use serde::{Deserialize, Serialize};

use crate::access::caller::Grant;
use crate::domain::{NamePattern, Permission, Subject};

/// What every exchanged token begins with; the number changes with the format.
pub(super) const PREFIX: &str = "larder-x1.";
/// Longest token, in bytes: heads of requests have 64 KiB.
pub(super) const MAX_TICKET: usize = 24 << 10;

/// The content of an exchanged token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ticket {
    /// By which it is revoked: 32 hex digits.
    pub(super) id: String,
    pub(super) subject: Subject,
    /// The rules that granted it. It ends with the first of them that is taken from the configuration.
    pub(super) rules: Vec<Box<str>>,
    /// What histories record.
    pub(super) claims: Vec<Box<str>>,
    grants: Vec<TicketGrant>,
    /// When it ends.
    pub(super) until: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct TicketGrant {
    actions: Vec<Permission>,
    names: Vec<NamePattern>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    surfaces: Option<Vec<Box<str>>>,
    until: Timestamp,
}

/// A key for exchanged tokens, with the id by which tokens name it.
#[derive(Debug, Clone)]
pub struct TicketKey {
    id: Box<str>,
    key: hmac::Key,
}

impl TicketKey {
    /// A key of 32 random bytes; its id consists of letters and digits.
    #[must_use]
    pub fn new(id: &str, secret: &[u8; 32]) -> Self {
        Self { id: id.into(), key: hmac::Key::new(hmac::HMAC_SHA256, secret) }
    }
}

impl Ticket {
    pub(super) fn new(
        (id, subject): (String, Subject),
        (rules, claims): (Vec<Box<str>>, Vec<Box<str>>),
        grants: impl Iterator<Item = Grant>,
        until: Timestamp,
    ) -> Self {
        let grants = grants.map(|grant| TicketGrant {
            actions: grant.actions,
            names: grant.names,
            surfaces: grant.surfaces,
            until: grant.until.unwrap_or(until),
        });
        Self { id, subject, rules, claims, grants: grants.collect(), until }
    }

    pub(super) fn grants(&self) -> Vec<Grant> {
        let grant = |grant: &TicketGrant| Grant {
            actions: grant.actions.clone(),
            names: grant.names.clone(),
            surfaces: grant.surfaces.clone(),
            until: Some(grant.until),
        };
        self.grants.iter().map(grant).collect()
    }

    /// The token with this content.
    pub(super) fn seal(&self, key: &TicketKey) -> String {
        let content = serde_json::to_vec(self).expect("texts and times are JSON");
        let signed = format!("{PREFIX}{}.{}", key.id, URL_SAFE_NO_PAD.encode(content));
        let mac = hmac::sign(&key.key, signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac))
    }

    /// The id of the key that a token names; `None` if it is not of this form.
    pub(super) fn key_id(token: &str) -> Option<&str> {
        let (id, _) = token.strip_prefix(PREFIX)?.split_once('.')?;
        let is_id = (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric());
        (is_id && token.len() <= MAX_TICKET).then_some(id)
    }

    /// The content of a token, if this key sealed it. The comparison takes the same time for all that are wrong.
    pub(super) fn open(token: &str, key: &TicketKey) -> Option<Self> {
        let (signed, mac) = token.rsplit_once('.')?;
        let mac = URL_SAFE_NO_PAD.decode(mac).ok()?;
        hmac::verify(&key.key, signed.as_bytes(), &mac).ok()?;
        let (_, content) = signed.strip_prefix(PREFIX)?.split_once('.')?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(content).ok()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket() -> Ticket {
        let grants = [Grant { surfaces: Some(vec!["native".into()]), ..Grant::everything() }];
        let origin = ("id".to_owned(), Subject::admin());
        Ticket::new(origin, (vec!["rule".into()], vec!["a=b".into()]), grants.into_iter(), Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn a_token_comes_back_as_it_was_and_only_with_its_key() {
        let (key, other) = (TicketKey::new("k1", &[1; 32]), TicketKey::new("k1", &[2; 32]));
        let sealed = ticket().seal(&key);
        assert_eq!(Ticket::key_id(&sealed), Some("k1"));
        assert_eq!(Ticket::open(&sealed, &key), Some(ticket()));
        assert_eq!(Ticket::open(&sealed, &other), None);
        assert!(!format!("{key:?}").contains("[1, 1"), "{key:?}");
    }

    #[test]
    fn no_changed_byte_goes_unnoticed() {
        let key = TicketKey::new("k1", &[1; 32]);
        let sealed = ticket().seal(&key);
        for at in 0..sealed.len() {
            let mut changed = sealed.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            // The last letter of a base64 text may have bits that do not count, which are refused as well.
            assert_eq!(Ticket::open(&changed, &key), None, "{at}");
        }
        for bad in ["", ".", "larder-x1.", "larder-x1..", "larder-x1.k1.e30", "larder-x2.k1.e30.e30"] {
            assert_eq!(Ticket::open(bad, &key), None, "{bad}");
        }
    }
}
