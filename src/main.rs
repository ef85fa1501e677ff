//! The `larder` binary: server, client and tools in one.

use std::process::ExitCode;

use clap::Parser as _;
use larder::cli::{Cli, CliError};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
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

/// Exits with the error in the arguments, or with the help text they request.
fn refuse(error: &clap::Error) -> ExitCode {
    // Parsing failed, so `--json` can only be detected in the raw arguments.
    let json = std::env::args_os().any(|argument| argument == "--json");
    let text = error.render().to_string();
    if !error.use_stderr() || !(json || CliError::needs_escaping(&text)) {
        error.exit();
    }
    let paragraph = text.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ");
    CliError::usage(paragraph.split_whitespace().collect::<Vec<_>>().join(" ")).report(json)
}
