//! Judging the signatures of a version against what is required.
//!
//! In two steps. [`Signed::verify`] looks at bytes only, so its result holds for ever and may be computed anywhere.
//! [`Requirement::judge`] compares what was verified with the name, the version and the time, and can be repeated on the
//! very state that is changed.

use jiff::Timestamp;

use super::minisign::{KeyId, PublicKey, Signature};
use super::requirement::Requirement;
use super::statement::{Statement, StatementError};
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
}

/// An attached signature after verification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// Digest of the signature's bytes.
    pub digest: Digest,
    /// The key that verifies it and the statement that it makes, or why there is none.
    pub outcome: Result<(PublicKey, Option<Statement>), Refusal>,
}

impl Signed {
    /// Verifies one signature of `subject`, the bytes that it is said to be of.
    #[must_use]
    pub fn verify(signature: &[u8], subject: &[u8], keys: &[PublicKey]) -> Self {
        Self { digest: Digest::of(signature), outcome: verified(signature, subject, keys) }
    }
}

fn verified(signature: &[u8], subject: &[u8], keys: &[PublicKey]) -> Result<(PublicKey, Option<Statement>), Refusal> {
    let signature = Signature::parse(signature)?;
    let id = signature.key();
    let key = keys.iter().find(|key| key.id() == id).ok_or(Refusal::UnknownKey(id))?;
    if !key.verifies(&signature, subject) {
        return Err(Refusal::Unverified(id));
    }
    Ok((key.clone(), Statement::read(signature.comment())?))
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
    /// The distinct keys whose signatures count.
    pub keys: Vec<KeyId>,
    /// Signatures that do not count.
    pub refused: Vec<Refused>,
    /// The highest serial that as many keys as required state at least. One key alone cannot raise it where two are
    /// required.
    pub serial: Option<u64>,
    /// Whether there are valid signatures, but all of them of revoked keys.
    pub only_revoked: bool,
}

impl Requirement {
    /// Judges what was verified. Without a time, signatures that have expired count as well.
    #[must_use]
    pub fn judge(&self, release: SignedRelease<'_>, signed: &[Signed], now: Option<Timestamp>) -> Judged {
        let mut judged = Judged::default();
        // One entry for each key, with the highest serial that it states for this release.
        let mut counted: Vec<(&PublicKey, Option<u64>)> = Vec::new();
        let mut revoked = false;
        for Signed { digest, outcome } in signed {
            let counts = match outcome {
                Ok((key, statement)) => {
                    let counts = self.counts(release, (key, statement.as_ref()), now);
                    counts.map(|()| (key, statement.as_ref().map(|statement| statement.serial)))
                }
                Err(why) => Err(why.clone()),
            };
            match counts {
                Ok((key, serial)) => match counted.iter_mut().find(|(other, _)| *other == key) {
                    Some((_, highest)) => *highest = serial.max(*highest),
                    None => counted.push((key, serial)),
                },
                Err(why) => {
                    revoked |= matches!(why, Refusal::Revoked(_));
                    judged.refused.push(Refused { signature: *digest, why });
                }
            }
        }
        judged.only_revoked = revoked && counted.is_empty();
        judged.keys = counted.iter().map(|(key, _)| key.id()).collect();
        let mut serials: Vec<u64> = counted.iter().filter_map(|(_, serial)| *serial).collect();
        serials.sort_unstable_by(|one, other| other.cmp(one));
        judged.serial = self.threshold().checked_sub(1).and_then(|last| serials.get(last)).copied();
        judged
    }

    /// Whether as many keys as required have signed.
    #[must_use]
    pub fn is_met(&self, judged: &Judged) -> bool {
        judged.keys.len() >= self.threshold()
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
    /// The distinct keys whose signatures count.
    pub keys: Vec<KeyId>,
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
        self.keys.len() >= self.need && self.superseded.is_none()
    }
}
