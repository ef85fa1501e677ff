//! `larder key`

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Subcommand;
use serde_json::json;

use super::settings::{Settings, gated};
use super::signing::{self, PasswordArgs, SigningKey};
use super::{CliError, Context, output};
use crate::clock::SystemClock;
use crate::domain::attestation::{KeyError, PublicKey};
use crate::protocol::KeyRing;

/// Arguments of `larder key`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Keys are those of minisign: either program uses what the other has made.

Examples:
  larder key new release.key
  larder key new ci.key --no-password
  larder key show release.key.pub
  larder key rotate --data /var/lib/larder")]
pub struct Args {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Make a key: the secret one in FILE, the public one in FILE.pub
    New(NewArgs),
    /// Show the public key and its id
    Show(ShowArgs),
    /// Add a key to a store with which its servers sign catalogs for clients of TUF
    Rotate(RotateArgs),
}

/// Arguments of `larder key new`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  larder key new release.key
  larder key new release.key --password-file password.txt
  larder key new ci.key --no-password")]
struct NewArgs {
    /// File for the secret key, which must not be there yet
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Do not encrypt the secret key, for jobs that keep it as a secret of their own
    #[arg(long, conflicts_with = "password_file")]
    no_password: bool,

    #[command(flatten)]
    password: PasswordArgs,
}

/// Arguments of `larder key show`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  larder key show release.key.pub
  larder key show release.key
  larder key show release.key --password-file password.txt")]
struct ShowArgs {
    /// File with the public or the secret key
    #[arg(value_name = "FILE")]
    file: PathBuf,

    #[command(flatten)]
    password: PasswordArgs,
}

/// Arguments of `larder key rotate`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The servers of a store sign snapshots and timestamps of catalogs for clients of TUF (The Update Framework). Every \
catalog is signed by the key that its author's root names, and goes on being so: an author takes the new key over \
with `larder catalog rotate --tuf`. The last eight keys of a store count. Servers may run meanwhile.

Examples:
  larder key rotate --data /var/lib/larder
  larder key rotate --config /etc/larder.toml
  larder key rotate --data /var/lib/larder --json"
)]
struct RotateArgs {
    #[command(flatten)]
    settings: Settings,
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    match &args.command {
        KeyCommand::Rotate(args) => rotate(args, context).await,
        KeyCommand::New(args) => {
            let public = make(args)?;
            output::note(format_args!(
                "the secret key is in {}; keep a copy where nobody else can read it",
                args.file.display()
            ));
            print(&public, context)
        }
        KeyCommand::Show(args) => {
            let text = signing::text_of(&args.file)?;
            let public = match text.parse::<PublicKey>() {
                Ok(key) => key,
                Err(KeyError::Secret) => SigningKey::read(&args.file, &args.password)?.public().clone(),
                Err(error) => return Err(CliError::usage(format!("{}: {error}.", args.file.display()))),
            };
            print(&public, context)
        }
    }
}

async fn rotate(args: &RotateArgs, context: &Context) -> Result<(), CliError> {
    let store = gated(args.settings.open_existing().await?);
    let added = KeyRing::new(store, Arc::new(SystemClock)).add_lasting().await?;
    if context.json {
        return output::json(&json!({ "added": added }));
    }
    output::line(format_args!("added the key {added}"))?;
    output::note("authors take it over with: larder catalog rotate CATALOG -k KEY --new KEY --tuf");
    Ok(())
}

fn make(args: &NewArgs) -> Result<PublicKey, CliError> {
    let mut public_file = args.file.as_os_str().to_owned();
    public_file.push(".pub");
    let public_file = PathBuf::from(public_file);
    // Before a password is asked for.
    for file in [&args.file, &public_file] {
        if file.symlink_metadata().is_ok() {
            return Err(CliError::usage(format!("{} is there already; give another name.", file.display())));
        }
    }
    let password = if args.no_password { None } else { Some(args.password.new_password()?) };
    let (secret, public) = signing::generate(password)?;
    create(&args.file, &secret, 0o600)?;
    create(&public_file, &format!("untrusted comment: minisign public key {}\n{public}\n", public.id()), 0o644)?;
    Ok(public)
}

fn create(path: &Path, text: &str, mode: u32) -> Result<(), CliError> {
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().map_err(|error| CliError::io(format_args!("write {}", path.display()), &error))
}

fn print(public: &PublicKey, context: &Context) -> Result<(), CliError> {
    if context.json {
        return output::json(&json!({ "id": public.id().to_string(), "public_key": public.to_string() }));
    }
    output::note(format_args!("key {}", public.id()));
    output::line(public)
}
