//! Judging the signatures of a version against what is required.
//!
//! In two steps. [`Signed::verify`] and [`TrustedRoot::verify`](super::TrustedRoot::verify) look at bytes only, so their
//! results hold for ever and may be computed anywhere.
//! [`Requirement::judge`] compares what was verified with the name, the version and the time, and can be repeated on the
//! very state that is changed.

use std::fmt;

use jiff::Timestamp;

use super::minisign::{KeyId, PublicKey, Signature};
use super::requirement::Requirement;
use super::sigstore::{BundleError, Identity, Proven};
use super::statement::{MAX_SERIAL, Statement, StatementError};
use crate::domain::text::Escaped;
use crate::domain::{Digest, ManifestName};

/// Why a signature does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is no signature.
    #[error("it is no signature: {0}")]
    Malformed(#[from] super::SignatureError),
    /// It is of none of the keys.
    #[error("it is of the key {0}, which is none of those that count")]
    UnknownKey(KeyId),
    /// The key does not verify it: it is of other bytes, or damaged.
    #[error("the key {0} does not verify it: it is of other bytes, or damaged")]
    Unverified(KeyId),
    /// The key is revoked.
    #[error("the key {0} is revoked")]
    Revoked(KeyId),
    /// It does not say for which names it holds.
    #[error("it does not state for which names it holds, nor its serial")]
    Unbound,
    /// Its statement is not valid.
    #[error("{0}")]
    Statement(#[from] StatementError),
    /// It states the digest of another manifest.
    #[error("it states the manifest {0}")]
    OtherManifest(Digest),
    /// It holds for other names.
    #[error("it holds for {0}")]
    Scope(Box<str>),
    /// It states another label.
    #[error("it states the label {0:?}")]
    Label(Box<str>),
    /// It does not hold any more.
    #[error("it expired at {0}")]
    Expired(Timestamp),
    /// It is a bundle that proves nothing.
    #[error("{0}")]
    Bundle(#[from] BundleError),
    /// It is of somebody else.
    #[error("it is of {0}, which is none of the identities that count")]
    UnknownIdentity(Box<Proven>),
}

/// What a verified signature proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// That a key has signed, and what its signature states.
    Key(PublicKey, Option<Statement>),
    /// That an identity has.
    Identity(Proven),
}

/// A signer who counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signer {
    /// A key.
    Key(KeyId),
    /// An identity, as its certificate has it.
    Identity(Box<str>),
}

impl fmt::Display for Signer {
    /// The id of the key, or the address of the identity.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(id) => id.fmt(f),
            Self::Identity(identity) => Escaped::new(identity).fmt(f),
        }
    }
}

/// An attached signature after verification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// Digest of the signature's bytes.
    pub digest: Digest,
    /// What it proves, or why it proves nothing.
    pub outcome: Result<Proof, Refusal>,
}

impl Signed {
    /// Verifies one signature by a key of `subject`, the bytes that it is said to be of.
    #[must_use]
    pub fn verify(signature: &[u8], subject: &[u8], keys: &[PublicKey]) -> Self {
        Self { digest: Digest::of(signature), outcome: verified(signature, subject, keys) }
    }
}

fn verified(signature: &[u8], subject: &[u8], keys: &[PublicKey]) -> Result<Proof, Refusal> {
    let signature = Signature::parse(signature)?;
    let id = signature.key();
    let key = keys.iter().find(|key| key.id() == id).ok_or(Refusal::UnknownKey(id))?;
    if !key.verifies(&signature, subject) {
        return Err(Refusal::Unverified(id));
    }
    Ok(Proof::Key(key.clone(), Statement::read(signature.comment())?))
}

/// The version that signatures are judged for.
#[derive(Debug, Clone, Copy)]
pub struct SignedRelease<'a> {
    /// The name under which it is, or is to be, active.
    pub name: &'a ManifestName,
    /// Its label, if that is known in full.
    pub label: Option<&'a str>,
    /// Digest of its manifest.
    pub manifest: Digest,
}

/// A signature that does not count, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Digest of the signature's bytes.
    pub signature: Digest,
    /// Why it does not count.
    pub why: Refusal,
}

/// The result of judging all signatures of a version.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Judged {
    /// The distinct keys and identities whose signatures count.
    pub signers: Vec<Signer>,
    /// Signatures that do not count.
    pub refused: Vec<Refused>,
    /// The highest serial that as many signers as required have at least. One alone cannot raise it where two are required.
    pub serial: Option<u64>,
    /// Whether there are valid signatures, but all of them of revoked keys.
    pub only_revoked: bool,
}

