//! `larder sign`

use std::path::PathBuf;

use clap_complete::ArgValueCompleter;
use jiff::Timestamp;
use serde_json::json;

use super::remote::Remote;
use super::signing::{PasswordArgs, SigningKey};
use super::{CliError, Context, Exit, complete, output, values};
use crate::client::Client;
use crate::clock::{Clock as _, SystemClock};
use crate::domain::attestation::{MAX_SERIAL, MEDIA_TYPE, Signed, Statement};
use crate::domain::manifest::{Aliases, Format};
use crate::domain::{Digest, ManifestName, NamePattern, Target};
use crate::wire::Row;

/// Arguments of `larder sign`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Signs the bytes of the manifest, which names all files by their digests, with a key of minisign, and attaches \
the signature to the version. It also states for which names it holds and a serial, below which verifying clients do not go \
back. A rollback that they are to accept is the old version, signed again.

Examples:
  larder sign miren/main@17 -k release.key
  larder sign miren/v0.5.0 -k release.key --scope 'miren/**' --expires 90days
  larder sign miren/main@18 -k release.key --manifest manifest.json"
)]
pub struct Args {
    /// The version (without a selector: the active one)
    #[arg(value_name = "NAME[@SELECTOR]", add = ArgValueCompleter::new(complete::names))]
    target: Target,

    /// File with the secret key
    #[arg(short, long, value_name = "FILE")]
    key: PathBuf,

    /// The names for which the signature holds [default: NAME alone]
    ///
    /// `*` stands for anything within a segment, `**` for any number of segments. A copy to another name needs no new
    /// signature if that is among them.
    #[arg(long, value_name = "PATTERN")]
    scope: Option<NamePattern>,

    /// Label to state [default: that of the version]
    #[arg(long, value_name = "LABEL")]
    label: Option<String>,

    /// When the signature stops to hold: a time, or how long from now on
    #[arg(long, value_name = "TIME", value_parser = values::time_or_wait)]
    expires: Option<values::When>,

    /// Place in the order of releases [default: the present second, or one above what is there]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=MAX_SERIAL))]
    serial: Option<u64>,

    /// File with the manifest, for a version that is not complete yet
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,

    #[command(flatten)]
    password: PasswordArgs,

    #[command(flatten)]
    remote: Remote,
}

impl Args {
    /// The server and the names that the command is about, first the one that it changes.
    pub(super) fn subject(&self) -> (&Remote, Vec<&ManifestName>) {
        (&self.remote, vec![&self.target.name])
    }

    /// The bytes to sign: exactly those that the row names.
    async fn bytes(&self, client: &Client, row: &Row) -> Result<Vec<u8>, CliError> {
        let bytes = match &self.manifest {
            Some(path) => {
                std::fs::read(path).map_err(|error| CliError::io(format_args!("read {}", path.display()), &error))?
            }
            None => client.get_manifest(&Target::numbered(self.target.name.clone(), row.number)).await?.bytes.to_vec(),
        };
        let actual = Digest::of(&bytes);
        if actual == row.manifest {
            return Ok(bytes);
        }
        let detail =
            format!("These are not the bytes of {}: it has {}, they have {actual}.", self.target, row.manifest);
        Err(CliError::new(Exit::Integrity, "DIGEST_INVALID", detail))
    }

    fn statement(&self, manifest: &[u8], newest: Option<u64>) -> Result<Statement, CliError> {
        let now = SystemClock.now();
        let clock = u64::try_from(now.as_second()).unwrap_or(1);
        let serial = self.serial.unwrap_or_else(|| clock.max(newest.map_or(1, |newest| newest + 1)).min(MAX_SERIAL));
        if let Some(newest) = newest.filter(|newest| serial <= *newest) {
            let detail = format!(
                "The serial {serial} is not above {newest}, the newest that this key has signed for {}: verifying clients would \
                 not accept it. Give a higher one.",
                self.target.name
            );
            return Err(CliError::new(Exit::Usage, "SERIAL_BEHIND", detail));
        }
        let own = || {
            let read = (Format::of_bytes(manifest).read)(manifest, &Aliases::default()).ok()?;
            read.label.filter(|label| Statement::can_state(label))
        };
        let label = match &self.label {
            Some(label) if !Statement::can_state(label) => {
                return Err(CliError::usage("A label is stated in visible ASCII without spaces, or not at all."));
            }
            Some(label) => Some(label.clone()),
            None => own(),
        };
        let scope = match &self.scope {
            Some(scope) => scope.clone(),
            None => self.target.name.as_str().parse().map_err(|error| CliError::usage(format!("{error}.")))?,
        };
        if !scope.matches(&self.target.name) {
            let detail = format!("The scope {scope} does not hold for {}.", self.target.name);
            return Err(CliError::usage(detail));
        }
        // Whole seconds are precise enough, and easier to read.
        let second = Timestamp::from_second(now.as_second()).unwrap_or(now);
        let expires = self.expires.map(|when| when.after(second)).transpose()?;
        if expires.is_some_and(|expires| expires <= now) {
            return Err(CliError::usage("The signature would have expired already."));
        }
        Ok(Statement { scope, label: label.map(Into::into), serial, manifest: Digest::of(manifest), expires })
    }
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let key = SigningKey::read(&args.key, &args.password)?;
    let client = args.remote.writer(context).await?;
    let row = client.row(&args.target).await?;
    let manifest = args.bytes(&client, &row).await?;
    let newest = newest(&client, &args.target.name, (&row, &manifest), &key).await?;
    let statement = args.statement(&manifest, newest)?;
    let signature = key.sign(&manifest, &statement.to_string())?;
    let target = Target::numbered(args.target.name.clone(), row.number);
    let attached = client.attach(&target, (signature.into(), MEDIA_TYPE), None).await?;
    if context.json {
        let expires = statement.expires.as_ref().map(Timestamp::to_string);
        return output::json(&json!({
            "name": target.name, "version": row.number, "manifest": row.manifest, "signature": attached.digest,
            "key": key.public().id().to_string(), "scope": statement.scope.to_string(), "serial": statement.serial,
            "label": statement.label, "expires": expires,
        }));
    }
    let id = key.public().id();
    output::line(format_args!(
        "{target} signed with the key {id}, serial {}, for {}",
        statement.serial, statement.scope
    ))
}

/// The highest serial that this key has signed, as far as it is seen on the version itself and on the active one. What is
/// not verified does not count, or anybody could raise the next serial.
async fn newest(
    client: &Client,
    name: &ManifestName,
    (row, manifest): (&Row, &[u8]),
    key: &SigningKey,
) -> Result<Option<u64>, CliError> {
    let mut newest = stated(row, manifest, key);
    match client.row(&Target::active(name.clone())).await {
        Ok(active) if active.number != row.number && active.attachments.iter().any(|one| one.key.is_some()) => {
            let bytes = client.get_manifest(&Target::numbered(name.clone(), active.number)).await?.bytes;
            newest = newest.max(stated(&active, &bytes, key));
        }
        // Nothing is active yet.
        _ => {}
    }
    Ok(newest)
}

fn stated(row: &Row, manifest: &[u8], key: &SigningKey) -> Option<u64> {
    let keys = std::slice::from_ref(key.public());
    let signatures = row.attachments.iter().filter_map(crate::cli::trust::signature_of);
    let signed = signatures.map(|bytes| Signed::verify(&bytes, manifest, keys));
    signed.filter_map(|signed| Some(signed.outcome.ok()?.1?.serial)).max()
}
