//! The `larder` binary: server, client and tools in one.

use std::process::ExitCode;

use clap::Parser as _;
use larder::cli::{Cli, CliError};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let json = cli.json;
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.report(json),
    }
}

fn run(cli: Cli) -> Result<(), CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(anyhow::Error::from)?;
    let result = runtime.block_on(cli.run());
    // An interrupted command must not wait for a hash of a large file that nobody wants any more.
    runtime.shutdown_background();
    result
}
