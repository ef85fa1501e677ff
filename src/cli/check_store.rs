//! `larder check-store`

use std::sync::Arc;

use serde_json::json;

use super::settings::Settings;
use super::table::{Column, Table};
use super::{CliError, Context, Exit, output};
use crate::clock::{Clock, SystemClock};
use crate::config::Store;
use crate::upkeep::probe::{self, Finding, Findings};

/// Arguments of `larder check-store`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Tries out whether the store keeps what Larder relies on: racing writers, reads and listings right after a write, \
parts, ranges, copies, deletes, clocks. Writes about 5 MiB under a random key of its own and removes it again, \
so it may run beside servers. A server on a bucket does the same when it starts. Exits with 1 if the store \
cannot be used.

Examples:
  larder check-store --config /etc/larder.toml
  larder check-store --data /var/lib/larder
  larder check-store --config s3.toml --json"
)]
pub struct Args {
    #[command(flatten)]
    settings: Settings,
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let config = args.settings.load()?;
    // A bucket may be probed while it is still empty.
    let store = match &config.store {
        Store::Fs { .. } => args.settings.open_existing().await?,
        Store::S3(_) => crate::server::open_store(&config.store).await?,
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let findings = probe::probe(&store, &clock).await?;
    let single_writer = config.store.has_single_writer();
    if context.json {
        output::json(&json!({"checks": findings, "single_writer": single_writer}))?;
    } else {
        output::line(describe(&findings))?;
        if single_writer {
            output::note("store.single_writer is set: only one process may write to this bucket");
        }
    }
    let broken: Vec<String> = findings.vital_problems().map(|finding| finding.check.to_string()).collect();
    if broken.is_empty() {
        return Ok(());
    }
    let detail = format!("Larder cannot run on this store: {} failed.", broken.join(", "));
    Err(CliError::new(Exit::Failure, "STORE_UNFIT", detail).with("checks", broken))
}

fn describe(findings: &Findings) -> String {
    let mut table = Table::new(&[
        Column::whole("CHECK"),
        Column::whole("RESULT"),
        Column::number("TIME"),
        Column::text("NEEDED FOR", 20),
    ]);
    for Finding { check, problem, milliseconds } in &findings.0 {
        let result = match problem {
            None => "ok",
            Some(_) if check.is_vital() => "FAILED",
            Some(_) => "warning",
        };
        table.add([check.to_string(), result.to_owned(), format!("{milliseconds} ms"), check.needed_for().to_owned()]);
    }
    let problems = findings.0.iter().filter_map(|finding| Some((finding.check, finding.problem.as_ref()?)));
    let problems = problems.map(|(check, problem)| format!("{check}: {problem}"));
    std::iter::once(table.render()).chain(problems).collect::<Vec<_>>().join("\n")
}
