//! TUF roots (`root.json` of The Update Framework 1.0): which keys sign catalogs and roots, and how many of them.
//!
//! The role `root` signs the next root, the role `targets` signs catalogs. Ed25519 keys are all that counts here: keys
//! of other kinds are allowed in a root and never reach a threshold. Keys are the same if their 32 bytes are, whatever
//! their ids: a minisign key is one of them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::key::PublicKey;
use super::metadata::{MAX_KEYS, Metadata, NewMetadata};
use crate::domain::Digest;
use crate::domain::json::reason;

/// The roles that the author's own keys always have.
const OFFLINE: [&str; 2] = ["root", "targets"];
/// The other roles that TUF requires in a root. A server may have them; else they are the author's, and of no use here.
const ONLINE: [&str; 2] = ["snapshot", "timestamp"];

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
    /// Keys that sign snapshots and timestamps, each alone, and nothing else: those of servers. Empty if the author names
    /// none, or has more than one of them sign.
    pub online: BTreeSet<PublicKey>,
    /// Digest of the bytes that were read.
    pub digest: Digest,
    metadata: Metadata,
    /// Keys by their id.
    keys: BTreeMap<String, PublicKey>,
}

#[derive(Deserialize)]
struct RootJson {
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
        let (metadata, value) = Metadata::read(bytes).map_err(RootError)?;
        let root: RootJson = serde_json::from_value(value).map_err(|error| RootError(reason(&error)))?;
        if root.kind != "root" || !root.spec_version.starts_with("1.") || root.version == 0 {
            return Err(RootError("it must be a root of TUF 1.x, with a version from 1 on".into()));
        }
        if root.keys.len() > MAX_KEYS {
            return Err(RootError(format!("it has more than {MAX_KEYS} keys")));
        }
        let keys: BTreeMap<_, _> = root.keys.iter().filter_map(|(id, key)| Some((id.clone(), ed25519(key)?))).collect();
        let named = |name: &str| role(&root, &keys, name).map_err(RootError);
        let [own, targets] = OFFLINE.map(named);
        let (own, targets) = (own?, targets?);
        let online = online(ONLINE.map(named), [&own, &targets]);
        let (version, expires, digest) = (root.version, root.expires, Digest::of(bytes));
        Ok(Self { version, expires, root: own, targets, online, digest, metadata, keys })
    }

    /// Which of the keys that `holder` knows signed this root. Each counts once, whatever number of ids and signatures it
    /// has.
    #[must_use]
    pub fn signers(&self, holder: &Self) -> BTreeSet<PublicKey> {
        holder.signers_of(&self.metadata)
    }

    /// Which of its keys signed this.
    #[must_use]
    pub fn signers_of(&self, metadata: &Metadata) -> BTreeSet<PublicKey> {
        metadata.signers(|id| self.keys.get(id).copied())
    }

    /// The id by which it knows a key. Its usual one if it knows none.
    #[must_use]
    pub fn id_of(&self, key: PublicKey) -> String {
        let known = self.keys.iter().find(|(_, other)| **other == key);
        known.map_or_else(|| key.tuf_id(), |(id, _)| id.clone())
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

fn role(root: &RootJson, keys: &BTreeMap<String, PublicKey>, name: &str) -> Result<Role, String> {
    let RoleJson { keyids, threshold } = root.roles.get(name).ok_or_else(|| format!("it has no role {name}"))?;
    if *threshold == 0 {
        return Err(format!("the threshold of {name} is 0"));
    }
    if let Some(unknown) = keyids.iter().find(|id| !root.keys.contains_key(*id)) {
        return Err(format!("it has no key {:?} of {name}", super::problem::quote(unknown)));
    }
    let keys: BTreeSet<_> = keyids.iter().filter_map(|id| keys.get(id).copied()).collect();
    if keys.len() < *threshold {
        return Err(format!("{threshold} keys must sign as {name}, and only {} can", keys.len()));
    }
    Ok(Role { keys, threshold: *threshold })
}

/// The keys that have both online roles and none of the others, if one of them is enough. A root may have roles of which
/// nothing is known here: that these cannot be read makes it no worse.
fn online(roles: [Result<Role, RootError>; 2], offline: [&Role; 2]) -> BTreeSet<PublicKey> {
    let [Ok(snapshot), Ok(timestamp)] = roles else { return BTreeSet::new() };
    if snapshot.threshold != 1 || timestamp.threshold != 1 {
        return BTreeSet::new();
    }
    let is_offline = |key: &PublicKey| offline.iter().any(|role| role.keys.contains(key));
    snapshot.keys.intersection(&timestamp.keys).filter(|key| !is_offline(key)).copied().collect()
}

/// A root in which the same keys, and as many as `threshold` of them, sign for all roles; but snapshots and timestamps are
/// signed by any one of `online`, unless that is empty.
#[must_use]
pub fn new_root(
    version: u64,
    expires: Timestamp,
    (keys, threshold): (&BTreeSet<PublicKey>, usize),
    online: &BTreeSet<PublicKey>,
) -> NewMetadata {
    let all: serde_json::Map<String, Value> = keys.union(online).map(|key| (key.tuf_id(), key.json())).collect();
    let role = |keys: &BTreeSet<PublicKey>, threshold: usize| json!({"keyids": keys.iter().map(|key| key.tuf_id()).collect::<Vec<_>>(), "threshold": threshold});
    let own = role(keys, threshold);
    let others = if online.is_empty() { own.clone() } else { role(online, 1) };
    let roles = OFFLINE.map(|name| (name, &own)).into_iter().chain(ONLINE.map(|name| (name, &others)));
    let roles: serde_json::Map<String, Value> = roles.map(|(name, role)| (name.into(), role.clone())).collect();
    NewMetadata::new("root", version, expires, json!({"consistent_snapshot": true, "keys": all, "roles": roles}))
}
