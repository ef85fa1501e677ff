//! TUF roots (`root.json` of The Update Framework 1.0): which keys sign catalogs and roots, and how many of them.
//!
//! The role `root` signs the next root, the role `targets` signs catalogs. Ed25519 keys are all that counts here: keys
//! of other kinds are allowed in a root and never reach a threshold. Keys are the same if their 32 bytes are, whatever
//! their ids: a minisign key is one of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use ring::signature::{ED25519, UnparsedPublicKey};
use serde::Deserialize;
use serde_json::{Value, json};

use super::canonical::canonical;
use crate::domain::Digest;
use crate::domain::json::{Unique, strict};

/// The roles that TUF requires in a root. Those but `root` and `targets` have no use here.
const ROLES: [&str; 4] = ["root", "snapshot", "targets", "timestamp"];
/// Maximum number of keys in a root, and of signatures on it.
const MAX_KEYS: usize = 64;

/// An Ed25519 public key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(pub [u8; 32]);

impl PublicKey {
    /// Whether this key made the signature of `message`.
    #[must_use]
    pub fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.0).verify(message, signature).is_ok()
    }

    /// The key as TUF writes it.
    fn json(self) -> Value {
        json!({"keytype": "ed25519", "keyval": {"public": hex::encode(self.0)}, "scheme": "ed25519"})
    }

    /// Its usual id in TUF: the SHA-256 of its canonical form.
    #[must_use]
    pub fn tuf_id(self) -> String {
        Digest::of(canonical(&self.json()).unwrap_or_default().as_bytes()).hex()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// The keys of a role, and how many of them have to sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// The keys.
    pub keys: BTreeSet<PublicKey>,
    /// How many of them have to sign: at least 1.
    pub threshold: usize,
}

impl Role {
    /// Whether these keys are enough.
    #[must_use]
    pub fn is_met_by(&self, signers: &BTreeSet<PublicKey>) -> bool {
        self.keys.intersection(signers).count() >= self.threshold
    }
}

/// Why bytes are not a root.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it is not a TUF root: {0}")]
pub struct RootError(String);

/// A root, as it was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// Its number.
    pub version: u64,
    /// When it ends.
    pub expires: Timestamp,
    /// Who signs the next root.
    pub root: Role,
    /// Who signs catalogs.
    pub targets: Role,
    /// Digest of the bytes that were read.
    pub digest: Digest,
    /// What is signed.
    message: String,
    /// Signatures by the id of their key.
    signatures: Vec<(String, Vec<u8>)>,
    /// Keys by their id.
    keys: BTreeMap<String, PublicKey>,
}

#[derive(Deserialize)]
struct Envelope {
    signatures: Vec<SignatureJson>,
    signed: Value,
}

#[derive(Deserialize)]
struct SignatureJson {
    keyid: String,
    sig: String,
}

#[derive(Deserialize)]
struct SignedJson {
    #[serde(rename = "_type")]
    kind: String,
    spec_version: String,
    version: u64,
    expires: Timestamp,
    keys: BTreeMap<String, Value>,
    roles: BTreeMap<String, RoleJson>,
}

#[derive(Deserialize)]
struct RoleJson {
    keyids: Vec<String>,
    threshold: usize,
}

impl Root {
    /// Reads a root. Signatures are not checked: see [`Root::signers`].
    ///
    /// # Errors
    /// Why the bytes are not a root.
    pub fn read(bytes: &[u8]) -> Result<Self, RootError> {
        let refuse = |why: String| RootError(why);
        let Unique(value) = strict(bytes).map_err(|error| refuse(error.to_string()))?;
        let Envelope { signatures, signed } =
            serde_json::from_value(value).map_err(|error| refuse(error.to_string()))?;
        let message = canonical(&signed).ok_or_else(|| refuse("it has a number that is not whole".into()))?;
        let signed: SignedJson = serde_json::from_value(signed).map_err(|error| refuse(error.to_string()))?;
        if signed.kind != "root" || !signed.spec_version.starts_with("1.") || signed.version == 0 {
            return Err(refuse("it must be a root of TUF 1.x, with a version from 1 on".into()));
        }
        if signed.keys.len() > MAX_KEYS || signatures.len() > MAX_KEYS {
            return Err(refuse(format!("it has more than {MAX_KEYS} keys or signatures")));
        }
        let keys: BTreeMap<_, _> =
            signed.keys.iter().filter_map(|(id, key)| Some((id.clone(), ed25519(key)?))).collect();
        let role = |name: &str| role(&signed, &keys, name).map_err(refuse);
        let (root, targets) = (role("root")?, role("targets")?);
        let decode = |signature: SignatureJson| Some((signature.keyid, hex::decode(signature.sig).ok()?));
        let signatures = signatures.into_iter().filter_map(decode).collect();
        let (version, expires, digest) = (signed.version, signed.expires, Digest::of(bytes));
        Ok(Self { version, expires, root, targets, digest, message, signatures, keys })
    }

