//! `larder ls`

use std::cmp::Ordering;

use clap_complete::ArgValueCompleter;
use serde_json::json;

use super::remote::Remote;
use super::table::{Column, Table, TableArgs, moment, size, text};
use super::{CliError, Context, complete, output};
use crate::client::Client;
use crate::domain::ManifestName;
use crate::wire::NameEntry;

/// Arguments of `larder ls`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Lists the names that have an active version, in the order in which people read them: v0.9.0 before v0.10.0.

Examples:
  larder ls
  larder ls --long miren/
  larder ls --json | jq -r '.manifests[].name'"
)]
pub struct Args {
    /// Only names that begin with this
    #[arg(value_name = "PREFIX", default_value = "", add = ArgValueCompleter::new(complete::names))]
    prefix: String,

    /// A table with version, files, size, time and label
    #[arg(short, long)]
    long: bool,

    #[command(flatten)]
    remote: Remote,

    #[command(flatten)]
    table: TableArgs,
}

impl Args {
    /// The server and the names that the command is about, first the one that it changes.
    pub(super) fn subject(&self) -> (&Remote, Vec<&ManifestName>) {
        (&self.remote, vec![])
    }
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let names = all(&args.remote.client()?, &args.prefix).await?;
    if context.json {
        output::json(&json!({ "manifests": names }))
    } else if args.long {
        output::line(table(&names).fitted(args.table.width()))
    } else {
        names.iter().try_for_each(|entry| output::line(&entry.name))
    }
}

async fn all(client: &Client, prefix: &str) -> Result<Vec<NameEntry>, CliError> {
    let mut names: Vec<NameEntry> = Vec::new();
    let mut after = None;
    loop {
        let page = client.names(prefix, after.as_deref()).await?;
        // A server that keeps repeating the same page must not cause an endless loop.
        let moved = page.next.is_some() && page.next != after;
        names.extend(page.manifests);
        if !moved {
            names.sort_by(|one, other| reading_order(one.name.as_str(), other.name.as_str()));
            return Ok(names);
        }
        after = page.next;
    }
}

/// The order in which people read names: segment by segment, numbers by their value, so that `v0.9.0` comes before
/// `v0.10.0`. The server lists names in the order of its keys.
fn reading_order(one: &str, other: &str) -> Ordering {
    one.split('/').map(runs).cmp(other.split('/').map(runs)).then_with(|| one.cmp(other))
}

/// A segment as runs of other characters, each followed by a number if there is one: its length without leading zeros,
/// then its digits.
fn runs(segment: &str) -> Vec<(&str, usize, &str)> {
    let mut runs = Vec::new();
    let mut rest = segment;
    while !rest.is_empty() {
        let begin = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let (text, tail) = rest.split_at(begin);
        let end = tail.find(|c: char| !c.is_ascii_digit()).unwrap_or(tail.len());
        let digits = tail[..end].trim_start_matches('0');
        runs.push((text, digits.len(), digits));
        rest = &tail[end..];
    }
    runs
}

fn table(names: &[NameEntry]) -> Table {
    let mut table = Table::new(&[
        Column::whole("NAME"),
        Column::number("VERSION").optional(1),
        Column::number("FILES").optional(4),
        Column::number("SIZE").optional(2),
        Column::time("SINCE (UTC)"),
        Column::text("LABEL", 12),
        Column::digest("MANIFEST").optional(3),
    ]);
    for entry in names {
        table.add([
            entry.name.to_string(),
            entry.version.to_string(),
            entry.files.to_string(),
            size(entry.total_bytes),
            moment(entry.promoted_at),
            text(entry.label.as_deref()),
            entry.manifest.to_string(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_as_they_are_read() {
        let sorted =
            ["a", "a/b", "a/c", "a-b", "a2", "a10", "a10/x", "B", "v0.9.0", "v0.9.0-rc.1", "v0.10.0", "v00.10.0", "v1"];
        let mut names = sorted;
        names.reverse();
        names.sort_by(|one, other| reading_order(one, other));
        assert_eq!(names.len(), sorted.len());
        let at = |name| names.iter().position(|one| *one == name).unwrap();
        for (before, after) in
            [("a", "a/b"), ("a/c", "a-b"), ("a2", "a10"), ("a10", "a10/x"), ("v0.9.0", "v0.10.0"), ("v0.10.0", "v1")]
        {
            assert!(at(before) < at(after), "{before} before {after}: {names:?}");
        }
    }
}
