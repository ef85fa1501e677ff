//! `larder collect`

use std::sync::Arc;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::settings::{Settings, gated};
use super::table::{self, size};
use super::{CliError, Context, Exit, output};
use crate::clock::SystemClock;
use crate::config::Duration;
use crate::lifecycle::Shutdown;
use crate::server::{CollectorSchedule, ScheduleStep, collector_settings};
use crate::upkeep::collect::{Count, Entry, Fate, Report, Runs, Share, Totals};
use crate::upkeep::{Collect, CollectError};

/// Arguments of `larder collect`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Retires versions past their retention, then deletes every blob that no active, retained, prepared or pinned \
version needs. Safe beside running servers and other collectors, whatever the minimum age. Servers do the same \
on their own unless collector.enabled is false. Without --once it goes on, at the configured interval, until it \
is stopped.

Every run leaves a report in the store, and what it is about to delete before it deletes anything. Any doubt, \
such as an unreadable head or an object that nobody knows, ends it.

Examples:
  larder collect --dry-run --data /var/lib/larder
  larder collect --once --data /var/lib/larder
  larder collect --once --min-age 0s --data /var/lib/larder"
)]
pub struct Args {
    /// Do one run and stop
    #[arg(long)]
    once: bool,

    /// Only tell what a run would do, and why; changes nothing
    #[arg(long)]
    dry_run: bool,

    /// Leave unreferenced bytes alone that are younger than this [default: the configured one, or 1day]
    #[arg(long, value_name = "TIME")]
    min_age: Option<Duration>,

    /// Percent of the time to work in, so that others come first [default: 100 with --once, else the configured one]
    #[arg(long, value_name = "PERCENT", value_parser = share)]
    share: Option<Share>,

    #[command(flatten)]
    settings: Settings,
}

fn share(text: &str) -> Result<Share, String> {
    text.parse().ok().and_then(Share::new).ok_or_else(|| "must be 1 to 100".to_owned())
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let store = gated(args.settings.open_existing().await?);
    let mut config = args.settings.load()?;
    config.collector.min_age = args.min_age.unwrap_or(config.collector.min_age);
    let mut settings = collector_settings(&config);
    if let Some(share) = args.share.or((args.once || args.dry_run).then_some(Share::ALL)) {
        settings.share = share;
    }
    let shutdown = Shutdown::on_signals().map_err(|error| CliError::io("watch for signals", &error))?;
    let stop = shutdown.soft;
    let collect = Collect::new(Arc::clone(&store), Arc::new(SystemClock), settings);
    if args.dry_run {
        return preview(&collect, &stop, context).await;
    }
    if args.once {
        return once(&collect, &stop, context).await;
    }
    let runs = Arc::new(Runs::new(store));
    let mut turns = CollectorSchedule::new(runs, Arc::new(SystemClock), config.collector.interval.std(), stop.clone());
    loop {
        match turns.next().await {
            ScheduleStep::Stop => return Ok(()),
            ScheduleStep::NotDue => {}
            ScheduleStep::Due => match once(&collect, &stop, context).await {
                Err(error) if stop.is_cancelled() => {
                    output::note(error);
                    return Ok(());
                }
                // Not fatal: the store may be available again at the next scheduled run.
                Err(error) => output::note(error),
                Ok(()) => {}
            },
        }
    }
}

async fn once(collect: &Collect, stop: &CancellationToken, context: &Context) -> Result<(), CliError> {
    let report = collect.run(stop).await?;
    let told = if context.json { output::json(&report) } else { output::line(describe(&report)) };
    told?;
    if report.totals.lost == 0 {
        return Ok(());
    }
    let detail =
        "Versions need blobs that have no sound bytes. `larder verify` names them, and heals them with --heal-from.";
    Err(CliError::new(Exit::Partial, "DAMAGED", detail).with("lost", report.totals.lost))
}

fn describe(report: &Report) -> String {
    let totals = &report.totals;
    let mut parts = vec![format!("deleted {}", counted(totals.deleted)), format!("kept {}", kept(totals))];
    if totals.expired > 0 {
        parts.push(format!("retired {}", many(totals.expired, "version")));
    }
    if totals.healed.blobs > 0 {
        parts.push(format!("healed {}", counted(totals.healed)));
    }
    if totals.uploads > 0 {
        parts.push(format!("gave up {}", many(totals.uploads, "unfinished upload")));
    }
    let seconds = report.clock_ahead_seconds;
    if seconds.abs() > 60 {
        parts.push(format!("this host's clock is {seconds} s ahead of the store's (far off it retires nothing)"));
    }
    format!("{}: {}", report.started.run, parts.join(", "))
}

