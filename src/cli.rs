//! The command line: one module per command, each with its `Args` and its `run`.
//!
//! Owns the text that people read and the exit codes that scripts read. Data goes to stdout, everything else to stderr.
//! Must never talk HTTP itself: that is [`crate::client`].

mod advice;
mod attach;
mod attachments;
mod auth;
mod catalog;
mod check_config;
mod check_store;
mod collect;
mod complete;
mod complete_release;
mod copy;
mod copy_store;
mod delete;
mod diff;
mod error;
mod expect;
mod fetch;
mod floor;
mod get;
mod healthcheck;
mod help;
mod history;
mod identity;
mod import;
mod kept;
mod key;
mod listed;
mod logging;
mod ls;
mod man;
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
mod sign;
mod signals;
mod signing;
mod site;
mod sources;
mod sums;
mod table;
mod token;
mod trust;
mod usage;
mod values;
mod verify;
mod versions;
mod yank;

use clap::{Parser, Subcommand};

use advice::Subject;

pub use complete::answer_shell;
pub use error::{CliError, Exit};
pub use usage::refuse;

/// Global options, passed to every command beside its own arguments.
#[derive(Debug, Clone)]
pub struct Context {
    /// Print one JSON document instead of text.
    pub json: bool,
    /// Write nothing but errors to stderr.
    pub quiet: bool,
    /// Tell each request.
    pub verbose: bool,
    /// What is given back when the command has ended.
    identity: identity::Held,
}

/// Publish releases: content-addressed blobs, atomically swapped manifests, plain URLs.
#[derive(Debug, Parser)]
#[command(
    name = "larder",
    version,
    long_version = help::version(),
    help_template = help::template(),
    after_help = help::SHORT,
    after_long_help = help::LONG,
    max_term_width = 80,
    arg_required_else_help = true
)]
pub struct Cli {
    /// Print one JSON document, and errors as JSON on stderr
    #[arg(long, global = true, help_heading = "Output")]
    pub json: bool,

    /// Write nothing but errors to stderr
    #[arg(short, long, global = true, help_heading = "Output")]
    pub quiet: bool,

    /// Tell each request, how long it took, and what is tried again
    #[arg(short, long, global = true, help_heading = "Output", conflicts_with = "quiet")]
    pub verbose: bool,

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
    /// Retire old versions, and delete what none needs
    Collect(collect::Args),
    /// Copy a whole store into another directory or bucket
    CopyStore(copy_store::Args),
    /// Bring a store to the layout of this version
    Migrate(migrate::Args),
    /// Print the configuration, or what is wrong with it
    CheckConfig(check_config::Args),
    /// Try out whether a store keeps what Larder relies on
    CheckStore(check_store::Args),
    /// Write and explain rules for jobs that publish without a secret
    Auth(auth::Args),
    /// Publish files as a new version of a name
    Publish(Box<publish::Args>),
    /// Import releases that were published elsewhere
    Import(import::Args),
    /// Download the files of a version, verified and resumable
    Fetch(Box<fetch::Args>),
    /// Write a manifest or one file to stdout, verified
    Get(get::Args),
    /// Write the digests of a version's files for `sha256sum -c`
    Sums(sums::Args),
    /// List names
    Ls(ls::Args),
    /// List the versions of a name, or show one
    Versions(versions::Args),
    /// Show who changed a name, when, how and why
    History(history::Args),
    /// Compare two versions, file by file
    Diff(diff::Args),
    /// Complete a release whose parts came from several jobs
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
    /// Make a key to sign releases with, or show one
    Key(key::Args),
    /// Sign a version
    Sign(sign::Args),
    /// Attach a signature or another statement to a version
    Attach(attach::Args),
    /// List what is attached to a version, or save it
    Attachments(attachments::Args),
    /// Publish a version under another name, without moving bytes
    Copy(copy::Args),
    /// Found, extend, show and verify signed lists of releases
    Catalog(catalog::Args),
    /// Delete a name, or retire one version
    Delete(delete::Args),
    /// Attach hosts to releases that are sites, and preview them
    Site(site::Args),
    /// Ask whether a server is ready
    Healthcheck(healthcheck::Args),
    /// Print a completion script for a shell
    Completions(complete::Args),
    /// Write manual pages
    Man(man::Args),
}

