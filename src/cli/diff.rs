//! `larder diff`

use std::str::FromStr;

use clap_complete::ArgValueCompleter;
use serde_json::json;

use super::fetch::{Release, read_release};
use super::remote::Remote;
use super::table::{Column, Table, TableArgs, cut, files, size, size_change, text};
use super::{CliError, Context, Exit, complete, output};
use crate::domain::manifest::Diff;
use crate::domain::manifest::diff::FileChange;
use crate::domain::{ManifestName, Selector, Target};

/// Arguments of `larder diff`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Compares the manifests; no file is downloaded. The exit code is 0 whether they differ or not; with --exit-code \
it is 8 if they differ.

Examples:
  larder diff miren/main@previous
  larder diff miren/main@16 17
  larder diff miren/main@active miren/candidate --exit-code"
)]
pub struct Args {
    /// The old version
    #[arg(value_name = "NAME[@SELECTOR]", add = ArgValueCompleter::new(complete::names))]
    old: Target,

    /// The new version: as the old one, or @SELECTOR or NUMBER of the same name (default: the active one)
    #[arg(value_name = "NEW", add = ArgValueCompleter::new(complete::names))]
    new: Option<Other>,

    /// Exit with 8 if they differ
    #[arg(long)]
    exit_code: bool,

    #[command(flatten)]
    remote: Remote,

    #[command(flatten)]
    table: TableArgs,
}

/// The second version, whose name may be left out.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Other {
    SameName(Selector),
    Stated(Target),
}

impl FromStr for Other {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let selector = text.strip_prefix('@').or_else(|| text.bytes().all(|b| b.is_ascii_digit()).then_some(text));
        match selector {
            Some(selector) => selector.parse().map(Self::SameName).map_err(|error| error.to_string()),
            None => text.parse().map(Self::Stated).map_err(|error| error.to_string()),
        }
    }
}

impl Args {
    /// The server and the names that the command is about, first the one that it changes.
    pub(super) fn subject(&self) -> (&Remote, Vec<&ManifestName>) {
        let other = match &self.new {
            Some(Other::Stated(target)) => Some(&target.name),
            _ => None,
        };
        (&self.remote, std::iter::once(&self.old.name).chain(other).collect())
    }
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let client = args.remote.client()?;
    let new = match args.new {
        None => Target::active(args.old.name.clone()),
        Some(Other::SameName(selector)) => Target { name: args.old.name.clone(), selector, explicit: true },
        Some(Other::Stated(target)) => target,
    };
    let (before, after) = tokio::try_join!(read_release(&client, &args.old), read_release(&client, &new))?;
    let diff = Diff::between(&before.manifest, &after.manifest);
    if context.json {
        let mut document = serde_json::to_value(&diff).map_err(anyhow::Error::from)?;
        document["old"] = reference(&args.old, &before);
        document["new"] = reference(&new, &after);
        output::json(&document)?;
    } else {
        print(&diff, (&args.old, &before), (&new, &after), args.table.width())?;
    }
    if args.exit_code && !diff.is_empty() {
        return Err(CliError::silent(Exit::Partial, "DIFFERENT"));
    }
    Ok(())
}

fn reference(target: &Target, release: &Release) -> serde_json::Value {
    json!({"name": target.name, "version": release.published.version, "manifest": release.published.digest})
}

fn print(
    diff: &Diff,
    (old, before): (&Target, &Release),
    (new, after): (&Target, &Release),
    width: Option<usize>,
) -> Result<(), CliError> {
    for (member, change) in &diff.members {
        let shown = |value: &Option<String>| text(value.as_deref());
        // The release format's word for a label.
        let member = if *member == "version" { "label" } else { member };
        let line = format!("{member}: {} -> {}", shown(&change.old), shown(&change.new));
        output::line(width.map_or_else(|| line.clone(), |width| cut(&line, width)))?;
    }
    if diff.added.len() + diff.removed.len() + diff.changed.len() > 0 {
        output::line(table(diff).fitted(width))?;
    }
    let (old, new) = (title(old, before), title(new, after));
    if diff.is_empty() {
        output::note(format_args!("{old} -> {new}: no difference"));
        return Ok(());
    }
    output::note(format_args!(
        "{old} -> {new}: {} added, {} removed, {} changed, {} unchanged, {}",
        files(diff.added.len()),
        diff.removed.len(),
        diff.changed.len(),
        diff.unchanged,
        size_change(diff.bytes),
    ));
    Ok(())
}

/// `NAME@NUMBER`, or what was asked for if the server does not tell the number.
fn title(target: &Target, release: &Release) -> String {
    release.published.found(&target.name).map_or_else(|| target.to_string(), |found| found.to_string())
}

fn table(diff: &Diff) -> Table {
    let mut table = Table::new(&[
        Column::whole("CHANGE"),
        Column::text("FILE", 20),
        Column::number("OLD SIZE"),
        Column::number("NEW SIZE"),
        Column::number("DIFFERENCE").optional(1),
    ]);
    let none = || "-".to_owned();
    let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    for file in &diff.removed {
        let name = text(Some(file.name.as_str()));
        table.add(["removed".to_owned(), name, size(file.size), none(), size_change(-signed(file.size))]);
    }
    for file in &diff.changed {
        let FileChange { old, new, .. } = file;
        let change = if file.content() { "changed" } else { "metadata" };
        let difference = size_change(signed(new.size).saturating_sub(signed(old.size)));
        let name = text(Some(file.name.as_str()));
        table.add([change.to_owned(), name, size(old.size), size(new.size), difference]);
    }
    for file in &diff.added {
        let name = text(Some(file.name.as_str()));
        table.add(["added".to_owned(), name, none(), size(file.size), size_change(signed(file.size))]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_version_may_leave_out_its_name() {
        assert_eq!("17".parse(), Ok(Other::SameName(Selector::Number(17))));
        assert_eq!("@previous".parse(), Ok(Other::SameName(Selector::Previous)));
        assert_eq!("main".parse(), Ok(Other::Stated("main".parse().unwrap())));
        assert_eq!("main@3".parse(), Ok(Other::Stated("main@3".parse().unwrap())));
        for bad in ["", "@", "0", "ma in"] {
            assert!(bad.parse::<Other>().is_err(), "{bad}");
        }
    }
}
