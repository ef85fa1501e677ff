//! `larder healthcheck`

use serde_json::json;

use super::{CliError, Context, Exit, output};
use crate::client::{self, ClientError, ErrorKind};

/// Arguments of `larder healthcheck`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "One request, no retries: exit code 0 when ready, 7 when not. Meant for container health checks.

Example:
  larder healthcheck --url http://127.0.0.1:8080/livez"
)]
pub struct Args {
    /// What to ask
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080/readyz")]
    url: String,
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    client::probe(&args.url).await.map_err(|error| unwell(&args.url, error))?;
    if context.json { output::json(&json!({ "url": args.url, "ready": true })) } else { Ok(()) }
}

/// Every failure except an unusable address means that the server is not ready, whatever responded there.
fn unwell(url: &str, error: ClientError) -> CliError {
    if error.kind() == ErrorKind::Usage {
        return error.into();
    }
    CliError::new(Exit::Unavailable, "NOT_READY", format!("{url} is not ready: {error}")).with("url", url)
}
