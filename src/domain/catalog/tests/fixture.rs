//! Keys and catalogs for tests.

use std::collections::BTreeSet;
use std::io::Cursor;

use jiff::{SignedDuration, Timestamp};
use ring::signature::Ed25519KeyPair;

use super::super::*;
use crate::domain::Digest;

/// The time of the tests.
pub(super) fn now() -> Timestamp {
    "2026-11-29T12:00:00Z".parse().unwrap()
}

/// `now` and this many days.
pub(super) fn days(days: i64) -> Timestamp {
    now() + SignedDuration::from_hours(24 * days)
}

/// A key of minisign that can sign roots as well.
pub(super) struct Key {
    minisign: minisign::KeyPair,
    pair: Ed25519KeyPair,
    pub(super) public: PublicKey,
}

impl Key {
    pub(super) fn new() -> Self {
        let minisign = minisign::KeyPair::generate_unencrypted_keypair().unwrap();
        let secret = minisign.sk.to_bytes();
        let pair = Ed25519KeyPair::from_seed_and_public_key(&secret[62..94], &secret[94..126]).unwrap();
        let public = PublicKey(secret[94..126].try_into().unwrap());
        Self { minisign, pair, public }
    }

    /// A file of minisign.
    pub(super) fn sign(&self, bytes: &[u8], comment: &str) -> Vec<u8> {
        let signature = minisign::sign(None, &self.minisign.sk, Cursor::new(bytes), Some(comment), None).unwrap();
        signature.into_string().into_bytes()
    }

    pub(super) fn sign_metadata(&self, metadata: &mut NewMetadata) {
        let signature = self.pair.sign(metadata.message());
        metadata.add(&self.public.tuf_id(), signature.as_ref());
    }
}

/// A root by these keys for these keys.
pub(super) fn root(version: u64, keys: &[&Key], threshold: usize, by: &[&Key]) -> Vec<u8> {
    root_until(version, days(700), keys, threshold, by)
}

pub(super) fn root_until(version: u64, until: Timestamp, keys: &[&Key], threshold: usize, by: &[&Key]) -> Vec<u8> {
    let keys = keys.iter().map(|key| key.public).collect();
    let mut root = new_root(version, until, (&keys, threshold), &BTreeSet::new());
    for key in by {
        key.sign_metadata(&mut root);
    }
    root.write()
}

/// The name of the tests' catalog.
pub(super) fn name() -> CatalogName {
    "example.org/team/tool".parse().unwrap()
}

/// A release with the items `src` and `linux`, the file of which has another name.
pub(super) fn release(name: &str) -> Release {
    serde_json::from_value(serde_json::json!({
        "name": name, "at": format!("example.org/team/tool/{name}"), "manifest": Digest::of(name.as_bytes()),
        "size": 1432, "published": "2026-11-28T09:58:00Z",
        "items": {"src": {}, "linux": {"file": "tool-linux.tar.gz"}},
        "metadata": {"tracks": "beta,stable"}, "hazards": null,
    }))
    .unwrap()
}

/// A document with these releases.
pub(super) fn document(serial: u64, releases: &[&str]) -> Document {
    let mut document: Document = serde_json::from_value(serde_json::json!({
        "type": TYPE, "name": name(), "serial": serial, "issued": now(), "expires": days(90), "releases": [],
    }))
    .unwrap();
    document.releases = releases.iter().map(|name| release(name)).collect();
    document
}

/// What is stored of a catalog.
#[derive(Clone)]
pub(super) struct Stored {
    pub(super) document: Vec<u8>,
    pub(super) signatures: Vec<Vec<u8>>,
    pub(super) roots: Vec<Vec<u8>>,
}

impl Stored {
    /// A document signed by these keys.
    pub(super) fn new(document: &Document, by: &[&Key], roots: &[Vec<u8>]) -> Self {
        let bytes = document.write();
        let comment = comment(document);
        let signatures = by.iter().map(|key| key.sign(&bytes, &comment)).collect();
        Self { document: bytes, signatures, roots: roots.to_vec() }
    }

    pub(super) fn with<T>(&self, then: impl FnOnce(Signed<'_>) -> T) -> T {
        let signatures: Vec<&[u8]> = self.signatures.iter().map(Vec::as_slice).collect();
        let roots: Vec<&[u8]> = self.roots.iter().map(Vec::as_slice).collect();
        then(Signed { document: &self.document, signatures: &signatures, roots: &roots })
    }

    /// Verifies it as a reader who trusts this key and knows this much.
    pub(super) fn verify(&self, trusted: &Key, known: &Known) -> Result<Verified, Refusal> {
        self.verify_at(trusted, known, now())
    }

    pub(super) fn verify_at(&self, trusted: &Key, known: &Known, now: Timestamp) -> Result<Verified, Refusal> {
        let anchor = Anchor { keys: BTreeSet::from([trusted.public]), threshold: 1 };
        self.with(|signed| verify(&name(), signed, &anchor, known, now))
    }

    /// The code with which such a reader refuses it; `ok` if not.
    pub(super) fn code(&self, trusted: &Key, known: &Known) -> &'static str {
        self.verify(trusted, known).map_or_else(|refusal| refusal.code(), |_| "ok")
    }
}

/// What `larder` states about a document.
pub(super) fn comment(document: &Document) -> String {
    let digest = Digest::of(&document.write());
    format!("larder:1 scope={}/** serial={} manifest={digest}", document.name, document.serial)
}
