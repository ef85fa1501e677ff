//! `larder sessions`

use clap_complete::ArgValueCompleter;
use serde_json::json;

use super::remote::Remote;
use super::table::{Column, Table, TableArgs, moment, size, text};
use super::{CliError, Context, Exit, complete, output};
use crate::client::Client;
use crate::domain::{ManifestName, Selector, Target};
use crate::wire::{OpenSession, SessionParts};

/// Arguments of `larder sessions`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A publish that was killed leaves its session open: its blobs are kept until the session is given up, or expires \
by the policy `prepared_for`. Publishing the same files again takes it up. A release of several parts is listed here, \
too, until the last part has come.

Examples:
  larder sessions miren/main
  larder sessions miren/main --abandon v1.4.0
  larder sessions miren/main@7 --abort"
)]
pub struct Args {
    /// NAME lists its open sessions; NAME@NUMBER is one of them
    #[arg(value_name = "NAME[@NUMBER]", add = ArgValueCompleter::new(complete::names))]
    target: Target,

    /// Give this session up
    #[arg(long)]
    abort: bool,

    /// Give up the session with this label or number, and all parts that were sent
    #[arg(long, value_name = "LABEL|NUMBER", conflicts_with = "abort")]
    abandon: Option<String>,

    #[command(flatten)]
    remote: Remote,

    #[command(flatten)]
    table: TableArgs,
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
    if let Some(which) = &args.abandon {
        let open = client.sessions(name).await?;
        return give_up(&client, name, find(name, &open.sessions, which)?, context).await;
    }
    match (&target.selector, args.abort) {
        (Selector::Number(version), true) => give_up(&client, name, *version, context).await,
        (_, true) => Err(CliError::usage(format!(
            "Say which session to give up, such as {name}@7; `larder sessions {name}` lists them."
        ))),
        (selector, false) => {
            let mut open = client.sessions(name).await?;
            if let Selector::Number(version) = selector {
                open.sessions.retain(|session| session.version == *version);
            }
            if context.json {
                output::json(&open)
            } else {
                if open.sessions.is_empty() {
                    output::note(format_args!("no publish of {} is unfinished", args.target));
                }
                output::line(table(&open.sessions).fitted(args.table.width()))
            }
        }
    }
}

async fn give_up(client: &Client, name: &ManifestName, version: u64, context: &Context) -> Result<(), CliError> {
    client.abort_version(name, version).await?;
    if context.json {
        return output::json(&json!({ "name": name, "version": version, "aborted": true }));
    }
    output::line(format_args!("{name}@{version} given up"))
}

/// The session with this label, else with this number.
fn find(name: &ManifestName, open: &[OpenSession], which: &str) -> Result<u64, CliError> {
    let labelled: Vec<u64> =
        open.iter().filter(|one| one.label.as_deref() == Some(which)).map(|one| one.version).collect();
    match labelled[..] {
        [version] => return Ok(version),
        [] => {}
        _ => {
            let numbers: Vec<_> = labelled.iter().map(u64::to_string).collect();
            let detail = format!("Several sessions of {name} have this label; say which: {}.", numbers.join(", "));
            return Err(CliError::usage(detail));
        }
    }
    let numbered = open.iter().map(|one| one.version).find(|version| version.to_string() == which);
    numbered.ok_or_else(|| {
        let detail = format!(
            "{name} has no open session {}. `larder sessions {name}` lists those there are.",
            text(Some(which))
        );
        CliError::new(Exit::NotFound, "VERSION_UNKNOWN", detail)
    })
}

/// The label, and what the release waits for: `v1.4.0 (2 of 3 parts, waiting for windows)`.
fn label(session: &OpenSession) -> String {
    let shown = text(session.label.as_deref());
    let Some(SessionParts { done, waiting }) = &session.parts else { return shown };
    let all = done.len() + waiting.len();
    match &waiting[..] {
        [] => format!("{shown} (all parts)"),
        _ => format!("{shown} ({} of {all} parts, waiting for {})", done.len(), text(Some(&waiting.join(", ")))),
    }
}

fn table(sessions: &[OpenSession]) -> Table {
    let mut table = Table::new(&[
        Column::number("VERSION"),
        Column::time("BEGUN (UTC)"),
        Column::number("FILES").optional(2),
        Column::number("SIZE").optional(1),
        Column::text("BY", 12),
        Column::text("LABEL", 40),
    ]);
    for session in sessions {
        table.add([
            session.version.to_string(),
            moment(Some(session.prepared_at)),
            session.files.to_string(),
            size(session.total_bytes),
            text(Some(&session.created_by.to_string())),
            label(session),
        ]);
    }
    table
}
