//! Verifying what is fetched: signatures by keys and identities that the caller trusts, and never a step back.
//!
//! The order is that of what is trusted: the bytes of the manifest, the signatures of exactly these bytes, what they state
//! about name, label and expiry, and at last the serial, compared with the highest one that was accepted before. Files
//! follow by the digests in the manifest. Nothing that the server says about a version takes part.

mod args;
mod attached;
mod file;
mod state;

use std::path::Path;

use serde::Serialize;
use serde_json::json;

pub(super) use self::args::TrustArgs;
pub(super) use self::attached::{Attached, signature_of};
pub(super) use self::file::key;
use self::file::{Entry, TrustFile};
use self::state::Serials;
use super::{CliError, Exit, output};
use crate::client::{Client, PublishedManifest};
use crate::clock::{Clock as _, SystemClock};
use crate::domain::attestation::{Judged, KeyId, PublicKey, Refusal, Requirement, Signature, Signed, SignedRelease};
use crate::domain::{Digest, Manifest, ManifestName, Selector, Target};

/// The keys that a trust file has for a name at the first of these servers that it knows, without those that are revoked,
/// and how many of them must have signed. `None` if no entry is for that name.
pub(super) fn keys_in(
    file: &Path,
    name: &ManifestName,
    servers: &[String],
) -> Result<Option<(Vec<PublicKey>, usize)>, CliError> {
    let trusted = TrustFile::read(file.to_owned(), false)?;
    let Some(entry) = trusted.entry_for(name, servers) else { return Ok(None) };
    let requirement = trusted.requirement(entry)?;
    let keys = requirement.keys().iter().filter(|key| !requirement.is_revoked(key)).cloned().collect();
    Ok(Some((keys, requirement.threshold())))
}

/// A release of which nothing is known but its bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unverified<'a> {
    /// The manifest as it came.
    pub(super) published: &'a PublishedManifest,
    /// What was read from the same bytes.
    pub(super) manifest: &'a Manifest,
}

/// A release whose signatures hold, whatever was accepted before.
pub(super) struct Approved {
    trust: Trust,
    judged: Judged,
}

impl Approved {
    /// Its place in the order of releases.
    pub(super) fn serial(&self) -> Option<u64> {
        self.judged.serial
    }
}

/// A release whose signatures hold.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Verified {
    /// The keys and identities that have signed it.
    keys: Vec<String>,
    /// Its place in the order of releases.
    serial: Option<u64>,
}

impl TrustArgs {
    /// What a server has to say about the signatures of a release. Nothing if nobody asked for them.
    pub(super) async fn evidence(
        &self,
        client: &Client,
        target: &Target,
        release: Unverified<'_>,
    ) -> Result<Attached, CliError> {
        if self.is_asked() {
            return Attached::read(client, target, release, self.counts_identities()?).await;
        }
        if self.allow_rollback {
            let needs = "--allow-rollback needs --verify-key, --verify-identity, --trust or --trust-on-first-use.";
            return Err(CliError::usage(needs));
        }
        Ok(Attached::default())
    }

    /// Verifies a release before anything of it is used, except that it may be older than one that was accepted before.
    /// `servers` are those that may have it, first the one that it came from. `None` if nobody asked for it.
    pub(super) fn judge(
        &self,
        servers: &[String],
        target: &Target,
        release: Unverified<'_>,
        attached: &Attached,
    ) -> Result<Option<Approved>, CliError> {
        if !self.is_asked() {
            return Ok(None);
        }
        let trust = if self.names_signers() {
            Trust::of_signers(self)?
        } else {
            Trust::of_file(self, servers, target, (release, attached.signatures()))?
        };
        let judged = trust.judge(target, release, &attached.verify(release, &trust.requirement))?;
        Ok(Some(Approved { trust, judged }))
    }

    /// Accepts a release that was verified, unless it is older than one that was accepted before.
    pub(super) fn accept(
        &self,
        target: &Target,
        release: Unverified<'_>,
        approved: &Approved,
    ) -> Result<Verified, CliError> {
        let Approved { trust, judged } = approved;
        self.check_serial(trust, target, release, judged)?;
        let keys: Vec<String> = judged.signers.iter().map(ToString::to_string).collect();
        output::note(format_args!("signed by {}{}", keys.join(", "), with_serial(judged.serial)));
        Ok(Verified { keys, serial: judged.serial })
    }

