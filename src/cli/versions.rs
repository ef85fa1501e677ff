//! `larder versions`

mod holders;

use std::num::NonZeroUsize;
use std::str::FromStr;

use clap_complete::ArgValueCompleter;
use jiff::Timestamp;

use super::remote::Remote;
use super::table::{self, Column, Table, TableArgs, moment, size, text};
use super::{CliError, Context, complete, output, values};
use crate::client::Client;
use crate::domain::manifest::Kind;
use crate::domain::{Digest, DigestError, ManifestName, SelectorError, Subject, Target};
use crate::wire::{History, Pin, Row, Yank};

/// Maximum number of rows per request.
const PAGE: usize = 500;

/// Arguments of `larder versions`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "NAME lists its versions, newest first; NAME@SELECTOR shows all that is known of one. BY is who published a version, \
followed by who last made it active if that was somebody else.

Examples:
  larder versions miren/main
  larder versions miren/main --all --wide
  larder versions miren/main@2026-05-14T18:20:00Z --json"
)]
pub struct Args {
    /// NAME lists its versions, newest first; NAME@SELECTOR shows all about one; `sha256:HEX` lists those of all names that
    /// hold this manifest
    #[arg(value_name = "NAME[@SELECTOR]", add = ArgValueCompleter::new(complete::names))]
    target: Wanted,

    /// Show at most this many
    #[arg(long, value_name = "N", default_value = "20", value_parser = values::positive)]
    limit: NonZeroUsize,

    /// Show all
    #[arg(long, conflicts_with = "limit")]
    all: bool,

    #[command(flatten)]
    remote: Remote,

    #[command(flatten)]
    table: TableArgs,
}

/// What to list the versions of.
#[derive(Debug, Clone)]
enum Wanted {
    /// A name, or one version of it.
    Target(Target),
    /// A manifest, whatever names hold it.
    Manifest(Digest),
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // Names have no colon.
        if text.starts_with("sha256:") {
            return text.parse().map(Self::Manifest).map_err(|error: DigestError| error.to_string());
        }
        text.parse().map(Self::Target).map_err(|error: SelectorError| error.to_string())
    }
}

impl Args {
    /// The server and the names that the command is about, first the one that it changes.
    pub(super) fn subject(&self) -> (&Remote, Vec<&ManifestName>) {
        let names = match &self.target {
            Wanted::Target(target) => vec![&target.name],
            Wanted::Manifest(_) => Vec::new(),
        };
        (&self.remote, names)
    }
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let client = args.remote.client()?;
    let limit = if args.all { usize::MAX } else { args.limit.get() };
    let target = match &args.target {
        Wanted::Manifest(digest) => return holders::list(&client, *digest, limit, args.table, context).await,
        Wanted::Target(target) => target,
    };
    if target.explicit {
        let row = client.row(target).await?;
        return if context.json { output::json(&row) } else { output::line(describe(&target.name, &row)) };
    }
    let name = &target.name;
    let history = collect(&client, name, limit).await?;
    if context.json {
        return output::json(&history);
    }
    output::line(table(&history.versions).fitted(args.table.width()))?;
    if history.active.is_none() {
        output::note(format_args!("no version of {name} is active, so readers find nothing"));
    }
    if history.next.is_some() {
        output::note("there are older versions; use --all or --limit N to see them");
    }
    Ok(())
}

async fn collect(client: &Client, name: &ManifestName, limit: usize) -> Result<History, CliError> {
    let mut history = client.history(name, None, limit.min(PAGE)).await?;
    while let Some(before) = history.next
        && history.versions.len() < limit
    {
        let wanted = (limit - history.versions.len()).min(PAGE);
        let page = client.history(name, Some(before), wanted).await?;
        // A server that keeps repeating the same page must not cause an endless loop.
        history.next = page.next.filter(|next| *next < before);
        history.versions.extend(page.versions);
    }
    Ok(history)
}

fn table<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Table {
    let mut table = Table::new(&[
        Column::number("VERSION"),
        Column::whole("STATE"),
        Column::number("FILES").optional(3),
        Column::number("SIZE").optional(1),
        Column::time("PUBLISHED (UTC)"),
        Column::text("BY", 12),
        Column::text("LABEL", 12),
        Column::digest("MANIFEST").optional(2),
    ]);
    for row in rows {
        table.add([
            row.number.to_string(),
            state(row),
            row.artifact_manifest.files.to_string(),
            size(row.artifact_manifest.total_bytes),
            moment(row.published_at),
            by(row),
            text(row.label.as_deref()),
            row.manifest.to_string(),
        ]);
    }
    table
}

