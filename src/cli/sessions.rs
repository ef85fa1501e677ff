//! `larder sessions`

use clap_complete::ArgValueCompleter;
use serde_json::json;

use super::remote::Remote;
use super::table::{Column, Table, TableArgs, moment, size, text};
use super::{CliError, Context, complete, output};
use crate::domain::{ManifestName, Selector, Target};
use crate::wire::OpenSession;

/// Arguments of `larder sessions`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A publish that was killed leaves its session open: its blobs are kept until the session is given up, or expires \
by the policy `prepared_for`. Publishing the same files again takes it up.

Examples:
  larder sessions miren/main
  larder sessions miren/main@7
  larder sessions miren/main@7 --abort"
)]
pub struct Args {
    /// NAME lists its open sessions; NAME@NUMBER is one of them
    #[arg(value_name = "NAME[@NUMBER]", add = ArgValueCompleter::new(complete::names))]
    target: Target,

    /// Give this session up
    #[arg(long)]
    abort: bool,

    #[command(flatten)]
    table: TableArgs,

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
    let client = args.remote.writer(context).await?;
    let (name, target) = (&args.target.name, &args.target);
    match (target.selector, args.abort) {
        (Selector::Number(version), true) => {
            client.abort_version(name, version).await?;
            if context.json {
                return output::json(&json!({ "name": name, "version": version, "aborted": true }));
            }
            output::line(format_args!("{target} given up"))
        }
        (_, true) => Err(CliError::usage(format!(
            "Say which session to give up, such as {name}@7; `larder sessions {name}` lists them."
        ))),
        (selector, false) => {
            let mut open = client.sessions(name).await?;
            if let Selector::Number(version) = selector {
                open.sessions.retain(|session| session.version == version);
            }
            if context.json {
                output::json(&open)
            } else {
                output::line(table(&open.sessions).fitted(args.table.width()))
            }
        }
    }
}

fn table(sessions: &[OpenSession]) -> Table {
    let mut table = Table::new(&[
        Column::number("VERSION"),
        Column::time("BEGUN (UTC)"),
        Column::number("FILES").optional(1),
        Column::number("SIZE"),
        Column::text("BY", 12),
        Column::text("LABEL", 12),
    ]);
    for session in sessions {
        table.add([
            session.version.to_string(),
            moment(Some(session.prepared_at)),
            session.files.to_string(),
            size(session.total_bytes),
            text(Some(&session.created_by.to_string())),
            text(session.label.as_deref()),
        ]);
    }
    table
}
