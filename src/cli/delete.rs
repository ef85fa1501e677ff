//! `larder delete`

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use clap_complete::ArgValueCompleter;

use super::expect::ExpectArgs;
use super::remote::Remote;
use super::{CliError, Context, Exit, complete, output, table};
use crate::client::Client;
use crate::domain::{ManifestName, State, Target};
use crate::wire::Row;

/// Arguments of `larder delete`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Deleting a name ends all its versions. Deleting NAME@SELECTOR retires that one version, unless it is active or \
pinned. --expect is only for a whole name.

Examples:
  larder delete miren/pr-123
  larder delete miren/main@17 --reason 'broken build'
  larder delete miren/pr-123 --yes --expect any"
)]
pub struct Args {
    /// The name, or one of its versions
    #[arg(value_name = "NAME[@SELECTOR]", add = ArgValueCompleter::new(complete::names))]
    target: Target,

    /// Why, for those who ask for it later
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,

    /// Do not ask
    #[arg(short, long)]
    yes: bool,

    #[command(flatten)]
    expect: ExpectArgs,

    #[command(flatten)]
    remote: Remote,
}

impl Args {
    /// The server and the names that the command is about, first the one that it changes.
    pub(super) fn subject(&self) -> (&Remote, Vec<&ManifestName>) {
        (&self.remote, vec![&self.target.name])
    }
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    if !args.yes && (args.remote.reads_stdin() || !io::stdin().is_terminal()) {
        return Err(CliError::usage(
            "There is no terminal to ask for confirmation; add --yes to delete without asking.",
        ));
    }
    if args.target.explicit && args.expect.get().is_stated() {
        return Err(CliError::usage("--expect is about a whole name; leave it out to retire one version."));
    }
    let client = args.remote.writer(context).await?;
    if args.target.explicit { retire(&args, &client, context).await } else { delete(&args, &client, context).await }
}

async fn retire(args: &Args, client: &Client, context: &Context) -> Result<(), CliError> {
    let name = &args.target.name;
    // Resolved once: the version retired must be the one confirmed, even if `previous` changes in between.
    let row = client.row(&args.target).await?;
    confirm(args, &describe(args, &row))?;
    let retired = client.retire(name, row.number, args.reason.as_deref()).await.map_err(CliError::from);
    let row = retired.map_err(|error| {
        if error.is("VERSION_STATE") && row.state == State::Active {
            let detail =
                format!("{name}@{} is active: promote another version first, or delete the whole name.", row.number);
            return error.with_detail(detail);
        }
        error
    })?;
    if context.json { output::json(&row) } else { output::line(format_args!("{name}@{} retired", row.number)) }
}

async fn delete(args: &Args, client: &Client, context: &Context) -> Result<(), CliError> {
    let name = &args.target.name;
    confirm(args, &format!("Delete {name} with all its versions?"))?;
    let deleted = client.delete_name(name, args.reason.as_deref(), &args.expect.get()).await?;
    if context.json { output::json(&deleted) } else { output::line(format_args!("{name} deleted")) }
}

fn describe(args: &Args, row: &Row) -> String {
    let label = row.label.as_deref().map(|label| format!(" ({})", table::text(Some(label)))).unwrap_or_default();
    format!("Retire {}@{}{label}?", args.target.name, row.number)
}

fn confirm(args: &Args, question: &str) -> Result<(), CliError> {
    if args.yes {
        return Ok(());
    }
    let mut answer = String::new();
    write!(io::stderr(), "{question} [y/N] ")
        .and_then(|()| io::stdin().lock().read_line(&mut answer))
        .map_err(|error| CliError::io("ask for confirmation", &error))?;
    if matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
        return Ok(());
    }
    Err(CliError::new(Exit::Failure, "DECLINED", "Nothing was deleted."))
}
