//! `larder site rm`

use clap_complete::ArgValueCompleter;
use serde_json::json;

use crate::cli::remote::Remote;
use crate::cli::{CliError, Context, complete, output};
use crate::domain::site::HostName;

/// Arguments of `larder site rm`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The host serves nothing from then on; the releases stay. Attaching it again needs its TXT record again.

Examples:
  larder site rm docs.example.org
  larder site rm docs.example.org --reason 'moved to manual.example.org'
  larder site rm docs.example.org --json"
)]
pub(super) struct Args {
    /// The host
    #[arg(value_name = "HOST", add = ArgValueCompleter::new(complete::hosts))]
    host: HostName,

    /// Why, for those who look at the host later
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,

    #[command(flatten)]
    pub(super) remote: Remote,
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let client = args.remote.writer(context).await?;
    client.detach_site(&args.host, args.reason.as_deref()).await?;
    let host = &args.host;
    if context.json { output::json(&json!({ "host": host })) } else { output::line(format_args!("{host} detached")) }
}
