//! Metadata of TUF (The Update Framework 1.0): what is signed, and the signatures beside it.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::canonical::canonical;
use super::key::PublicKey;
use crate::domain::json::{Distinct, reason, strict};

/// The version of the specification that what is written here follows.
const SPEC_VERSION: &str = "1.0.31";
/// Maximum number of keys in a root, and of signatures on anything.
pub(super) const MAX_KEYS: usize = 64;

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

/// Metadata as it was read, of any role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// What is signed: its canonical form.
    message: String,
    /// Signatures by the id of their key.
    signatures: Vec<(String, Vec<u8>)>,
}

impl Metadata {
    /// Reads metadata; returns what is signed beside it.
    ///
    /// # Errors
    /// Why the bytes are none.
    pub(super) fn read(bytes: &[u8]) -> Result<(Self, Value), String> {
        let Distinct = strict(bytes).map_err(|error| error.to_string())?;
        let Envelope { signatures, signed } = serde_json::from_slice(bytes).map_err(|error| reason(&error))?;
        let message = canonical(&signed).ok_or("it has a number that is not whole")?;
        if signatures.len() > MAX_KEYS {
            return Err(format!("it has more than {MAX_KEYS} signatures"));
        }
        let decode = |signature: SignatureJson| Some((signature.keyid, hex::decode(signature.sig).ok()?));
        Ok((Self { message, signatures: signatures.into_iter().filter_map(decode).collect() }, signed))
    }

    /// The keys that signed it, of those that `key` knows by their id. Each counts once, whatever number of ids and
    /// signatures it has.
    pub(super) fn signers(&self, key: impl Fn(&str) -> Option<PublicKey>) -> BTreeSet<PublicKey> {
        let made = |(id, signature): &(String, Vec<u8>)| {
            let key = key(id)?;
            key.signed(self.message.as_bytes(), signature).then_some(key)
        };
        self.signatures.iter().filter_map(made).collect()
    }
}

/// Metadata to be signed. Signing the same by the same keys yields the same bytes: Ed25519 needs no random number.
#[derive(Debug, Clone)]
pub struct NewMetadata {
    signed: Value,
    message: String,
    signatures: Vec<Value>,
}

impl NewMetadata {
    /// Metadata of this role with these further members, which have no fractions in them.
    pub(super) fn new(role: &str, version: u64, expires: Timestamp, members: Value) -> Self {
        let mut signed = members;
        signed["_type"] = role.into();
        signed["spec_version"] = SPEC_VERSION.into();
        signed["version"] = version.into();
        signed["expires"] = expires.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into();
        let message = canonical(&signed).unwrap_or_default();
        Self { signed, message, signatures: Vec::new() }
    }

    /// What is to be signed.
    #[must_use]
    pub fn message(&self) -> &[u8] {
        self.message.as_bytes()
    }

    /// Adds the signature of the key that is known by this id.
    pub fn add(&mut self, id: &str, signature: &[u8]) {
        self.signatures.push(json!({"keyid": id, "sig": hex::encode(signature)}));
    }

    /// The bytes of the metadata.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        json!({"signatures": self.signatures, "signed": self.signed}).to_string().into_bytes()
    }
}
