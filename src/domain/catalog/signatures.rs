//! Who signs a catalog: minisign signatures of the stored document, judged by the keys of the newest root.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};

use super::{CatalogName, Document, Problems, PublicKey, Role, Root, Rule, precedes};
use crate::domain::Digest;
use crate::domain::attestation::{self, KeyId, Signature, Statement};

/// How far a document may be issued ahead of a reader's clock before that clock cannot judge any expiry.
const AHEAD: SignedDuration = SignedDuration::from_hours(24);

/// What is stored of a catalog, byte for byte.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'a> {
    /// The document.
    pub document: &'a [u8],
    /// Files of minisign.
    pub signatures: &'a [&'a [u8]],
    /// The roots, the first one first.
    pub roots: &'a [&'a [u8]],
}

/// The keys that a reader trusts without being told by the catalog.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Anchor {
    /// The keys.
    pub keys: BTreeSet<PublicKey>,
    /// How many of them have to sign: at least 1.
    pub threshold: usize,
}

/// What a reader remembers of the last document that it verified.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// The document.
    pub document: Option<Document>,
    /// Digest of its bytes.
    pub digest: Option<Digest>,
    /// Digests of the roots, the first one first.
    pub roots: Vec<Digest>,
}

/// A catalog that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The document.
    pub document: Document,
    /// Digest of its bytes.
    pub digest: Digest,
    /// The keys that signed it and count, each with the id that minisign knows it by.
    pub signers: Vec<(PublicKey, KeyId)>,
    /// The roots, the first one first; empty if the reader's own keys signed.
    pub roots: Vec<Root>,
}

/// Why a catalog is not to be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A root is malformed, left out, or not signed by the one before it.
    #[error("root {0} {1}")]
    Root(u64, String),
    /// None of the roots is signed by the keys that the reader trusts.
    #[error("none of its roots is signed by {0} of the keys that you trust")]
    Untrusted(usize),
    /// The roots that the reader knows are others, or have become fewer.
    #[error("its roots are not those that it had before")]
    OtherRoots,
    /// The newest root is over.
    #[error("its newest root expired at {0}")]
    RootExpired(Timestamp),
    /// Too few keys sign.
    #[error("{need} of its keys must sign it, and {have} did{}", reasons(.refused))]
    TooFew {
        /// The number of keys that have to.
        need: usize,
        /// The number of keys that did.
        have: usize,
        /// Why signatures do not count.
        refused: Vec<String>,
    },
    /// The document cannot be read.
    #[error("its document cannot be read: {0}")]
    Document(String),
    /// It is the document of another catalog.
    #[error("it is the catalog {0}")]
    Name(CatalogName),
    /// It is over: its author has stopped, or somebody keeps newer ones back.
    #[error("it expired at {0}; its author has to issue it again")]
    Expired(Timestamp),
    /// It was issued long after the present, by the reader's clock.
    #[error("it was issued at {0}, but the clock here says {1}: set it, it cannot judge what is over")]
    ClockBehind(Timestamp, Timestamp),
    /// It is older than what the reader has seen.
    #[error("its serial is {now}, and it was {before} before: somebody serves an old one")]
    WentBack {
        /// Its serial.
        now: u64,
        /// The highest serial seen.
        before: u64,
    },
    /// Two documents have one serial.
    #[error("there are two documents with the serial {0}: somebody shows them to different readers")]
    Forked(u64),
    /// It does not keep what an earlier document listed.
    #[error("it rewrites what it listed before:\n{0}")]
    Rewritten(Problems),
}

impl Refusal {
    /// The code for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Root(..) => "ROOT_INVALID",
            Self::Untrusted(_) => "ROOT_UNTRUSTED",
            Self::OtherRoots => "ROOT_WENT_BACK",
            Self::RootExpired(_) => "ROOT_EXPIRED",
            Self::TooFew { .. } => "SIGNATURE_MISSING",
            Self::Document(_) => "CATALOG_DOCUMENT",
            Self::Name(_) => "CATALOG_NAME",
            Self::Expired(_) => "CATALOG_EXPIRED",
            Self::ClockBehind(..) => "CLOCK_BEHIND",
            Self::WentBack { .. } => "SERIAL_WENT_BACK",
            Self::Forked(_) => "CATALOG_FORKED",
            Self::Rewritten(problems) => problems.rule().unwrap_or(Rule::ReleaseChanged).code(),
        }
    }
}

fn reasons(refused: &[String]) -> String {
    refused.iter().flat_map(|why| ["\n  - ", why]).collect()
}

