//! What a signature is to state, and what the same key has stated before.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cli::signing::SigningKey;
use crate::cli::trust::signature_of;
use crate::cli::{CliError, Exit, values};
use crate::client::Client;
use crate::clock::{Clock as _, SystemClock};
use crate::domain::attestation::{MAX_SERIAL, Proof, Signed, Statement};
use crate::domain::manifest::{Aliases, Format};
use crate::domain::{Digest, ManifestName, NamePattern, Selector, Target};
use crate::wire::Row;

/// Highest serial that may be chosen freely: half of them are left for what follows.
const FREE_SERIAL: u64 = MAX_SERIAL / 2;
/// How far above the newest one a serial may be in any case.
const NEAR: u64 = 1000;

/// What a signature states beside the label, as far as it is said. Part of a command that has `--key`.
#[derive(Debug, Clone, clap::Args)]
pub(in crate::cli) struct StatedArgs {
    /// The names for which the signature holds [default: NAME alone]
    ///
    /// `*` stands for anything within a segment, `**` for any number of segments. A copy to another name needs no new
    /// signature if that is among them.
    #[arg(long, value_name = "PATTERN", requires = "key")]
    scope: Option<NamePattern>,

    /// When the signature stops to hold: a time, or how long from now on
    #[arg(long, value_name = "TIME", value_parser = values::time_or_wait, requires = "key")]
    expires: Option<values::When>,

    /// Place in the order of releases [default: the present second, or one above what is there]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=MAX_SERIAL), requires = "key")]
    serial: Option<u64>,
}

impl StatedArgs {
    /// The statement for a manifest. `newest` is the highest serial that the key has signed for the name before. Without a
    /// label, that of the manifest is stated, if it can be.
    pub(in crate::cli) fn statement(
        &self,
        name: &ManifestName,
        manifest: &[u8],
        label: Option<&str>,
        newest: Option<u64>,
    ) -> Result<Statement, CliError> {
        let now = SystemClock.now();
        let clock = u64::try_from(now.as_second()).unwrap_or(1);
        let serial = self.serial.unwrap_or_else(|| clock.max(newest.map_or(1, |newest| newest + 1)).min(MAX_SERIAL));
        if let Some(newest) = newest.filter(|newest| serial <= *newest) {
            let detail = format!(
                "The serial {serial} is not above {newest}, the newest that this key has signed for {name}: verifying clients would \
                 not accept it. Give a higher one."
            );
            return Err(CliError::new(Exit::Usage, "SERIAL_BEHIND", detail));
        }
        // Clients never go back, so a serial near the end would be the last one.
        let nearest = newest.map_or(FREE_SERIAL, |newest| FREE_SERIAL.max(newest.saturating_add(NEAR)));
        if serial > nearest {
            let detail = format!(
                "The serial {serial} would leave no room for those of later releases, below which verifying clients do not go back. \
                 Give one of at most {nearest}; without --serial it is the present second, {clock}."
            );
            return Err(CliError::usage(detail));
        }
        let (scope, label) = (self.scope(name)?, label_of(manifest, label)?);
        // Whole seconds are precise enough, and easier to read.
        let second = Timestamp::from_second(now.as_second()).unwrap_or(now);
        let expires = self.expires.map(|when| when.after(second)).transpose()?;
        if expires.is_some_and(|expires| expires <= now) {
            return Err(CliError::usage("The signature would have expired already."));
        }
        Ok(Statement { scope, label: label.map(Into::into), serial, manifest: Digest::of(manifest), expires })
    }

    /// The names for which the signature is to hold.
    pub(in crate::cli) fn scope(&self, name: &ManifestName) -> Result<NamePattern, CliError> {
        let scope = match &self.scope {
            Some(scope) => scope.clone(),
            None => name.as_str().parse().map_err(|error| CliError::usage(format!("{error}.")))?,
        };
        if scope.matches(name) {
            return Ok(scope);
        }
        Err(CliError::usage(format!("The scope {scope} does not hold for {name}.")))
    }

