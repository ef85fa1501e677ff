//! `larder yank` and `larder unyank`

use clap_complete::ArgValueCompleter;

use super::remote::Remote;
use super::{CliError, Context, complete, output};
use crate::domain::{ManifestName, Selector, Target};
use crate::wire::{Instead, Row, YankRequest};

/// Arguments of `larder yank`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Nothing is deleted: whoever asks for exactly this version still gets it, with the warning. A yanked version is \
never rolled back to, and cannot be promoted. The active version can only be yanked with --rollback. To delete the bytes \
as well, use `larder delete NAME@SELECTOR`.

Examples:
  larder yank miren/main@17 --reason 'loses data on upgrade'
  larder yank miren/main@v1.4.0 --reason CVE-2026-1234 --instead v1.4.1
  larder yank miren/main@active --reason 'does not start' --rollback"
)]
pub struct Args {
    /// The version to warn against
    #[arg(value_name = "NAME@SELECTOR", add = ArgValueCompleter::new(complete::names))]
    target: Target,

    /// Why; everybody who reads the version sees it
    #[arg(long, value_name = "TEXT")]
    reason: String,

    /// The version of the same name to use instead
    #[arg(long, value_name = "SELECTOR")]
    instead: Option<Selector>,

    /// If it is active, go back to the content before in the same step
    #[arg(long)]
    rollback: bool,

    #[command(flatten)]
    remote: Remote,
}

impl Args {
    /// The server and the names that the command is about, first the one that it changes.
    pub(super) fn subject(&self) -> (&Remote, Vec<&ManifestName>) {
        (&self.remote, vec![&self.target.name])
    }
}

/// Arguments of `larder unyank`.
#[derive(Debug, clap::Args)]
#[command(after_help = "The version can be promoted and rolled back to again. The history keeps both.

Examples:
  larder unyank miren/main@17
  larder unyank miren/main@v1.4.0 --reason 'it was the network'
  larder unyank miren/main@sha256:HEX --json")]
pub struct UndoArgs {
    /// The version to stop warning against
    #[arg(value_name = "NAME@SELECTOR", add = ArgValueCompleter::new(complete::names))]
    target: Target,

    /// Why, for those who read the history later
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,

    #[command(flatten)]
    remote: Remote,
}

impl UndoArgs {
    /// The server and the names that the command is about, first the one that it changes.
    pub(super) fn subject(&self) -> (&Remote, Vec<&ManifestName>) {
        (&self.remote, vec![&self.target.name])
    }
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    explicit(&args.target, "yank")?;
    let instead = args.instead.as_ref().map(|selector| Instead::Selector(selector.to_string()));
    let request = YankRequest { reason: args.reason, instead };
    let client = args.remote.writer(context).await?;
    let row = client.yank(&args.target, &request, args.rollback).await?;
    print(&args.target, &row, "yanked", context)
}

pub(super) async fn undo(args: UndoArgs, context: &Context) -> Result<(), CliError> {
    explicit(&args.target, "unyank")?;
    let client = args.remote.writer(context).await?;
    let row = client.unyank(&args.target, args.reason.as_deref()).await?;
    print(&args.target, &row, "not yanked", context)
}

fn explicit(Target { name, explicit, .. }: &Target, verb: &str) -> Result<(), CliError> {
    if *explicit {
        return Ok(());
    }
    Err(CliError::usage(format!("Say which version of {name} to {verb}, such as {name}@17.")))
}

fn print(target: &Target, row: &Row, state: &str, context: &Context) -> Result<(), CliError> {
    if context.json { output::json(row) } else { output::line(format_args!("{}@{} {state}", target.name, row.number)) }
}