/// A signer that counts, by what makes it distinct from others.
#[derive(PartialEq)]
enum Counted<'a> {
    Key(&'a PublicKey),
    /// Whatever the identity is, as long as the same pattern matches it: the branches of one repository are not two.
    Identity(&'a Identity),
}

/// A signer, and its serial for a release.
struct Vote<'a> {
    by: Counted<'a>,
    signer: Signer,
    serial: Option<u64>,
}

impl Requirement {
    /// Judges what was verified. Without a time, signatures that have expired count as well.
    #[must_use]
    pub fn judge(&self, release: SignedRelease<'_>, signed: &[Signed], now: Option<Timestamp>) -> Judged {
        let mut judged = Judged::default();
        // One entry for each signer, with the highest serial that it has for this release.
        let mut counted: Vec<Vote<'_>> = Vec::new();
        let mut revoked = false;
        for Signed { digest, outcome } in signed {
            match outcome.as_ref().map_err(Clone::clone).and_then(|proof| self.vote(release, proof, now)) {
                Ok(vote) => match counted.iter_mut().find(|other| other.by == vote.by) {
                    Some(other) => other.serial = vote.serial.max(other.serial),
                    None => counted.push(vote),
                },
                Err(why) => {
                    revoked |= matches!(why, Refusal::Revoked(_));
                    judged.refused.push(Refused { signature: *digest, why });
                }
            }
        }
        judged.only_revoked = revoked && counted.is_empty();
        let mut serials: Vec<u64> = counted.iter().filter_map(|vote| vote.serial).collect();
        judged.signers = counted.into_iter().map(|vote| vote.signer).collect();
        serials.sort_unstable_by(|one, other| other.cmp(one));
        judged.serial = self.threshold().checked_sub(1).and_then(|last| serials.get(last)).copied();
        judged
    }

    /// Whether as many keys and identities as required have signed.
    #[must_use]
    pub fn is_met(&self, judged: &Judged) -> bool {
        judged.signers.len() >= self.threshold()
    }

    fn vote<'a>(
        &'a self,
        release: SignedRelease<'_>,
        proof: &'a Proof,
        now: Option<Timestamp>,
    ) -> Result<Vote<'a>, Refusal> {
        match proof {
            Proof::Key(key, statement) => {
                self.counts(release, (key, statement.as_ref()), now)?;
                let serial = statement.as_ref().map(|statement| statement.serial);
                Ok(Vote { by: Counted::Key(key), signer: Signer::Key(key.id()), serial })
            }
            Proof::Identity(proven) => {
                let unknown = || Refusal::UnknownIdentity(Box::new(proven.clone()));
                let by = Counted::Identity(self.identity(proven).ok_or_else(unknown)?);
                let serial = u64::try_from(proven.at.as_second()).ok();
                let serial = serial.filter(|serial| (1..=MAX_SERIAL).contains(serial));
                Ok(Vote { by, signer: Signer::Identity(proven.identity.clone()), serial })
            }
        }
    }

    fn counts(
        &self,
        release: SignedRelease<'_>,
        (key, statement): (&PublicKey, Option<&Statement>),
        now: Option<Timestamp>,
    ) -> Result<(), Refusal> {
        let Some(statement) = statement else {
            return match (self.is_revoked(key), self.bind()) {
                (true, _) => Err(Refusal::Revoked(key.id())),
                (false, true) => Err(Refusal::Unbound),
                (false, false) => Ok(()),
            };
        };
        if statement.manifest != release.manifest {
            return Err(Refusal::OtherManifest(statement.manifest));
        }
        if !statement.scope.matches(release.name) {
            return Err(Refusal::Scope(statement.scope.to_string().into()));
        }
        if let Some(label) = statement.label.as_ref().filter(|label| Some(&***label) != release.label) {
            return Err(Refusal::Label(label.clone()));
        }
        if let Some(expires) = statement.expires.filter(|expires| now.is_some_and(|now| now >= *expires)) {
            return Err(Refusal::Expired(expires));
        }
        // Last, so that a version counts as signed by a revoked key only if it would count as signed otherwise.
        if self.is_revoked(key) { Err(Refusal::Revoked(key.id())) } else { Ok(()) }
    }
}

/// What clients that require the same signatures make of a version that has become active.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The distinct keys and identities whose signatures count.
    pub signers: Vec<Signer>,
    /// How many are required.
    pub need: usize,
    /// The serial of the version.
    pub serial: Option<u64>,
    /// The serial of the version that was active before, if it is higher: clients that have seen it accept no lower one.
    pub superseded: Option<u64>,
}

impl Standing {
    /// Whether such clients accept the version.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.signers.len() >= self.need && self.superseded.is_none()
    }
}
