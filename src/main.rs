//! The `larder` binary: server, client and tools in one.

use std::process::ExitCode;

use clap::Parser as _;
use larder::cli::{self, Cli, CliError};

fn main() -> ExitCode {
    cli::answer_shell();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let arguments = std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned());
            return cli::refuse(&error, &arguments.collect::<Vec<_>>());
        }
    };
    let json = cli.json;
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.report(json),
    }
}

fn run(cli: Cli) -> Result<(), CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(anyhow::Error::from)?;
    let result = runtime.block_on(cli.run());
    // An interrupted command must not wait for the hash of a large file whose result is no longer needed.
    runtime.shutdown_background();
    result
}
