//! `larder floor`

use clap_complete::ArgValueCompleter;

use super::remote::Remote;
use super::table::{moment, text};
use super::{CliError, Context, Exit, complete, output};
use crate::domain::{ManifestName, Target};
use crate::wire::{Floor, NameFloor};

/// Arguments of `larder floor`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The server only states the floor, in the header Larder-Minimum-Version and in the versions of the name; clients \
decide what follows from it. Without --reason and --clear, the floor is shown.

Examples:
  larder floor miren/main@17 --reason CVE-2026-1234
  larder floor miren/main
  larder floor miren/main --clear"
)]
pub struct Args {
    /// The lowest version that clients should run
    #[arg(value_name = "NAME[@SELECTOR]", add = ArgValueCompleter::new(complete::names))]
    target: Target,

    /// Why; needed to set a floor
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,

    /// Take the floor away
    #[arg(long)]
    clear: bool,

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
    let Target { name, explicit, .. } = &args.target;
    let floor = match (args.clear, &args.reason) {
        (true, reason) if !explicit => args.remote.writer(context).await?.clear_floor(name, reason.as_deref()).await?,
        (true, _) => return Err(CliError::usage(format!("--clear is about the whole name: write {name}."))),
        (false, Some(reason)) if *explicit => {
            args.remote.writer(context).await?.set_floor(&args.target, reason).await?
        }
        (false, Some(_)) => {
            return Err(CliError::usage(format!("Say which version of {name} is the floor, such as {name}@17.")));
        }
        (false, None) if *explicit => return Err(CliError::usage("State the reason with --reason TEXT.")),
        (false, None) => {
            let history = args.remote.client()?.history(name, None, 1).await?;
            NameFloor { name: name.clone(), generation: history.generation, floor: history.floor }
        }
    };
    if context.json {
        return output::json(&floor);
    }
    match &floor.floor {
        Some(set) => output::line(format_args!("{name}@{}", describe(set))),
        None if args.clear => output::line(format_args!("{name} has no floor")),
        None => Err(CliError::new(Exit::NotFound, "FLOOR_UNKNOWN", format!("{name} has no floor."))),
    }
}

/// `17 (v1.4.1) is the floor since 2026-05-14T18:20:00Z, by token:ci: CVE-2026-1234`
fn describe(floor: &Floor) -> String {
    let label = floor.label.as_deref().map(|label| format!(" ({})", text(Some(label)))).unwrap_or_default();
    let (since, by, reason) = (moment(Some(floor.at)), text(Some(floor.by.as_str())), text(Some(&floor.reason)));
    format!("{}{label} is the floor since {since}, by {by}: {reason}", floor.version)
}