/// Reads roots and checks that each is signed as the one before it and it itself require, from number 1 on.
///
/// # Errors
/// [`Refusal::Root`].
pub(super) fn chain(roots: &[&[u8]]) -> Result<Vec<Root>, Refusal> {
    let mut chain: Vec<Root> = Vec::with_capacity(roots.len());
    for (number, bytes) in (1..).zip(roots) {
        let root = Root::read(bytes).map_err(|error| Refusal::Root(number, format!("cannot be read: {error}")))?;
        if root.version != number {
            return Err(Refusal::Root(number, format!("says that it is root {}", root.version)));
        }
        if !root.is_signed() {
            return Err(Refusal::Root(number, "is not signed by enough of its own keys".into()));
        }
        if chain.last().is_some_and(|before| !root.follows(before)) {
            return Err(Refusal::Root(number, "is not signed by enough keys of the root before it".into()));
        }
        chain.push(root);
    }
    Ok(chain)
}

/// Judges whether these bytes are the catalog `name`, now. Nothing but what is stored is looked at.
///
/// # Errors
/// A [`Refusal`].
pub fn verify(
    name: &CatalogName,
    signed: Signed<'_>,
    anchor: &Anchor,
    known: &Known,
    now: Timestamp,
) -> Result<Verified, Refusal> {
    let read = || Document::read(signed.document).map_err(|error| Refusal::Document(error.to_string()));
    verify_read(name, signed, read, (anchor, known), now)
}

/// As [`verify`], for whoever has read the document: `read` returns what `signed.document` says.
///
/// # Errors
/// A [`Refusal`].
pub fn verify_read(
    name: &CatalogName,
    signed: Signed<'_>,
    read: impl FnOnce() -> Result<Document, Refusal>,
    (anchor, known): (&Anchor, &Known),
    now: Timestamp,
) -> Result<Verified, Refusal> {
    let roots = chain(signed.roots)?;
    let role = trusted(&roots, anchor, known, now)?;
    let document = read()?;
    let signers = signers(name, &document, signed, &role, now)?;
    if document.name != *name {
        return Err(Refusal::Name(document.name));
    }
    if document.expires <= now {
        return Err(Refusal::Expired(document.expires));
    }
    if document.issued.duration_since(now) > AHEAD {
        return Err(Refusal::ClockBehind(document.issued, now));
    }
    let digest = Digest::of(signed.document);
    if let Some(before) = &known.document {
        continues(before, known.digest, &document, digest)?;
    }
    Ok(Verified { document, digest, signers, roots })
}

/// The keys that sign catalogs now.
fn trusted(roots: &[Root], anchor: &Anchor, known: &Known, now: Timestamp) -> Result<Role, Refusal> {
    let digests = roots.iter().map(|root| root.digest);
    if roots.len() < known.roots.len() || digests.zip(&known.roots).any(|(digest, known)| digest != *known) {
        return Err(Refusal::OtherRoots);
    }
    let own = Role { keys: anchor.keys.clone(), threshold: anchor.threshold.max(1) };
    let Some(newest) = roots.last() else { return Ok(own) };
    let is_anchored = |root: &Root| {
        let signers = root.signers(root);
        own.is_met_by(&signers.intersection(&root.root.keys).copied().collect())
    };
    if !roots.iter().any(is_anchored) {
        return Err(Refusal::Untrusted(own.threshold));
    }
    if newest.expires <= now {
        return Err(Refusal::RootExpired(newest.expires));
    }
    Ok(newest.targets.clone())
}

/// Compares a document with an earlier one that the reader has verified.
fn continues(before: &Document, known: Option<Digest>, document: &Document, digest: Digest) -> Result<(), Refusal> {
    if document.serial < before.serial {
        return Err(Refusal::WentBack { now: document.serial, before: before.serial });
    }
    if document.serial == before.serial && known != Some(digest) {
        return Err(Refusal::Forked(document.serial));
    }
    precedes(before, document).into_result().map_err(Refusal::Rewritten)
}

/// The keys of a role that sign this document, if they are enough.
fn signers(
    name: &CatalogName,
    document: &Document,
    signed: Signed<'_>,
    role: &Role,
    now: Timestamp,
) -> Result<Vec<(PublicKey, KeyId)>, Refusal> {
    let (mut ids, mut refused) = (BTreeMap::new(), Vec::new());
    for bytes in signed.signatures {
        let counts = signer(bytes, signed.document, role)
            .and_then(|(key, comment)| statement(&comment, name, document, signed.document, now).map(|()| key));
        match counts {
            Ok((key, id)) => drop(ids.insert(key, id)),
            Err(why) => refused.push(why),
        }
    }
    if role.is_met_by(&ids.keys().copied().collect()) {
        Ok(ids.into_iter().collect())
    } else {
        Err(Refusal::TooFew { need: role.threshold, have: ids.len(), refused })
    }
}

