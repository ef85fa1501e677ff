//! Keys of minisign, with which tests sign.

use larder::domain::Digest;
use larder::domain::attestation::PublicKey;
use minisign::KeyPair;

pub struct Signer {
    pair: KeyPair,
}

impl Signer {
    pub fn new() -> Self {
        Self { pair: KeyPair::generate_unencrypted_keypair().unwrap() }
    }

    pub fn public(&self) -> PublicKey {
        self.pair.pk.to_base64().parse().unwrap()
    }

    pub fn id(&self) -> String {
        self.public().id().to_string()
    }

    /// A signature file with this trusted comment.
    pub fn sign(&self, bytes: &[u8], comment: &str) -> String {
        let offer = format!("larder {}", self.public());
        let (pk, sk) = (Some(&self.pair.pk), &self.pair.sk);
        minisign::sign(pk, sk, bytes, Some(comment), Some(&offer)).unwrap().into_string()
    }

    /// A signature file that states these words and the digest of the manifest.
    pub fn state(&self, manifest: &[u8], words: &str) -> String {
        self.sign(manifest, &format!("larder:1 {words} manifest={}", Digest::of(manifest)))
    }
}