fn kept(totals: &Totals) -> String {
    let young = match totals.young.blobs {
        0 => String::new(),
        _ => format!(" and {} that no version needs but are young", counted(totals.young)),
    };
    let (versions, names) = (many(totals.versions, "version"), many(totals.names, "name"));
    format!("{} for {versions} of {names}{young}", counted(totals.needed))
}

fn counted(count: Count) -> String {
    format!("{} ({})", many(count.blobs, "blob"), size(count.bytes))
}

fn many(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

async fn preview(collect: &Collect, stop: &CancellationToken, context: &Context) -> Result<(), CliError> {
    let (mut told, mut before) = (Ok(()), "{\"entries\": [\n");
    let tell = |entry: Entry<'_>| {
        if told.is_err() {
        } else if context.json {
            // One JSON document, but written as a stream: a store may have millions of entries.
            told = serde_json::to_string(&entry)
                .map_err(|error| anyhow::Error::from(error).into())
                .and_then(|text| output::bytes(format!("{before}{text}").as_bytes()));
            before = ",\n";
        } else {
            told = output::line(explain(&entry));
        }
    };
    let totals = collect.preview(stop, tell).await?;
    told?;
    if context.json {
        let begin = if before.starts_with('{') { before } else { "\n" };
        return output::line(format_args!("{begin}], \"totals\": {}}}", json!(totals)));
    }
    let go = Count {
        blobs: totals.unreferenced.blobs + totals.condemned.blobs,
        bytes: totals.unreferenced.bytes + totals.condemned.bytes,
    };
    let (go, kept) = (counted(go), kept(&totals));
    let (expired, uploads) = (many(totals.expired, "version"), many(totals.uploads, "unfinished upload"));
    output::note(format_args!("would delete {go}, keep {kept}, retire {expired}, give up {uploads}"));
    Ok(())
}

/// A decision with its reason, as one line.
fn explain(entry: &Entry<'_>) -> String {
    match entry {
        Entry::Version { name, version, verdict } => {
            format!("{:6}  {name}@{version}  {verdict}", if verdict.is_over() { "retire" } else { "keep" })
        }
        Entry::Blob { digest, generation, size: bytes, fate, needed_by } => {
            let why = match (fate, needed_by) {
                (Fate::Needed, Some((name, version, verdict))) => format!("needed by {name}@{version} ({verdict})"),
                (Fate::Needed, None) => "needed".to_owned(),
                (Fate::Young, _) => "not needed, but young".to_owned(),
                (Fate::Unreferenced, _) => "no version needs it".to_owned(),
                (Fate::Condemned, None) => "condemned earlier".to_owned(),
                (Fate::Condemned, Some((name, version, _))) => {
                    format!("condemned earlier; {name}@{version} gets, or has, another copy")
                }
            };
            let action = if fate.stays() { "keep" } else { "delete" };
            let digest = table::digest(digest);
            format!("{action:6}  {digest} copy {generation}  {}  {why}", size(*bytes))
        }
    }
}

impl From<CollectError> for CliError {
    fn from(error: CollectError) -> Self {
        match error {
            CollectError::Store(error) => error.into(),
            CollectError::Layout(error) => error.into(),
            CollectError::Change(_) => Self::new(Exit::Unavailable, "UNAVAILABLE", format!("{error}.")),
            CollectError::Stopped => Self::new(Exit::Failure, "STOPPED", "The run was stopped; the next one goes on."),
            CollectError::LostManifest { .. } | CollectError::LostHead { .. } | CollectError::NoHeads { .. } => {
                Self::new(Exit::Integrity, "DAMAGED", format!("{error}. The run ended there and deletes nothing more."))
            }
            CollectError::UnknownKey(_) | CollectError::Memory => {
                Self::new(Exit::Failure, "COLLECT", format!("{error}. The run ended there and deletes nothing more."))
            }
        }
    }
}