/// The key of a role that made this signature, and the comment that it covers.
///
/// A root does not say which key has which minisign id, so each is tried, on the signature of the comment: that is short.
fn signer(bytes: &[u8], document: &[u8], role: &Role) -> Result<((PublicKey, KeyId), String), String> {
    let signature = Signature::parse(bytes).map_err(|error| error.to_string())?;
    let id = signature.key();
    let (message, global) = covered(bytes).ok_or("it is no signature")?;
    let key = role.keys.iter().find(|key| key.signed(&message, &global));
    let key = key.ok_or_else(|| format!("the signature of {id} is of none of the keys that may sign"))?;
    if attestation::PublicKey::new(id, key.0).verifies(&signature, document) {
        Ok(((*key, id), signature.comment().to_owned()))
    } else {
        Err(format!("the key {id} does not verify it: it is of other bytes"))
    }
}

/// The id that a signature file of minisign states, and the key of a role with that id, if one has signed its comment. Whether
/// the rest of the signature holds is for readers to verify.
#[must_use]
pub fn stated_signer(bytes: &[u8], role: &Role) -> Option<(KeyId, Option<attestation::PublicKey>)> {
    let (id, (message, global)) = (Signature::parse(bytes).ok()?.key(), covered(bytes)?);
    let key = role.keys.iter().find(|key| key.signed(&message, &global));
    Some((id, key.map(|key| attestation::PublicKey::new(id, key.0))))
}

/// What the second signature of a minisign file covers, and that signature.
fn covered(bytes: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut lines = std::str::from_utf8(bytes).ok()?.lines().skip(1);
    let mut message = STANDARD.decode(lines.next()?).ok()?.split_off(10);
    message.extend(lines.next()?.strip_prefix("trusted comment: ")?.bytes());
    Some((message, STANDARD.decode(lines.next()?).ok()?))
}

/// Checks what a signature states, if it states anything: that must be about this document. Without a statement the
/// document speaks for itself, because name, serial and expiry are in it.
fn statement(
    comment: &str,
    name: &CatalogName,
    document: &Document,
    bytes: &[u8],
    now: Timestamp,
) -> Result<(), String> {
    let Some(statement) = Statement::read(comment).map_err(|error| error.to_string())? else { return Ok(()) };
    if !statement.scope.matches(&name.manifest()) {
        return Err(format!("it holds for {}", statement.scope));
    }
    if statement.serial != document.serial {
        return Err(format!("it states the serial {}, the document {}", statement.serial, document.serial));
    }
    if statement.manifest != Digest::of(bytes) {
        return Err(format!("it states the document {}", statement.manifest));
    }
    match statement.expires {
        Some(expires) if expires <= now => Err(format!("it expired at {expires}")),
        _ => Ok(()),
    }
}

impl Verified {
    /// What a reader has to remember of this catalog.
    #[must_use]
    pub fn into_known(self) -> Known {
        let roots = self.roots.iter().map(|root| root.digest).collect();
        Known { document: Some(self.document), digest: Some(self.digest), roots }
    }
}

/// Judges the signatures of a document that is to be published. Whom to trust is not asked here, but the first root binds
/// all later ones: `before` are the digests of the roots of the active document.
#[must_use]
pub fn check_signatures(
    name: &CatalogName,
    document: &Document,
    signed: Signed<'_>,
    before: &[Digest],
    now: Timestamp,
) -> Problems {
    let refuse = |refusal: &Refusal| Problems::one(Rule::Signatures, "", refusal.to_string());
    let roots = match chain(signed.roots) {
        Ok(roots) => roots,
        Err(refusal) => return refuse(&refusal),
    };
    let Some(newest) = roots.last() else {
        return Problems::one(Rule::Signatures, "metadata/1.root.json", "it is missing: a root says who may sign");
    };
    let known = Known { roots: before.to_vec(), ..Known::default() };
    let anchor = Anchor { keys: roots[0].root.keys.clone(), threshold: roots[0].root.threshold };
    let mut problems = Problems::default();
    for refused in
        [trusted(&roots, &anchor, &known, now).err(), signers(name, document, signed, &newest.targets, now).err()]
    {
        problems.extend(refused.as_ref().map(refuse).unwrap_or_default());
    }
    problems
}
