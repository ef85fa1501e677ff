//! `larder pin`

use clap_complete::ArgValueCompleter;

use super::remote::Remote;
use super::{CliError, Context, complete, output};
use crate::domain::{CatalogName, ManifestName, PinOwner, Target};

/// Arguments of `larder pin`.
#[derive(Debug, clap::Args)]
#[command(after_help = "A pinned version is never retired, whatever the retention says.

Examples:
  larder pin miren/main
  larder pin miren/main@17
  larder pin --remove miren/main@17
  larder pin --remove --catalog example.org/tool --force --reason 'taken down' example.org/tool/v1.0")]
pub struct Args {
    /// The version (without a selector: the active one)
    #[arg(value_name = "NAME[@SELECTOR]", add = ArgValueCompleter::new(complete::names))]
    target: Target,

    /// Remove the pin
    #[arg(long)]
    remove: bool,

    /// On behalf of a catalog that lists the version
    #[arg(long, value_name = "CATALOG")]
    catalog: Option<CatalogName>,

    /// Remove the pin although the catalog lists the version
    #[arg(long, requires_all = ["remove", "catalog", "reason"])]
    force: bool,

    /// Why, for those who read the history later
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,

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
    let client = args.remote.writer(context).await?;
    let row = match &args.catalog {
        None => client.set_pin(&args.target, !args.remove, args.reason.as_deref()).await?,
        Some(catalog) => {
            let how = (!args.remove, args.force, args.reason.as_deref());
            client.set_pin_of(&args.target, &PinOwner::Catalog(catalog.clone()), how).await?
        }
    };
    if context.json {
        return output::json(&row);
    }
    let state = if row.pinned { "pinned" } else { "not pinned" };
    output::line(format_args!("{}@{} {state}", args.target.name, row.number))
}
