//! The command line: one module per command, each with its `Args` and its `run`.
//!
//! Owns the text that people read and the exit codes that scripts read. Data goes to stdout, everything else to stderr.
//! Must never talk HTTP itself: that is [`crate::client`].

mod auth;
mod check_config;
mod check_store;
mod collect;
mod complete;
mod complete_release;
mod copy;
mod copy_store;
mod delete;
mod error;
mod expect;
mod fetch;
mod floor;
mod get;
mod healthcheck;
mod history;
mod identity;
mod import;
mod logging;
mod ls;
mod migrate;
mod notices;
mod output;
mod peer;
mod pin;
mod platform;
mod progress;
mod promote;
mod publish;
mod remote;
mod rollback;
mod serve;
mod sessions;
mod settings;
mod signals;
mod sums;
mod table;
mod token;
mod verify;
mod versions;
mod yank;

use clap::{Parser, Subcommand};

pub use error::{CliError, Exit};

/// Global options, passed to every command beside its own arguments.
#[derive(Debug, Clone)]
pub struct Context {
    /// Print one JSON document instead of text.
    pub json: bool,
    /// What is given back when the command has ended.
    identity: identity::Held,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  success
  1  failure
  2  wrong usage
  3  not found (never existed, or retired)
  4  token missing, unknown or not allowed to do this
  5  a precondition (--expect) does not hold
  6  bytes do not match their digest
  7  unavailable after all retries; try again later
  8  done in part

Environment:
  LARDER_SERVER      address of the server
  LARDER_TOKEN       bearer token
  LARDER_TOKEN_FILE  file that holds the bearer token
  LARDER_ID_TOKEN    ID token of a CI job, exchanged for a bearer token when none is given; the jobs of
                     GitHub Actions and Buildkite are asked for one
  LARDER_AUDIENCE    audience of that ID token (default: what the server asks for, if it is its address)
  LARDER_LOG         what to log on stderr, such as debug (default: warn)
  NO_COLOR           no colours on stderr";

/// Publish releases: content-addressed blobs, atomically swapped manifests, plain URLs.
#[derive(Debug, Parser)]
#[command(name = "larder", version, after_help = EXIT_CODES, max_term_width = 100, arg_required_else_help = true)]
pub struct Cli {
    /// Print exactly one JSON document on stdout (and errors as JSON on stderr)
    #[arg(long, global = true)]
    pub json: bool,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands. Those of the server come first, those of the client after them.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server
    Serve(serve::Args),
    /// Check that nothing stored is missing or damaged
    Verify(verify::Args),
    /// Retire versions past their retention, and delete what no version needs
    Collect(collect::Args),
    /// Copy a whole store into another directory or bucket
    CopyStore(copy_store::Args),
    /// Bring a store to the layout of this version
    Migrate(migrate::Args),
    /// Print the configuration as it takes effect, or what is wrong with it
    CheckConfig(check_config::Args),
    /// Try out whether a store keeps what Larder relies on
    CheckStore(check_store::Args),
    /// Write and explain the rules by which jobs publish without a secret
    Auth(auth::Args),
    /// Publish files as a new version of a name
    Publish(publish::Args),
    /// Import releases that were published elsewhere
    Import(import::Args),
    /// Download the files of a version, verified and resumable
    Fetch(fetch::Args),
    /// Write a manifest or one file to stdout, verified
    Get(get::Args),
    /// Write the digests of a version's files, as `sha256sum -c` reads them
    Sums(sums::Args),
    /// List names
    Ls(ls::Args),
    /// List the versions of a name, or show one
    Versions(versions::Args),
    /// Show who changed a name, when, how and why
    History(history::Args),
    /// Complete a release whose parts were published by several jobs
    Complete(complete_release::Args),
    /// List the unfinished publishes of a name, or give one up
    Sessions(sessions::Args),
    /// Make a version the active one
    Promote(promote::Args),
    /// Go back to the version that was active before
    Rollback(rollback::Args),
    /// Keep a version whatever the retention says
    Pin(pin::Args),
    /// Warn against a version, without deleting it
    Yank(yank::Args),
    /// Take a warning against a version away
    Unyank(yank::UndoArgs),
    /// State the lowest version that clients should run
    Floor(floor::Args),
    /// Publish a version under another name, without moving bytes
    Copy(copy::Args),
    /// Delete a name, or retire one version
    Delete(delete::Args),
    /// Ask whether a server is ready
    Healthcheck(healthcheck::Args),
    /// Print a completion script for a shell
    Completions(complete::Args),
}

impl Cli {
    /// Runs the command.
    ///
    /// # Errors
    /// The failure, with its exit code.
    pub async fn run(self) -> Result<(), CliError> {
        let context = Context { json: self.json, identity: identity::Held::default() };
        if !matches!(self.command, Command::Serve(_)) {
            logging::init()?;
        }
        let result = Box::pin(self.command.run(&context)).await;
        context.identity.give_back().await;
        result
    }
}

impl Command {
    async fn run(self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::Serve(args) => serve::run(args, context).await,
            Self::Verify(args) => verify::run(args, context).await,
            Self::Collect(args) => collect::run(args, context).await,
            Self::CopyStore(args) => copy_store::run(args, context).await,
            Self::Migrate(args) => migrate::run(args, context).await,
            Self::CheckConfig(args) => check_config::run(&args, context),
            Self::CheckStore(args) => check_store::run(args, context).await,
            Self::Auth(args) => auth::run(args, context).await,
            Self::Publish(args) => publish::run(args, context).await,
            Self::Import(args) => import::run(args, context).await,
            Self::Fetch(args) => fetch::run(args, context).await,
            Self::Get(args) => get::run(args, context).await,
            Self::Sums(args) => sums::run(args, context).await,
            Self::Ls(args) => ls::run(args, context).await,
            Self::Versions(args) => versions::run(args, context).await,
            Self::History(args) => history::run(args, context).await,
            Self::Complete(args) => complete_release::run(args, context).await,
            Self::Sessions(args) => sessions::run(args, context).await,
            Self::Promote(args) => promote::run(args, context).await,
            Self::Rollback(args) => rollback::run(args, context).await,
            Self::Pin(args) => pin::run(args, context).await,
            Self::Yank(args) => yank::run(args, context).await,
            Self::Unyank(args) => yank::undo(args, context).await,
            Self::Floor(args) => floor::run(args, context).await,
            Self::Copy(args) => copy::run(args, context).await,
            Self::Delete(args) => delete::run(args, context).await,
            Self::Healthcheck(args) => healthcheck::run(args, context).await,
            Self::Completions(args) => complete::run(&args, context),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_help_with_an_example() {
        for command in Cli::command().get_subcommands() {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains(&format!("larder {}", command.get_name())), "{}", command.get_name());
        }
    }

    #[test]
    fn no_flag_takes_a_token() {
        for command in Cli::command().get_subcommands() {
            assert!(command.get_arguments().all(|arg| arg.get_long() != Some("token")), "{}", command.get_name());
        }
    }
}
