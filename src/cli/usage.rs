//! Errors in the arguments.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Command, CommandFactory as _};

use super::{Cli, CliError, Exit};
use crate::domain::text::Escaped;

/// What the library says at the end of its errors.
const GENERAL_ADVICE: &str = "For more information, try '--help'.";

/// Reports that these arguments could not be parsed, or prints the help text that they request.
#[must_use]
pub fn refuse(error: &clap::Error, arguments: &[String]) -> ExitCode {
    if !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        error.exit();
    }
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    // Parsing failed, so `--json` can only be detected in the raw arguments.
    if arguments.iter().any(|argument| argument == "--json") {
        let paragraph = text.split("\n\n").next().unwrap_or_default();
        let words: Vec<_> = paragraph.split_whitespace().collect();
        return CliError::usage(words.join(" ")).report(true);
    }
    let advice = format!("`{} --help` shows how it is used, with examples.", command(arguments));
    let text = text.trim_end().replace(GENERAL_ADVICE, &advice);
    // If stderr is closed, only the exit code remains.
    let _ = writeln!(io::stderr(), "larder: error: {}", Escaped::lines(&text));
    ExitCode::from(Exit::Usage as u8)
}

/// The command that the arguments begin with, such as `larder import flat`.
fn command(arguments: &[String]) -> String {
    let mut command: &Command = &Cli::command();
    let mut path = command.get_name().to_owned();
    for word in arguments.iter().filter(|word| !word.starts_with('-')) {
        let Some(next) = command.find_subcommand(word) else { break };
        command = next;
        path = format!("{path} {word}");
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_found_among_the_arguments() {
        let found = |line: &str| command(&line.split(' ').map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(found("--json import flat --help"), "larder import flat");
        assert_eq!(found("fetch import"), "larder fetch");
        assert_eq!(found("frobnicate"), "larder");
    }
}
