//! `larder site ls`

use clap_complete::ArgValueCompleter;
use serde_json::json;

use super::listing;
use crate::cli::remote::Remote;
use crate::cli::table::{Column, Table, TableArgs, moment, text};
use crate::cli::{CliError, Context, complete, output, values};
use crate::domain::ManifestName;
use crate::wire::sites::SiteHost;

/// Arguments of `larder site ls`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A host is live, pending (it waits for its TXT record), failing (the record is missing, and it serves for a few \
days more) or down (it was missing for too long). A * says that another name claims it.

Examples:
  larder site ls
  larder site ls acme/docs
  larder site ls --json | jq -r '.sites[] | select(.state != \"live\").host'"
)]
pub(super) struct Args {
    /// Only hosts of this name
    #[arg(value_name = "NAME", value_parser = values::name, add = ArgValueCompleter::new(complete::names))]
    name: Option<ManifestName>,

    #[command(flatten)]
    remote: Remote,

    #[command(flatten)]
    table: TableArgs,
}

impl Args {
    pub(super) fn subject(&self) -> (&Remote, Vec<&ManifestName>) {
        (&self.remote, self.name.iter().collect())
    }
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let sites = listing::all(&args.remote.client()?, args.name.as_ref()).await?.sites;
    if context.json {
        return output::json(&json!({ "sites": sites }));
    }
    if sites.is_empty() {
        let of = args.name.as_ref().map(|name| format!(" of {name}")).unwrap_or_default();
        output::note(format_args!("there is no host{of}; `larder site point HOST NAME` attaches one"));
        return Ok(());
    }
    output::line(table(&sites).fitted(args.table.width()))
}

fn table(hosts: &[SiteHost]) -> Table {
    let mut table = Table::new(&[
        Column::text("HOST", 24),
        Column::text("SERVES", 16),
        Column::whole("STATE"),
        Column::whole("SOURCE").optional(1),
        Column::time("SINCE (UTC)").optional(2),
        Column::text("BY", 12).optional(3),
    ]);
    for host in hosts {
        let serves = host.redirect_to.as_ref().map_or_else(|| host.name.clone(), |to| format!("-> {to}"));
        let also = if host.pending.is_empty() || host.state == "pending" { "" } else { "*" };
        table.add([
            text(Some(&host.host)),
            text(Some(&serves)),
            format!("{}{also}", text(Some(&host.state))),
            text(Some(&host.source)),
            moment(host.at),
            text(host.by.as_ref().map(ToString::to_string).as_deref()),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_fits_80_columns_and_hides_nothing() {
        let host: SiteHost = serde_json::from_value(json!({
            "host": format!("{}.example.org", "a".repeat(60)), "name": format!("acme/{}@^1.2", "d".repeat(90)),
            "source": "api", "state": "live", "url": "https://x/", "by": "github:somebody/with/a/long/name",
            "at": "2026-05-14T18:20:00Z", "redirect_to": null,
            "pending": [{"name": "b\u{202e}", "challenge": {"record": "r", "text": "t"}, "by": "token:x",
                "at": "2026-05-14T18:20:00Z", "until": "2026-05-14T18:20:00Z"}],
        }))
        .unwrap();
        let redirect = SiteHost { redirect_to: Some("docs.example.org\u{202e}".into()), ..host.clone() };
        let shown = table(&[host.clone(), redirect]).fitted(Some(80));
        assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
        assert!(shown.contains("live*") && shown.contains("-> docs.example"), "{shown}");
        let shown = table(&[host]).fitted(None);
        assert!(shown.contains(&"d".repeat(90)) && shown.contains("2026-05-14T18:20:00Z"), "{shown}");
    }
}
