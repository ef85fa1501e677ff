//! `larder migrate`

use serde_json::json;

use super::settings::Settings;
use super::{CliError, Context, output};
use crate::layout::{marker, migrate};

/// Arguments of `larder migrate`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Steps can be interrupted and run again. A server never migrates by itself; it refuses to start instead.

Examples:
  larder migrate --plan
  larder migrate --data /var/lib/larder
  larder migrate --config /etc/larder.toml --json"
)]
pub struct Args {
    /// Say what would be done, and do nothing
    #[arg(long)]
    plan: bool,

    #[command(flatten)]
    settings: Settings,
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let store = args.settings.open_existing().await?;
    let steps = migrate::plan(&*store).await?;
    let mut rows = Vec::new();
    for step in &steps {
        if !args.plan {
            migrate::run(&*store, &**step).await?;
        }
        rows.push(json!({"layout": step.to(), "does": step.describe(), "done": !args.plan}));
        if !context.json {
            let verb = if args.plan { "would" } else { "did" };
            output::line(format_args!("layout {}: {verb} {}", step.to(), step.describe()))?;
        }
    }
    if context.json {
        return output::json(&json!({"layout": marker::CURRENT, "steps": rows}));
    }
    if steps.is_empty() {
        output::line(format_args!("nothing to do: the store has layout {}", marker::CURRENT))?;
    }
    Ok(())
}
