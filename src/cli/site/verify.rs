//! `larder site verify`

use std::time::Duration;

use clap_complete::ArgValueCompleter;
use tokio::time::{Instant, sleep};

use super::listing::{awaited, does, record};
use crate::cli::remote::Remote;
use crate::cli::table::text;
use crate::cli::{CliError, Context, Exit, complete, output, values};
use crate::domain::site::HostName;
use crate::wire::sites::SiteHost;

/// Time between two looks at first; it doubles with each of them.
const FIRST: Duration = Duration::from_secs(2);
/// Maximum time between two looks.
const LONGEST: Duration = Duration::from_secs(30);

/// Arguments of `larder site verify`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Ends with 0 once the record is found, and with 1 if it is not. Resolvers may remember for a while that there was \
none: wait then, rather than ask more often.

Examples:
  larder site verify docs.example.org
  larder site verify docs.example.org --wait 10min
  larder site verify docs.example.org --json"
)]
pub(super) struct Args {
    /// The host
    #[arg(value_name = "HOST", add = ArgValueCompleter::new(complete::hosts))]
    host: HostName,

    /// Look again until it is found, for as long as this
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = values::wait)]
    wait: Duration,

    #[command(flatten)]
    pub(super) remote: Remote,
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let client = args.remote.writer(context).await?;
    let (until, mut pause) = (Instant::now() + args.wait, FIRST);
    loop {
        let host = client.verify_site(&args.host).await?;
        if is_verified(&host) {
            let shown = format!("{} {}", text(Some(&host.host)), does(&host));
            return if context.json { output::json(&host) } else { output::line(shown) };
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(missing(&host));
        }
        if pause == FIRST {
            output::note(format_args!("the record of {} is not there yet; looking again", args.host));
        }
        sleep(pause.min(left)).await;
        pause = (pause * 2).min(LONGEST);
    }
}

/// Whether nothing waits for a record any more. A host that serves one name may be claimed for another one.
fn is_verified(host: &SiteHost) -> bool {
    host.state == "live" && host.problem.is_none() && host.pending.is_empty()
}

fn missing(host: &SiteHost) -> CliError {
    let records: Vec<String> = awaited(host).into_iter().map(|(_, challenge)| record(challenge)).collect();
    let name = text(Some(&host.host));
    let detail = match &host.problem {
        Some(problem) => format!("{name} is not verified: {}.", text(Some(problem))),
        None => format!("{name} {}; what else it is claimed for is not verified.", does(host)),
    };
    let hint = match &records[..] {
        [] => "`larder site show` says what it waits for.".to_owned(),
        records => format!("The DNS of the domain has to have {}.", records.join(" or ")),
    };
    CliError::new(Exit::Failure, "HOST_UNVERIFIED", detail).with_hint(hint).with("records", records)
}
