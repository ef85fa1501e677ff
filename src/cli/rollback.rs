//! `larder rollback`

use clap_complete::ArgValueCompleter;

use super::remote::Remote;
use super::table::{moment, text};
use super::{CliError, Context, complete, output, promote, values};
use crate::domain::{Expect, ManifestName, Selector, Target};
use crate::wire::Row;

/// Arguments of `larder rollback`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Goes back to the content that was active before the present one: versions with the same manifest as the active \
one, and yanked ones, are skipped (NAME@previous is the version before, whatever its content). Fails with exit code 3 \
if nothing else was ever active, and with 5 if somebody changes the name in between. Rolling back twice returns to where it \
began.

Examples:
  larder rollback miren/main
  larder rollback miren/main --server https://larder.example.org
  larder rollback miren/main --json"
)]
pub struct Args {
    /// The name to roll back
    #[arg(value_name = "NAME", value_parser = values::name, add = ArgValueCompleter::new(complete::names))]
    name: ManifestName,

    /// Why, for those who read the history later
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,

    #[command(flatten)]
    remote: Remote,
}

impl Args {
    /// The server and the names that the command is about, first the one that it changes.
    pub(super) fn subject(&self) -> (&Remote, Vec<&ManifestName>) {
        (&self.remote, vec![&self.name])
    }
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let client = args.remote.writer(context).await?;
    let name = &args.name;
    // First what is active, then where to go: whoever changes the name after this is noticed by the precondition.
    let active = match client.history(name, None, 1).await?.active {
        Some(active) => {
            let at = Target { name: name.clone(), selector: Selector::Number(active), explicit: true };
            Some(client.row(&at).await?)
        }
        None => None,
    };
    // A target, not the request to roll back, so that a retry whose first reply was lost does not go back twice.
    let target = client.rollback_target(name).await?;
    let expect = active.as_ref().map_or(Expect::Nothing, |row| Expect::OneOf(vec![row.manifest]));
    let receipt = client.promote(name, &target, &expect, args.reason.as_deref()).await?;
    if !context.json {
        let from = active.as_ref().map_or_else(|| "nothing".to_owned(), describe);
        let until = target.archived_at.map(|at| format!(", active until {}", moment(Some(at)))).unwrap_or_default();
        output::note(format_args!("{name} went back from {from} to {}{until}", describe(&target)));
    }
    promote::print(&receipt, context)
}

/// `version 3 (sha256:HEX, label)`
fn describe(row: &Row) -> String {
    let label = row.label.as_deref().map(|label| format!(", {}", text(Some(label)))).unwrap_or_default();
    format!("version {} ({}{label})", row.number, row.manifest)
}
