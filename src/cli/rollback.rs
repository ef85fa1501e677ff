//! `larder rollback`

use super::remote::Remote;
use super::{CliError, Context, Exit, output, promote};
use crate::domain::{Expect, ManifestName, Selector, Target};

/// Arguments of `larder rollback`.
#[derive(Debug, clap::Args)]
#[command(after_help = "The same as promoting NAME@previous, but only if nobody changes the name in between (exit \
code 5). Rolling back twice returns to where it began.

Example:
  larder rollback miren/main")]
pub struct Args {
    /// The name to roll back
    #[arg(value_name = "NAME")]
    name: ManifestName,

    #[command(flatten)]
    remote: Remote,
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let client = args.remote.client()?;
    let name = &args.name;
    let history = client.history(name, None, 1).await?;
    let number = history.previous.ok_or_else(|| {
        CliError::new(Exit::NotFound, "VERSION_UNKNOWN", format!("{name} has no version from before the active one."))
    })?;
    let at = |selector| Target { name: name.clone(), selector, explicit: true };
    let row = client.row(&at(Selector::Number(number))).await?;
    let expect = match history.active {
        Some(active) => Expect::OneOf(vec![client.row(&at(Selector::Number(active))).await?.manifest]),
        None => Expect::Nothing,
    };
    let receipt = client.promote(name, &row, &expect).await?;
    if let (false, Some(active)) = (context.json, history.active) {
        output::note(format_args!("{name} went back from version {active} to version {number}"));
    }
    promote::print(&receipt, context)
}
