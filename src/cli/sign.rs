//! `larder sign`

pub(super) mod stated;

use std::path::PathBuf;

use clap_complete::ArgValueCompleter;
use serde_json::json;

use self::stated::StatedArgs;
use super::remote::Remote;
use super::signing::{PasswordArgs, SigningKey};
use super::{CliError, Context, Exit, complete, output};
use crate::client::Client;
use crate::domain::attestation::MEDIA_TYPE;
use crate::domain::{Digest, ManifestName, Target};
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

    /// Label to state [default: that of the version]
    #[arg(long, value_name = "LABEL")]
    label: Option<String>,

    #[command(flatten)]
    stated: StatedArgs,

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
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let key = SigningKey::read(&args.key, &args.password)?;
    let client = args.remote.writer(context).await?;
    let row = client.row(&args.target).await?;
    let manifest = args.bytes(&client, &row).await?;
    let name = &args.target.name;
    let before = stated::highest(&stated::own(&row, &manifest, &key));
    let newest = before.max(stated::newest_active(&client, name, row.manifest, &key).await);
    let statement = args.stated.statement(name, &manifest, args.label.as_deref(), newest)?;
    let signature = key.sign(&manifest, &statement.to_string())?;
    let target = Target::numbered(args.target.name.clone(), row.number);
    let attached = client.attach(&target, (signature.into(), MEDIA_TYPE), None).await?;
    if context.json {
        let mut document = stated::to_json(&statement, &key);
        document["name"] = json!(target.name);
        document["version"] = json!(row.number);
        document["manifest"] = json!(row.manifest);
        document["signature"] = json!(attached.digest);
        return output::json(&document);
    }
    let id = key.public().id();
    output::line(format_args!(
        "{target} signed with the key {id}, serial {}, for {}",
        statement.serial, statement.scope
    ))
}