    /// Never goes back behind what was accepted before. A selector that pins the content needs no order.
    fn check_serial(
        &self,
        trust: &Trust,
        target: &Target,
        release: Unverified<'_>,
        judged: &Judged,
    ) -> Result<(), CliError> {
        let (Some(serial), Some(serials), false) = (judged.serial, &trust.serials, is_pinned(target, release)) else {
            return Ok(());
        };
        // What a number, a line or `previous` selects has an order of its own.
        let place = if target.selector == Selector::Active { target.name.to_string() } else { target.to_string() };
        let place = format!("{} {place}", trust.id);
        match serials.raise(&place, serial)? {
            Some(highest) if self.allow_rollback => {
                output::note(format_args!("warning: the serial went back from {highest} to {serial}, as was allowed"));
                Ok(())
            }
            Some(highest) => {
                let detail = format!(
                    "{target} has the serial {serial}, and {highest} was accepted before: it is an older release, or somebody shows \
                     one as the newest. --allow-rollback accepts it this once."
                );
                Err(refused("SERIAL_WENT_BACK", detail).with("serial", serial).with("accepted", highest))
            }
            None => Ok(()),
        }
    }
}

fn with_serial(serial: Option<u64>) -> String {
    serial.map(|serial| format!(", serial {serial}")).unwrap_or_default()
}

/// Whether the selector itself says which content it must be: a digest, or the label that the signed manifest has.
fn is_pinned(target: &Target, release: Unverified<'_>) -> bool {
    match &target.selector {
        Selector::Manifest(_) => true,
        Selector::Label(label) => release.manifest.label.as_deref() == Some(&*label.to_string()),
        _ => false,
    }
}

/// The signers that count for a release, and where its serials are kept.
struct Trust {
    /// What the serials belong to.
    id: String,
    requirement: Requirement,
    serials: Option<Serials>,
}

impl Trust {
    fn of_signers(args: &TrustArgs) -> Result<Self, CliError> {
        let (keys, identities, root) = (args.keys()?, args.identities()?, args.root()?);
        let short = |bytes: &[u8]| Digest::of(bytes).hex()[..16].to_owned();
        let mut ids: Vec<String> = keys.iter().map(|key| short(key.raw())).collect();
        ids.extend(identities.iter().map(|identity| short(identity.to_string().as_bytes())));
        let requirement =
            Requirement::with_identities((args.threshold.get(), true), (keys, Vec::new()), (identities, root));
        let requirement = requirement
            .map_err(|error| CliError::usage(format!("The keys and identities to verify with: {error}.")))?;
        ids.sort_unstable();
        let serials = file::directory().map(|directory| Serials::at(directory.join("serials.json")));
        if serials.is_none() {
            output::note(
                "neither XDG_CONFIG_HOME nor HOME is set: no serial is kept, so an older release is not noticed",
            );
        }
        Ok(Self { id: ids.join("+"), requirement, serials })
    }

