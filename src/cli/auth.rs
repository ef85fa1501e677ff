//! `larder auth`: rules for identity tokens.

mod explain;
mod rule;

use clap::Subcommand;

use super::{CliError, Context};

/// Arguments of `larder auth`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Jobs that have an identity (GitHub Actions, GitLab, Buildkite and others) publish without a secret. These \
commands help to write the rules for them; docs/keyless.md explains the whole.

Examples:
  larder auth rule github mirendev/runtime >> /etc/larder.toml
  larder auth rule github mirendev/runtime --names 'miren/{ref_name}'
  larder auth explain --token-stdin --config /etc/larder.toml < token"
)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say what the rules of a configuration make of an identity token, without using it up
    Explain(explain::Args),
    /// Print a rule for a repository, with the ids that its name stands for
    Rule(rule::Args),
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    match args.command {
        Command::Explain(args) => explain::run(args, context).await,
        Command::Rule(args) => rule::run(args, context).await,
    }
}
