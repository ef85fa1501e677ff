//! `larder completions`

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::{Cli, CliError, Context, output};

/// Arguments of `larder completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  larder completions bash > ~/.local/share/bash-completion/completions/larder")]
pub struct Args {
    /// The shell to write a script for
    shell: Shell,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), CliError> {
    if context.json {
        return Err(CliError::usage("A completion script is no JSON document; leave out --json."));
    }
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "larder", &mut script);
    output::bytes(&script)
}
