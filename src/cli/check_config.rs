//! `larder check-config`

use super::settings::Settings;
use super::{CliError, Context, output};

/// Arguments of `larder check-config`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Prints the configuration as it takes effect: defaults, then the file, then the environment, then flags.
Exits with 2 and names every problem if it is not valid. Opens no store and no port.

Example:
  larder check-config --config /etc/larder.toml"
)]
pub struct Args {
    #[command(flatten)]
    settings: Settings,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), CliError> {
    let config = args.settings.load()?;
    if context.json {
        return output::json(&config);
    }
    let text = toml::to_string_pretty(&config).map_err(anyhow::Error::from)?;
    output::bytes(text.as_bytes())
}
