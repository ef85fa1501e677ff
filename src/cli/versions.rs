//! `larder versions`

mod holders;

use std::num::NonZeroUsize;
use std::str::FromStr;

use super::remote::Remote;
use super::table::{Table, moment, size, text};
use super::{CliError, Context, output};
use crate::client::Client;
use crate::domain::{Digest, DigestError, ManifestName, SelectorError, Target};
use crate::wire::{History, Row};

/// Maximum number of rows per request.
const PAGE: usize = 500;

/// Arguments of `larder versions`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  larder versions miren/main
  larder versions miren/main@2026-05-14T18:20:00Z --json")]
pub struct Args {
    /// NAME lists its versions, newest first; NAME@SELECTOR shows one
    ///
    /// A selector is a version number, `active`, `previous`, a label such as v1.4.0, a line such as v1 or v1.4, a range such
    /// as ^1.4, `stable`, `newest`, `next`, `sha256:HEX` of a manifest, or a UTC time. `sha256:HEX` alone lists the versions
    /// of all names that hold that manifest.
    #[arg(value_name = "NAME[@SELECTOR]")]
    target: Wanted,

    /// Show at most this many
    #[arg(long, value_name = "N", default_value = "20")]
    limit: NonZeroUsize,

    /// Show all
    #[arg(long, conflicts_with = "limit")]
    all: bool,

    #[command(flatten)]
    remote: Remote,
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

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let client = args.remote.client()?;
    let limit = if args.all { usize::MAX } else { args.limit.get() };
    let target = match &args.target {
        Wanted::Manifest(digest) => return holders::list(&client, *digest, limit, context).await,
        Wanted::Target(target) => target,
    };
    if target.explicit {
        let row = client.row(target).await?;
        return if context.json { output::json(&row) } else { output::line(table([&row]).render()) };
    }
    let history = collect(&client, &target.name, limit).await?;
    if context.json {
        return output::json(&history);
    }
    output::line(table(&history.versions).render())?;
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
    let mut table = Table::new(&["VERSION", "STATE", "FILES", "SIZE", "PUBLISHED", "BY", "MANIFEST", "LABEL"]);
    for row in rows {
        table.add([
            row.number.to_string(),
            state(row),
            row.artifact_manifest.files.to_string(),
            size(row.artifact_manifest.total_bytes),
            moment(row.published_at),
            text(Some(&row.created_by.to_string())),
            row.manifest.to_string(),
            text(row.label.as_deref()),
        ]);
    }
    table
}

/// The state of a version, and whether it is pinned.
fn state(row: &Row) -> String {
    if row.pinned { format!("{} pinned", row.state) } else { row.state.to_string() }
}