impl Cli {
    /// Runs the command.
    ///
    /// # Errors
    /// The failure, with its exit code.
    pub async fn run(self) -> Result<(), CliError> {
        let Self { json, quiet, verbose, .. } = self;
        let context = Context { json, quiet, verbose, identity: identity::Held::default() };
        if quiet {
            output::be_quiet();
        }
        if !matches!(self.command, Command::Serve(_)) {
            logging::init(&context)?;
        }
        let subject = self.command.subject();
        let result = Box::pin(self.command.run(&context)).await;
        context.identity.give_back().await;
        match (result, subject) {
            (Err(error), Some(subject)) => Err(subject.advise(error, &context).await),
            (result, _) => result,
        }
    }
}

impl Command {
    /// What the command is about, for commands that talk to a server.
    fn subject(&self) -> Option<Subject> {
        Some(match self {
            Self::Publish(args) => Subject::new(args.subject()),
            Self::Fetch(args) => Subject::new(args.subject()),
            Self::Get(args) => Subject::new(args.subject()),
            Self::Ls(args) => Subject::new(args.subject()),
            Self::Versions(args) => Subject::new(args.subject()),
            Self::Diff(args) => Subject::new(args.subject()),
            Self::Sums(args) => Subject::new(args.subject()),
            Self::History(args) => Subject::new(args.subject()),
            Self::Complete(args) => Subject::new(args.subject()),
            Self::Sessions(args) => Subject::new(args.subject()),
            Self::Promote(args) => Subject::new(args.subject()),
            Self::Rollback(args) => Subject::new(args.subject()),
            Self::Pin(args) => Subject::new(args.subject()),
            Self::Yank(args) => Subject::new(args.subject()),
            Self::Unyank(args) => Subject::new(args.subject()),
            Self::Floor(args) => Subject::new(args.subject()),
            Self::Sign(args) => Subject::new(args.subject()),
            Self::Attach(args) => Subject::new(args.subject()),
            Self::Attachments(args) => Subject::new(args.subject()),
            Self::Copy(args) => Subject::new(args.subject()),
            Self::Catalog(args) => {
                let (remote, names) = args.subject()?;
                Subject::new((remote, names.iter().collect()))
            }
            Self::Delete(args) => Subject::new(args.subject()),
            Self::Site(args) => Subject::new(args.subject()),
            _ => return None,
        })
    }

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
            Self::Publish(args) => publish::run(*args, context).await,
            Self::Import(args) => import::run(args, context).await,
            Self::Fetch(args) => fetch::run(*args, context).await,
            Self::Get(args) => get::run(args, context).await,
            Self::Sums(args) => sums::run(args, context).await,
            Self::Ls(args) => ls::run(args, context).await,
            Self::Versions(args) => versions::run(args, context).await,
            Self::History(args) => history::run(args, context).await,
            Self::Complete(args) => complete_release::run(args, context).await,
            Self::Diff(args) => diff::run(args, context).await,
            Self::Sessions(args) => sessions::run(args, context).await,
            Self::Promote(args) => promote::run(args, context).await,
            Self::Rollback(args) => rollback::run(args, context).await,
            Self::Pin(args) => pin::run(args, context).await,
            Self::Yank(args) => yank::run(args, context).await,
            Self::Unyank(args) => yank::undo(args, context).await,
            Self::Floor(args) => floor::run(args, context).await,
            Self::Key(args) => key::run(args, context).await,
            Self::Sign(args) => sign::run(args, context).await,
            Self::Attach(args) => attach::run(args, context).await,
            Self::Attachments(args) => attachments::run(args, context).await,
            Self::Copy(args) => copy::run(args, context).await,
            Self::Catalog(args) => Box::pin(catalog::run(args, context)).await,
            Self::Delete(args) => delete::run(args, context).await,
            Self::Site(args) => site::run(args, context).await,
            Self::Healthcheck(args) => healthcheck::run(args, context).await,
            Self::Completions(args) => complete::run(&args, context),
            Self::Man(args) => man::run(&args, context),
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
    fn every_command_is_in_one_group() {
        let mut grouped: Vec<_> = help::GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        let command = Cli::command();
        let mut commands: Vec<_> = command.get_subcommands().map(clap::Command::get_name).collect();
        grouped.sort_unstable();
        commands.sort_unstable();
        assert_eq!(grouped, commands);
    }

    #[test]
    fn no_flag_takes_a_token() {
        for command in Cli::command().get_subcommands() {
            assert!(command.get_arguments().all(|arg| arg.get_long() != Some("token")), "{}", command.get_name());
        }
    }
}