    /// Which of the keys that `holder` knows signed this root. Each counts once, whatever number of ids and signatures it
    /// has.
    #[must_use]
    pub fn signers(&self, holder: &Self) -> BTreeSet<PublicKey> {
        let made = |(id, signature): &(String, Vec<u8>)| {
            let key = holder.keys.get(id)?;
            key.signed(self.message.as_bytes(), signature).then_some(*key)
        };
        self.signatures.iter().filter_map(made).collect()
    }

    /// Whether this root follows `before`: its number is the next one, and enough keys of both roots sign it.
    #[must_use]
    pub fn follows(&self, before: &Self) -> bool {
        self.version == before.version + 1 && before.root.is_met_by(&self.signers(before)) && self.is_signed()
    }

    /// Whether enough of its own keys sign it.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        self.root.is_met_by(&self.signers(self))
    }
}

fn ed25519(key: &Value) -> Option<PublicKey> {
    if key["keytype"] != "ed25519" || key["scheme"] != "ed25519" {
        return None;
    }
    let mut bytes = [0; 32];
    hex::decode_to_slice(key["keyval"]["public"].as_str()?, &mut bytes).ok()?;
    Some(PublicKey(bytes))
}

fn role(signed: &SignedJson, keys: &BTreeMap<String, PublicKey>, name: &str) -> Result<Role, String> {
    let RoleJson { keyids, threshold } = signed.roles.get(name).ok_or_else(|| format!("it has no role {name}"))?;
    if *threshold == 0 {
        return Err(format!("the threshold of {name} is 0"));
    }
    if let Some(unknown) = keyids.iter().find(|id| !signed.keys.contains_key(*id)) {
        return Err(format!("it has no key {:?} of {name}", super::problem::quote(unknown)));
    }
    let keys: BTreeSet<_> = keyids.iter().filter_map(|id| keys.get(id).copied()).collect();
    if keys.len() < *threshold {
        return Err(format!("{threshold} keys must sign as {name}, and only {} can", keys.len()));
    }
    Ok(Role { keys, threshold: *threshold })
}

/// A root to be signed.
#[derive(Debug, Clone)]
pub struct NewRoot {
    signed: Value,
    message: String,
    signatures: Vec<Value>,
}

impl NewRoot {
    /// A root in which the same keys sign for all roles, as many as `threshold` of them.
    #[must_use]
    pub fn new(version: u64, expires: Timestamp, keys: &BTreeSet<PublicKey>, threshold: usize) -> Self {
        let ids: Vec<String> = keys.iter().map(|key| key.tuf_id()).collect();
        let by_id: serde_json::Map<String, Value> = keys.iter().map(|key| (key.tuf_id(), key.json())).collect();
        let role = json!({"keyids": ids, "threshold": threshold});
        let roles: serde_json::Map<String, Value> = ROLES.iter().map(|name| ((*name).into(), role.clone())).collect();
        let expires = expires.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let signed = json!({
            "_type": "root", "spec_version": "1.0.31", "version": version, "expires": expires,
            "consistent_snapshot": true, "keys": by_id, "roles": roles,
        });
        let message = canonical(&signed).unwrap_or_default();
        Self { signed, message, signatures: Vec::new() }
    }

    /// What is to be signed.
    #[must_use]
    pub fn message(&self) -> &[u8] {
        self.message.as_bytes()
    }

    /// Adds a signature.
    pub fn add(&mut self, key: PublicKey, signature: &[u8]) {
        self.signatures.push(json!({"keyid": key.tuf_id(), "sig": hex::encode(signature)}));
    }

    /// The bytes of the root.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        json!({"signatures": self.signatures, "signed": self.signed}).to_string().into_bytes()
    }
}
