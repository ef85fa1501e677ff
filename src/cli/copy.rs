//! `larder copy`

use clap_complete::ArgValueCompleter;

use super::expect::ExpectArgs;
use super::remote::Remote;
use super::{CliError, Context, complete, promote, values};
use crate::domain::{ManifestName, Target};

/// Arguments of `larder copy`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Both names then have the same manifest; no bytes are copied. --expect is about the name TO.

Examples:
  larder copy miren/v0.5.0 miren/latest
  larder copy miren/candidate@17 miren/main --stage
  larder copy miren/v0.5.0 miren/latest --expect none")]
pub struct Args {
    /// The version to copy (without a selector: the active one)
    #[arg(value_name = "NAME[@SELECTOR]", add = ArgValueCompleter::new(complete::names))]
    from: Target,

    /// The name to publish it under
    #[arg(value_name = "TO", value_parser = values::name, add = ArgValueCompleter::new(complete::names))]
    to: ManifestName,

    /// Stage it only: readers do not see it until it is promoted
    #[arg(long)]
    stage: bool,

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
        (&self.remote, vec![&self.to, &self.from.name])
    }
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let client = args.remote.writer(context).await?;
    let row = client.row(&args.from).await?;
    let how = (!args.stage, args.reason.as_deref());
    let receipt = client.copy(&args.from.name, &row, &args.to, how, &args.expect.get()).await?;
    promote::print(&receipt, context)
}
