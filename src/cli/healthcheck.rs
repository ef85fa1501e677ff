//! `larder healthcheck`

use serde_json::json;

use super::{CliError, Context, Exit, output};
use crate::client::{self, ClientError, ErrorKind};

/// Arguments of `larder healthcheck`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "One request of at most five seconds, no retries: exit code 0 when ready, 7 when not. Meant for container health \
checks.

Examples:
  larder healthcheck
  larder healthcheck --server https://larder.example.org
  larder healthcheck --url http://127.0.0.1:8080/livez"
)]
pub struct Args {
    /// Address of the server, which is asked for /readyz; of several in LARDER_SERVER, the first one
    #[arg(
        long,
        value_name = "URL",
        env = "LARDER_SERVER",
        hide_env_values = true,
        default_value = "http://127.0.0.1:8080"
    )]
    server: String,

    /// What to ask instead
    #[arg(long, value_name = "URL")]
    url: Option<String>,
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let first = args.server.split_whitespace().next().unwrap_or_default();
    let url = args.url.unwrap_or_else(|| format!("{}/readyz", first.trim_end_matches('/')));
    client::probe(&url).await.map_err(|error| unwell(&url, error))?;
    if context.json { output::json(&json!({ "url": url, "ready": true })) } else { Ok(()) }
}

/// Every failure except an unusable address means that the server is not ready, whatever responded there.
fn unwell(url: &str, error: ClientError) -> CliError {
    if error.kind() == ErrorKind::Usage {
        return error.into();
    }
    CliError::new(Exit::Unavailable, "NOT_READY", format!("{url} is not ready: {error}")).with("url", url)
}
