//! `larder history`

use std::num::NonZeroUsize;

use clap_complete::ArgValueCompleter;

use super::remote::Remote;
use super::table::{Column, Table, TableArgs, moment, text};
use super::{CliError, Context, complete, output, values};
use crate::client::{ChangesQuery, Client};
use crate::domain::{Action, ManifestName, Target};
use crate::wire::{ChangeEntry, Changes, limits};

/// Arguments of `larder history`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The history stays when versions are retired and names deleted. --wide adds generations, and what the issuer of \
an identity token says of its bearer.

Examples:
  larder history miren/main
  larder history miren/main@17 --wide
  larder history miren/main --all --json"
)]
pub struct Args {
    /// The name; NAME@SELECTOR shows only what concerns that version
    #[arg(value_name = "NAME[@SELECTOR]", add = ArgValueCompleter::new(complete::names))]
    target: Target,

    /// Show at most this many changes
    #[arg(long, value_name = "N", default_value = "20", value_parser = values::positive)]
    limit: NonZeroUsize,

    /// Show all changes, also the steps of publishes
    #[arg(long, conflicts_with = "limit")]
    all: bool,

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
    let client = args.remote.client()?;
    let limit = if args.all { usize::MAX } else { args.limit.get() };
    let history = collect(&client, &args.target, limit, args.all).await?;
    if context.json {
        return output::json(&history);
    }
    output::line(table(&history.changes, args.table.width()))?;
    if history.changes.is_empty() {
        output::note(format_args!("no change of {} is recorded", args.target));
    }
    if history.next.is_some() {
        output::note("there are older changes; use --all or --limit N to see them");
    }
    Ok(())
}

async fn collect(client: &Client, target: &Target, limit: usize, all: bool) -> Result<Changes, CliError> {
    let query = |before, wanted: usize| ChangesQuery { before, limit: wanted.min(limits::MAX_CHANGES), all };
    let mut history = client.changes(target, query(None, limit)).await?;
    while let Some(before) = history.next
        && history.changes.len() < limit
    {
        let page = client.changes(target, query(Some(before), limit - history.changes.len())).await?;
        // A server that keeps repeating the same page must not cause an endless loop.
        history.next = page.next.filter(|next| *next < before);
        history.changes.extend(page.changes);
    }
    Ok(history)
}

/// The changes, a row each. Where width is limited, generations and claims are left out, which few look for.
fn table(changes: &[ChangeEntry], width: Option<usize>) -> String {
    let (when, who, what) = (Column::time("WHEN (UTC)"), Column::text("WHO", 12), Column::text("WHAT", 20));
    if width.is_some() {
        let mut table = Table::new(&[when, who, what]);
        for change in changes {
            table.add([moment(Some(change.at)), text(Some(change.by.as_str())), sentence(change)]);
        }
        return table.fitted(width);
    }
    let mut table = Table::new(&[Column::number("GENERATION"), when, who, what, Column::whole("CLAIMS")]);
    for change in changes {
        let claims: Vec<String> = change.claims.iter().map(|claim| text(Some(claim))).collect();
        table.add([
            change.generation.to_string(),
            moment(Some(change.at)),
            text(Some(change.by.as_str())),
            sentence(change),
            claims.join(" "),
        ]);
    }
    table.fitted(None)
}

/// A change in words, such as `promoted 3 (v1.2), was 5: broken build`.
fn sentence(change: &ChangeEntry) -> String {
    let version = change.version.map(|number| format!(" {number}")).unwrap_or_default();
    let label = change.label.as_deref().map(|label| format!(" ({})", text(Some(label)))).unwrap_or_default();
    let was = match (change.from, change.to) {
        (Some(from), Some(to)) if from != to && change.version == Some(to) => format!(", was {from}"),
        (Some(from), Some(to)) if from != to => format!(", active {to}, was {from}"),
        (Some(from), None) => format!(", was {from}"),
        _ if stages(change) => ", staged".to_owned(),
        _ => String::new(),
    };
    let reason = change.reason.as_deref().map(|reason| format!(": {}", text(Some(reason)))).unwrap_or_default();
    format!("{}{version}{label}{}{was}{reason}", change.action.in_words(), rest(change))
}

/// The other versions of an expiry, or the origin of a copy.
fn rest(change: &ChangeEntry) -> String {
    if !change.versions.is_empty() {
        let numbers: Vec<String> = change.versions.iter().map(u64::to_string).collect();
        return format!(" {}", numbers.join(", "));
    }
    let Some(origin) = &change.origin else { return String::new() };
    let version = origin.version.map(|number| format!("@{number}")).unwrap_or_default();
    match (&origin.url, &origin.name) {
        (Some(url), _) => format!(" from {}", text(Some(url))),
        (None, Some(name)) => format!(" from {}{version}", text(Some(name))),
        (None, None) => String::new(),
    }
}

/// Whether a version became complete without becoming active.
fn stages(change: &ChangeEntry) -> bool {
    matches!(change.action, Action::Publish | Action::Copy) && change.to != change.version
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(action: &str, members: &serde_json::Value) -> ChangeEntry {
        let mut value = serde_json::json!({
            "generation": 7, "at": "2026-05-14T18:20:00.5Z", "action": action, "by": "token:ci", "issuer": "token",
            "id": "ci", "from": null, "to": null,
        });
        let members = members.as_object().unwrap().clone();
        value.as_object_mut().unwrap().extend(members);
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_change_is_one_sentence() {
        use serde_json::json;
        for (action, members, text) in [
            ("publish", json!({"version": 1, "label": "v1", "to": 1}), "published 1 (v1)"),
            ("publish", json!({"version": 2, "from": 1, "to": 1}), "published 2, staged"),
            ("promote", json!({"version": 3, "from": 5, "to": 3, "reason": "slow"}), "promoted 3, was 5: slow"),
            ("rollback", json!({"version": 2, "from": 3, "to": 2}), "rolled back to 2, was 3"),
            ("yank", json!({"version": 3, "from": 3, "to": 2, "reason": "x"}), "yanked 3, active 2, was 3: x"),
            ("yank", json!({"version": 1, "from": 3, "to": 3, "reason": "x"}), "yanked 1: x"),
            ("expire", json!({"versions": [1, 2], "from": 3, "to": 3}), "expired 1, 2"),
            ("delete", json!({"from": 3, "reason": "old"}), "deleted the name, was 3: old"),
            ("copy", json!({"version": 1, "to": 1, "origin": {"name": "a", "version": 4}}), "copied 1 from a@4"),
            ("quarantine", json!({"version": 1, "from": 1, "to": 1}), "changed 1"),
        ] {
            assert_eq!(sentence(&change(action, &members)), text);
        }
    }

    #[test]
    fn a_narrow_table_fits_80_columns_and_hides_nothing() {
        let reason = "long \u{202e}reason ".repeat(20);
        let id = "s".repeat(200);
        let members = serde_json::json!({"version": 12, "reason": reason, "by": format!("github:{id}")});
        let entries = [change("retire", &members)];
        let shown = table(&entries, Some(80));
        assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
        assert!(shown.contains("2026-05-14 18:20  github:ssss") && shown.contains("\\u{202e}"), "{shown}");
        let shown = table(&entries, None);
        assert!(shown.contains(&id) && shown.contains(" 7  2026-05-14T18:20:00Z"), "{shown}");
    }
}
