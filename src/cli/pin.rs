//! `larder pin`

use super::remote::Remote;
use super::{CliError, Context, output};
use crate::domain::Target;

/// Arguments of `larder pin`.
#[derive(Debug, clap::Args)]
#[command(after_help = "A pinned version is never retired, whatever the retention says.

Examples:
  larder pin miren/main@17
  larder pin --remove miren/main@17")]
pub struct Args {
    /// The version (without a selector: the active one)
    #[arg(value_name = "NAME[@SELECTOR]")]
    target: Target,

    /// Remove the pin
    #[arg(long)]
    remove: bool,

    /// Why, for those who read the history later
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,

    #[command(flatten)]
    remote: Remote,
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let client = args.remote.writer(context).await?;
    let row = client.set_pin(&args.target, !args.remove, args.reason.as_deref()).await?;
    if context.json {
        return output::json(&row);
    }
    let state = if row.pinned { "pinned" } else { "not pinned" };
    output::line(format_args!("{}@{} {state}", args.target.name, row.number))
}
