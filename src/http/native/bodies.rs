//! Conversion of service results to response bodies.

use crate::domain::attestation::Standing;
use crate::service::Receipt;
use crate::upkeep::collect::{Count, Outcome, RunSummary, Totals};
use crate::wire;
use crate::wire::runs;

impl From<&Receipt> for wire::Receipt {
    fn from(receipt: &Receipt) -> Self {
        Self {
            name: receipt.name.governing(),
            version: receipt.row.number,
            generation: receipt.generation,
            manifest: receipt.row.digest(),
            state: receipt.row.state,
            previous: receipt.previous,
            unchanged: receipt.unchanged,
            verifying: receipt.standing.as_ref().map(verifying),
        }
    }
}

fn verifying(standing: &Standing) -> wire::Verifying {
    let lacking = || {
        format!(
            "{} of {} signatures that the policy of the name requires are there",
            standing.signers.len(),
            standing.need
        )
    };
    let superseded =
        |serial| format!("what was active before had the serial {serial}; sign this one again with a higher one");
    let short = (standing.signers.len() < standing.need).then(lacking);
    wire::Verifying {
        accept: standing.is_accepted(),
        why: short.or_else(|| standing.superseded.map(superseded)),
        keys: standing.signers.iter().map(ToString::to_string).collect(),
        serial: standing.serial,
    }
}

impl From<&RunSummary> for runs::Run {
    fn from(summary: &RunSummary) -> Self {
        let (started, report) = match summary {
            RunSummary::Ended(report) => (&report.started, Some(report)),
            RunSummary::Begun(started) => (started, None),
        };
        let ended = report.map(|report| runs::RunEnd {
            outcome: outcome(report.outcome),
            error: report.error.clone(),
            duration_ms: report.duration_ms,
            clock_ahead_seconds: report.clock_ahead_seconds,
            totals: totals(&report.totals),
        });
        Self {
            run: started.run,
            started: started.started,
            larder: started.larder.clone(),
            min_age_seconds: started.min_age_seconds,
            ended,
        }
    }
}

fn outcome(outcome: Outcome) -> runs::RunOutcome {
    match outcome {
        Outcome::Completed => runs::RunOutcome::Completed,
        Outcome::Stopped => runs::RunOutcome::Stopped,
        Outcome::Failed => runs::RunOutcome::Failed,
    }
}

fn totals(totals: &Totals) -> runs::RunTotals {
    let count = |count: Count| runs::Count { blobs: count.blobs, bytes: count.bytes };
    runs::RunTotals {
        names: totals.names,
        versions: totals.versions,
        expired: totals.expired,
        needed: count(totals.needed),
        young: count(totals.young),
        unreferenced: count(totals.unreferenced),
        condemned: count(totals.condemned),
        deleted: count(totals.deleted),
        healed: count(totals.healed),
        lost: totals.lost,
        uploads: totals.uploads,
    }
}
