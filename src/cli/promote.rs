//! `larder promote`

use super::expect::ExpectArgs;
use super::remote::Remote;
use super::{CliError, Context, output};
use crate::domain::Target;
use crate::wire::Receipt;

/// Arguments of `larder promote`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Readers get the version from now on; no bytes move.

Examples:
  larder promote miren/main@17
  larder promote miren/main@sha256:HEX --expect sha256:HEX")]
pub struct Args {
    /// The version to make active: a number, a label such as v1.4.0 or a line such as v1, `stable`, `newest`, `next`,
    /// `previous`, `sha256:HEX` of a manifest, or a UTC time
    #[arg(value_name = "NAME@SELECTOR")]
    target: Target,

    /// Why, for those who read the history later
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,

    #[command(flatten)]
    expect: ExpectArgs,

    #[command(flatten)]
    remote: Remote,
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
        output::note(format_args!("{}@{} was already {}", receipt.name, receipt.version, word(receipt)));
    }
    output::line(format_args!("{}@{} {}", receipt.name, receipt.version, receipt.manifest))
}

/// The state of the version for readers, in one word.
pub(super) fn word(receipt: &Receipt) -> &'static str {
    if receipt.state == crate::domain::State::Active { "active" } else { "staged" }
}