    fn of_file(
        args: &TrustArgs,
        servers: &[String],
        target: &Target,
        (release, signatures): (Unverified<'_>, &[Vec<u8>]),
    ) -> Result<Self, CliError> {
        let path = match &args.trust {
            Some(path) => path.clone(),
            None => file::directory().map(|directory| directory.join("trust.toml")).ok_or_else(|| {
                CliError::usage("Neither XDG_CONFIG_HOME nor HOME is set: say with --trust where to keep the key.")
            })?,
        };
        let trusted = TrustFile::read(path, args.trust_on_first_use)?;
        let entry = match trusted.entry_for(&target.name, servers) {
            Some(entry) => entry.clone(),
            None if args.trust_on_first_use => {
                let (entry, id) = first_use(target, servers, release, signatures)?;
                trusted.add(&entry)?;
                let file = trusted.path().display();
                output::note(format_args!("trusting the key {id} for {} from now on ({file})", target.name));
                entry
            }
            None => {
                let detail = format!(
                    "{} does not say which keys or identities may sign {}. Add them, or trust the key at its first use with \
                     --trust-on-first-use.",
                    trusted.path().display(),
                    target.name
                );
                return Err(refused("SIGNATURE_MISSING", detail));
            }
        };
        let requirement = trusted.requirement(&entry)?;
        Ok(Self { id: entry.id(), requirement, serials: Some(Serials::at(trusted.state_path())) })
    }

    fn judge(&self, target: &Target, release: Unverified<'_>, signed: &[Signed]) -> Result<Judged, CliError> {
        let judged = self.requirement.judge(subject(target, release), signed, Some(SystemClock.now()));
        if self.requirement.is_met(&judged) { Ok(judged) } else { Err(self.lacking(target, &judged)) }
    }

    fn lacking(&self, target: &Target, judged: &Judged) -> CliError {
        let (need, have) = (self.requirement.threshold(), judged.signers.len());
        let why: Vec<String> = judged.refused.iter().map(|refused| refused.why.to_string()).collect();
        let because = match &why[..] {
            [] => " No signature is attached.".to_owned(),
            why => format!(" Of what is attached nothing else counts: {}.", why.join("; ")),
        };
        let detail = format!(
            "{target} is signed by {have} of the {need} trusted keys and identities that are needed; nothing was written.{because}"
        );
        let have: Vec<String> = judged.signers.iter().map(ToString::to_string).collect();
        refused(code(judged), detail).with("need", need).with("have", json!(have)).with("refused", json!(why))
    }
}

/// What kept the nearest signature from counting.
fn code(judged: &Judged) -> &'static str {
    let any = |is: fn(&Refusal) -> bool| judged.refused.iter().any(|refused| is(&refused.why));
    if any(|why| matches!(why, Refusal::Expired(_))) {
        "SIGNATURE_EXPIRED"
    } else if any(|why| matches!(why, Refusal::Scope(_))) {
        "SIGNATURE_SCOPE"
    } else if any(|why| !matches!(why, Refusal::UnknownKey(_) | Refusal::UnknownIdentity(_))) {
        "SIGNATURE_INVALID"
    } else {
        "SIGNATURE_MISSING"
    }
}

fn refused(code: &'static str, detail: String) -> CliError {
    CliError::new(Exit::Integrity, code, detail)
}

/// What signatures have to be of: all of it from what was asked for, or from the bytes that are signed.
fn subject<'a>(target: &'a Target, release: Unverified<'a>) -> SignedRelease<'a> {
    let label = release.manifest.label.as_deref();
    SignedRelease { name: &target.name, label, manifest: Digest::of(&release.published.bytes) }
}

/// The entry for a name that is fetched for the first time: for this name alone, whatever scope the signature states, so
/// that the first publisher who is trusted does not get the names of others as well.
fn first_use(
    target: &Target,
    servers: &[String],
    release: Unverified<'_>,
    signatures: &[Vec<u8>],
) -> Result<(Entry, KeyId), CliError> {
    let mut found: Vec<PublicKey> = Vec::new();
    for bytes in signatures {
        let offered = Signature::parse(bytes).ok().and_then(|signature| signature.offered_key());
        let Some(key) = offered.filter(|key| !found.contains(key)) else { continue };
        let Ok(requirement) = Requirement::new(1, true, vec![key.clone()], Vec::new()) else { continue };
        let signed = [Signed::verify(bytes, &release.published.bytes, requirement.keys())];
        let judged = requirement.judge(subject(target, release), &signed, Some(SystemClock.now()));
        if requirement.is_met(&judged) {
            found.push(key);
        }
    }
    match &found[..] {
        [key] => Ok((Entry::first_use(&target.name, key.clone(), servers), key.id())),
        [] => {
            let detail = format!(
                "{target} has no valid signature that names its key, so there is none to trust. `larder sign` makes such signatures; \
                 for others, say the key with --verify-key."
            );
            Err(refused("SIGNATURE_MISSING", detail))
        }
        _ => {
            let ids: Vec<String> = found.iter().map(|key| key.id().to_string()).collect();
            let detail = format!(
                "{target} is signed by several keys ({}): say with --verify-key which to trust.",
                ids.join(", ")
            );
            Err(refused("SIGNATURE_MISSING", detail))
        }
    }
}
