//! `larder completions`

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::{Cli, CliError, output};

/// Arguments of `larder completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  larder completions bash > ~/.local/share/bash-completion/completions/larder")]
pub struct Args {
    /// The shell to write a script for
    shell: Shell,
}

pub(super) fn run(args: &Args) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "larder", &mut script);
    output::bytes(&script)
}
