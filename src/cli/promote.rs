//! `larder promote`

use clap_complete::ArgValueCompleter;

use super::expect::ExpectArgs;
use super::remote::Remote;
use super::{CliError, Context, complete, output};
use crate::domain::{ManifestName, State, Target};
use crate::wire::Receipt;

/// Arguments of `larder promote`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Readers get the version from now on; no bytes move.

Examples:
  larder promote miren/main@17
  larder promote miren/main@previous
  larder promote miren/main@18 --expect sha256:HEX")]
pub struct Args {
    /// The version to make active: a number, a label such as v1.4.0 or a line such as v1, `stable`, `newest`, `next`,
    /// `previous`, `sha256:HEX` of a manifest, or a UTC time
    #[arg(value_name = "NAME@SELECTOR", add = ArgValueCompleter::new(complete::names))]
    target: Target,

    /// Why, for those who read the history later
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,

    #[command(flatten)]
    expect: ExpectArgs,

    #[command(flatten)]
    remote: Remote,
}

impl Args {
    /// The server and the names that the command is about, first the one that it changes.
    pub(super) fn subject(&self) -> (&Remote, Vec<&ManifestName>) {
        (&self.remote, vec![&self.target.name])
    }
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let Target { name, explicit, .. } = &args.target;
    if !explicit {
        return Err(CliError::usage(format!("Say which version of {name} to promote, such as {name}@17.")));
    }
    let client = args.remote.writer(context).await?;
    let row = client.row(&args.target).await?;
    let receipt = client.promote(name, &row, &args.expect.get(), args.reason.as_deref()).await?;
    print(&receipt, context)
}

/// Prints the result of a change: `NAME@N sha256:HEX`.
pub(super) fn print(receipt: &Receipt, context: &Context) -> Result<(), CliError> {
    if context.json {
        return output::json(receipt);
    }
    if receipt.unchanged {
        output::note(format_args!("{}@{} {}", receipt.name, receipt.version, standing(receipt)));
    }
    if let Some(why) = receipt.verifying.as_ref().filter(|one| !one.accept).and_then(|one| one.why.as_deref()) {
        output::note(format_args!("verifying clients refuse it: {why}"));
    }
    output::line(format_args!("{}@{} {}", receipt.name, receipt.version, receipt.manifest))
}

/// How a version stands that was there already.
pub(super) fn standing(receipt: &Receipt) -> &'static str {
    match receipt.state {
        State::Active => "was already active",
        State::Archived => "was published before, and is not active any more",
        _ => "was already staged",
    }
}

/// The state of the version for readers, in one word.
pub(super) fn word(receipt: &Receipt) -> &'static str {
    if receipt.state == State::Active { "active" } else { "staged" }
}
