//! `larder ls`

use serde_json::json;

use super::remote::Remote;
use super::table::{Table, moment, size, text};
use super::{CliError, Context, output};
use crate::client::Client;
use crate::wire::NameEntry;

/// Arguments of `larder ls`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  larder ls
  larder ls --long miren/")]
pub struct Args {
    /// Only names that begin with this
    #[arg(value_name = "PREFIX", default_value = "")]
    prefix: String,

    /// A table with version, files, size, time and label
    #[arg(short, long)]
    long: bool,

    #[command(flatten)]
    remote: Remote,
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let names = all(&args.remote.client()?, &args.prefix).await?;
    if context.json {
        output::json(&json!({ "manifests": names }))
    } else if args.long {
        output::line(table(&names).render())
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
            return Ok(names);
        }
        after = page.next;
    }
}

fn table(names: &[NameEntry]) -> Table {
    let mut table = Table::new(&["NAME", "VERSION", "FILES", "SIZE", "ACTIVE SINCE", "MANIFEST", "LABEL"]);
    for entry in names {
        table.add([
            entry.name.to_string(),
            entry.version.to_string(),
            entry.files.to_string(),
            size(entry.total_bytes),
            moment(entry.promoted_at),
            entry.manifest.to_string(),
            text(entry.label.as_deref()),
        ]);
    }
    table
}
