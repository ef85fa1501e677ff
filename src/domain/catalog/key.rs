//! The keys of TUF that count here.

use std::fmt;

use ring::signature::{ED25519, UnparsedPublicKey};
use serde_json::{Value, json};

use super::canonical::canonical;
use crate::domain::Digest;

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
    #[must_use]
    pub fn json(self) -> Value {
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