/// The state of a version, and whether it is pinned or yanked.
fn state(row: &Row) -> String {
    let also = |is: bool, word: &'static str| if is { word } else { "" };
    format!("{}{}{}", row.state, also(row.pinned, " pinned"), also(row.yanked.is_some(), " yanked"))
}

/// Who published a version, and who made it active if that was somebody else.
fn by(row: &Row) -> String {
    let other = row.promoted_by.as_ref().filter(|promoted_by| **promoted_by != row.created_by);
    let other = other.map(|promoted_by| format!(", {promoted_by}")).unwrap_or_default();
    text(Some(&format!("{}{other}", row.created_by)))
}

/// All that is known of a version, a line each.
fn describe(name: &ManifestName, row: &Row) -> String {
    let summary = &row.artifact_manifest;
    let when = |time| Some(moment(Some(time)));
    let facts = [
        ("state", Some(state(row))),
        ("label", row.label.as_deref().map(|label| text(Some(label)))),
        ("kind", Some(text(Some(row.kind.as_str())))),
        ("files", Some(table::files(usize::try_from(summary.files).unwrap_or(usize::MAX)))),
        ("size", Some(size(summary.total_bytes))),
        (
            if row.kind == Kind::Dynamic { "server" } else { "start page" },
            summary.entrypoint.as_deref().map(|file| text(Some(file))),
        ),
        ("begun", when(row.prepared_at)),
        ("published", row.published_at.and_then(when)),
        ("by", Some(text(Some(&row.created_by.to_string())))),
        ("active", row.promoted_at.map(|at| event(at, row.promoted_by.as_ref(), times(row.activations)))),
        ("until", row.archived_at.and_then(when)),
        ("yanked", row.yanked.as_ref().map(|yank| yanked(name, yank))),
        ("retired", row.retired_at.map(|at| event(at, row.retired_by.as_ref(), None))),
        ("because", row.retired_because.as_deref().map(|why| text(Some(why)))),
        ("from", row.from.as_ref().and_then(|from| from.url.as_deref()).map(|url| text(Some(url)))),
        ("source", row.source_sha256.map(|digest| digest.to_string())),
    ];
    let mut lines = vec![format!("{name}@{} {}", row.number, row.manifest)];
    lines.extend(facts.into_iter().filter_map(|(fact, value)| Some(format!("  {fact:<10}  {}", value?))));
    lines.extend(row.pins.iter().map(|pin| format!("  {:<10}  {}", "pin", pinned(pin))));
    lines.extend(row.claims.iter().map(|claim| format!("  {:<10}  {}", "claim", text(Some(claim)))));
    lines.join("\n")
}

/// `2026-05-14T18:20:00Z by token:ci (2 times)`
fn event(at: Timestamp, by: Option<&Subject>, remark: Option<String>) -> String {
    let by = by.map(|by| format!(" by {}", text(Some(&by.to_string())))).unwrap_or_default();
    let remark = remark.map(|remark| format!(" ({remark})")).unwrap_or_default();
    format!("{}{by}{remark}", moment(Some(at)))
}

/// How often a version became active, if that was more than once.
fn times(activations: u64) -> Option<String> {
    (activations > 1).then(|| format!("{activations} times in all"))
}

fn yanked(name: &ManifestName, yank: &Yank) -> String {
    let instead = yank.instead.map(|number| format!("; use {name}@{number} instead")).unwrap_or_default();
    format!("{}: {}{instead}", event(yank.at, Some(&yank.by), None), text(Some(&yank.reason)))
}

/// `2026-05-14T18:20:00Z by token:ci: REASON`, and what placed the pin if that was no person.
fn pinned(pin: &Pin) -> String {
    let owner = (pin.owner != "user").then(|| text(Some(&pin.owner)));
    let reason = pin.reason.as_deref().map(|reason| format!(": {}", text(Some(reason)))).unwrap_or_default();
    format!("{}{reason}", event(pin.at, Some(&pin.by), owner))
}