    /// Whether a statement that was made before says all that is asked for. One that ends is renewed once half of the time
    /// that is asked for is over.
    fn is_met_by(&self, old: &Statement, name: &ManifestName, manifest: &[u8]) -> Result<bool, CliError> {
        let now = SystemClock.now();
        let lasts = match (self.expires, old.expires) {
            (None, None) => true,
            (Some(wanted), Some(old)) => {
                let wanted = wanted.after(now)?.duration_since(now);
                old.duration_since(now) * 2 >= wanted
            }
            _ => false,
        };
        let is_same = old.scope == self.scope(name)? && old.label.as_deref() == label_of(manifest, None)?.as_deref();
        Ok(lasts && is_same && self.serial.is_none_or(|serial| serial == old.serial))
    }
}

/// The label to state: this one, or that of the manifest if a statement can have it.
fn label_of(manifest: &[u8], label: Option<&str>) -> Result<Option<String>, CliError> {
    match label {
        Some(label) if !Statement::can_state(label) => {
            Err(CliError::usage("A label is stated in visible ASCII without spaces, or not at all."))
        }
        Some(label) => Ok(Some(label.to_owned())),
        None => {
            let read = (Format::of_bytes(manifest).read)(manifest, &Aliases::default()).ok();
            Ok(read.and_then(|read| read.label).filter(|label| Statement::can_state(label)))
        }
    }
}

/// A statement in the form in which commands print it.
pub(in crate::cli) fn to_json(statement: &Statement, key: &SigningKey) -> Value {
    json!({
        "key": key.public().id().to_string(), "scope": statement.scope.to_string(), "serial": statement.serial,
        "label": statement.label, "expires": statement.expires.as_ref().map(Timestamp::to_string),
    })
}

/// A signature that was made before by the same key.
#[derive(Debug)]
pub(in crate::cli) struct Own {
    /// The signature file.
    pub(in crate::cli) bytes: Vec<u8>,
    /// What it states.
    pub(in crate::cli) statement: Statement,
    /// Whether it was there before.
    pub(in crate::cli) is_known: bool,
}

/// The signatures of this key that a version has. What is not verified does not count, or anybody could raise the next
/// serial.
pub(in crate::cli) fn own(row: &Row, manifest: &[u8], key: &SigningKey) -> Vec<Own> {
    let keys = std::slice::from_ref(key.public());
    let verified = |bytes: Vec<u8>| match Signed::verify(&bytes, manifest, keys).outcome {
        Ok(Proof::Key(_, Some(statement))) => Some(Own { bytes, statement, is_known: true }),
        _ => None,
    };
    row.attachments.iter().filter_map(signature_of).filter_map(verified).collect()
}

/// The highest serial of a version's own signatures.
pub(in crate::cli) fn highest(own: &[Own]) -> Option<u64> {
    own.iter().map(|own| own.statement.serial).max()
}

/// The highest serial that this key has signed on the active version, unless that is the one with this digest.
pub(in crate::cli) async fn newest_active(
    client: &Client,
    name: &ManifestName,
    manifest: Digest,
    key: &SigningKey,
) -> Option<u64> {
    // What cannot be read, or is not there yet, has no serial.
    let active = client.row(&Target::active(name.clone())).await.ok()?;
    if active.manifest == manifest || active.attachments.iter().all(|one| one.key.is_none()) {
        return None;
    }
    let bytes = client.get_manifest(&Target::numbered(name.clone(), active.number)).await.ok()?.bytes;
    highest(&own(&active, &bytes, key))
}

/// A signature for what is published now: the newest of those that the same bytes have already, if it says what is asked
/// for, so that publishing the same again adds none.
pub(in crate::cli) async fn for_publish(
    client: &Client,
    name: &ManifestName,
    manifest: &[u8],
    (stated, key): (&StatedArgs, &SigningKey),
) -> Result<Own, CliError> {
    let digest = Digest::of(manifest);
    let selector = Selector::Manifest(digest);
    let there = client.row(&Target { name: name.clone(), selector, explicit: true }).await.ok();
    let mut before = there.map(|row| own(&row, manifest, key)).unwrap_or_default();
    let newest = highest(&before).max(newest_active(client, name, digest, key).await);
    before.retain(|own| Some(own.statement.serial) == newest);
    for own in before {
        if stated.is_met_by(&own.statement, name, manifest)? {
            return Ok(own);
        }
    }
    let statement = stated.statement(name, manifest, None, newest)?;
    let bytes = key.sign(manifest, &statement.to_string())?.into_bytes();
    Ok(Own { bytes, statement, is_known: false })
}
