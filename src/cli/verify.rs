//! `larder verify`

mod checkpoint;

use std::io;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;
use serde_json::json;

use self::checkpoint::Checkpoint;
use super::peer::Peer;
use super::progress::Progress;
use super::settings::{Settings, gated};
use super::{CliError, Context, Exit, output, remote, token, values};
use crate::client::Meter;
use crate::clock::SystemClock;
use crate::layout::marker;
use crate::store::Key;
use crate::upkeep::Verify;
use crate::upkeep::verify::{Finding, HealMethod, HealOptions, Observer, Outcome, Source, Totals};

/// Maximum number of findings listed with `--json`; further ones are only counted.
const MAX_LISTED: usize = 10_000;

/// Arguments of `larder verify`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Follows every reference of every version that can be read, then reads every blob and compares its digest. Safe \
beside running servers. Exits with 8 if anything is missing or damaged, and was not healed. With --checkpoint an \
interrupted run goes on where it was; the file is removed at the end.

Changes nothing unless told to heal. --heal-from fetches every lost or damaged blob from another Larder that has \
it; where that fails, everything stays as it is. --discard-damaged deletes bytes that, read twice, do not have \
their digest and that cannot be replaced: until then a server takes them for the blob, so that uploading it \
again changes nothing. With both, what cannot be fetched is discarded. Run it as the user that the server runs \
as.

Examples:
  larder verify --data /var/lib/larder
  larder verify --data /var/lib/larder --checkpoint /var/tmp/larder-verify
  larder verify --data /var/lib/larder --heal-from https://other.example.org
  larder verify --data /var/lib/larder --discard-damaged"
)]
pub struct Args {
    /// File to keep progress in
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,

    /// Blobs to read at once
    #[arg(long, value_name = "N", default_value = "2", value_parser = values::positive)]
    jobs: NonZeroUsize,

    #[command(flatten)]
    healing: Healing,

    #[command(flatten)]
    settings: Settings,
}

/// What to do about lost and damaged blobs.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Healing")]
struct Healing {
    /// Fetch lost and damaged blobs from the Larder at this address
    #[arg(long, value_name = "URL")]
    heal_from: Option<String>,

    /// File that holds a token for that Larder, or `-` for stdin; must be readable by its owner only
    ///
    /// LARDER_TOKEN is not used: it is for another server.
    #[arg(long, value_name = "FILE", requires = "heal_from")]
    heal_token_file: Option<PathBuf>,

    /// How often a failed request to that Larder is tried again
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = values::retries, requires = "heal_from")]
    heal_retries: u32,

    /// Delete damaged bytes that cannot be replaced, so that publishing the same files again heals them
    #[arg(long)]
    discard_damaged: bool,
}

impl Healing {
    /// Whether the command may write to the store.
    fn writes(&self) -> bool {
        self.heal_from.is_some() || self.discard_damaged
    }

    fn remedy(&self, context: &Context) -> Result<HealOptions, CliError> {
        let source = self.heal_from.as_deref().map(|url| self.peer(url, context)).transpose()?;
        Ok(HealOptions { source, discard_damaged: self.discard_damaged })
    }

    fn peer(&self, url: &str, context: &Context) -> Result<Arc<dyn Source>, CliError> {
        let token = self.heal_token_file.as_deref().map(token::read).transpose()?;
        let client = remote::connect(url, token, self.heal_retries)?;
        Ok(Arc::new(Peer { client, shown: Some(context.clone()) }))
    }
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let remedy = args.healing.remedy(context)?;
    let store = args.settings.open_existing().await?;
    if args.healing.writes() {
        marker::check(&*store).await?;
    } else {
        marker::check_readable(&*store).await?;
    }
    let checkpoint = args.checkpoint.map(Checkpoint::open).transpose()?;
    let after = checkpoint.as_ref().and_then(|checkpoint| checkpoint.after.clone());
    if let (Some(key), false) = (&after, context.json) {
        output::note(format_args!("going on after {key}"));
    }
    let progress = Progress::new(context, "verifying", 0);
    let mut watcher =
        Watcher { json: context.json, listed: Vec::new(), checkpoint, failed: None, progress: progress.meter() };
    let store = if args.healing.writes() { gated(store) } else { store };
    let verify = Verify::new(store, Arc::new(SystemClock)).healing(remedy);
    let totals = verify.run(after, args.jobs.get(), &mut watcher).await?;
    drop(progress);
    watcher.progress = Arc::new(|_| {});
    if let Some(error) = watcher.failed {
        return Err(CliError::io("save progress", &error));
    }
    if let Some(checkpoint) = watcher.checkpoint {
        checkpoint.remove();
    }
    conclude(totals, &watcher.listed, &args.healing, context)
}

fn conclude(totals: Totals, listed: &[Listed], healing: &Healing, context: &Context) -> Result<(), CliError> {
    if context.json {
        output::json(&json!({"totals": totals, "findings": listed}))?;
    } else {
        let found = format!("{} finding{}", totals.findings, if totals.findings == 1 { "" } else { "s" });
        let result = match (totals.findings, totals.healed) {
            (0, _) => "all is well".to_owned(),
            (_, 0) => found,
            (all, healed) if all == healed => format!("{found}, all healed"),
            (_, healed) => format!("{found}, {healed} healed"),
        };
        output::line(format_args!(
            "{} names, {} versions, {} references; {} blobs with {} re-hashed: {result}",
            totals.names,
            totals.versions,
            totals.references,
            totals.blobs,
            bytesize::ByteSize::b(totals.bytes).display().iec(),
        ))?;
    }
    if totals.findings == totals.healed {
        return Ok(());
    }
    let error = CliError::new(Exit::Partial, "DAMAGED", what_next(healing));
    Err(error.with("findings", totals.findings).with("healed", totals.healed))
}

/// Advice about the remaining findings.
fn what_next(healing: &Healing) -> String {
    let next = match (&healing.heal_from, healing.discard_damaged) {
        (None, false) => {
            "Verify again with --heal-from URL if another Larder has the blobs named above. Or verify again with \
             --discard-damaged, then publish the same files again, which uploads what is missing."
        }
        (Some(_), false) => {
            "What is said above to be missing can be published again; what is damaged too, once you have verified again \
             with --discard-damaged as well."
        }
        (_, true) => "Publish the same files again, which uploads what is missing.",
    };
    format!(
        "The store is damaged. {next} A manifest is the same only byte for byte (publish --manifest FILE); without it, \
         delete its version. What is no blob must be restored from a backup."
    )
}

/// A finding in the form that `--json` prints.
#[derive(Debug, Serialize)]
struct Listed {
    #[serde(flatten)]
    finding: Finding,
    healed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    how: Option<HealMethod>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why_not: Option<String>,
}

impl Listed {
    fn new(finding: &Finding, outcome: &Outcome) -> Self {
        let (how, why_not) = match outcome {
            Outcome::Healed(cure) => (Some(*cure), None),
            Outcome::Left(why) => (None, why.clone()),
        };
        Self { finding: finding.clone(), healed: how.is_some(), how, why_not }
    }
}

struct Watcher {
    json: bool,
    listed: Vec<Listed>,
    checkpoint: Option<Checkpoint>,
    failed: Option<io::Error>,
    progress: Meter,
}

impl Observer for Watcher {
    fn finding(&mut self, finding: &Finding, outcome: &Outcome) {
        if !self.json {
            let found = describe(finding);
            let _ = match outcome {
                Outcome::Healed(cure) => output::line(format_args!("healed ({}): {found}", method(*cure))),
                Outcome::Left(None) => output::line(found),
                Outcome::Left(Some(why)) => output::line(format_args!("{found}; not healed: {why}")),
            };
        } else if self.listed.len() < MAX_LISTED {
            self.listed.push(Listed::new(finding, outcome));
        }
    }

    fn verified(&mut self, key: &Key, totals: &Totals) {
        (self.progress)(totals.bytes);
        if let Some(checkpoint) = &mut self.checkpoint {
            self.failed = checkpoint.save(key).err().or(self.failed.take());
        }
    }
}

fn method(cure: HealMethod) -> &'static str {
    match cure {
        HealMethod::Fetched => "fetched",
        HealMethod::OtherCopy => "another copy was sound",
        HealMethod::Discarded => "discarded",
        HealMethod::Gone => "gone by now",
    }
}

/// A finding as one line of text.
pub(super) fn describe(finding: &Finding) -> String {
    match finding {
        Finding::UnreadableName { name, why } => format!("{name}: {why}"),
        Finding::DamagedHead { name, generation, why } => format!("{name}: head {generation} is damaged: {why}"),
        Finding::LostHead { name, generation, why } => {
            format!("{name}: the collector saw head {generation}, but {why}; restore it from a backup")
        }
        Finding::NoHeads { name } => format!("{name}: is listed among the names, but has no history"),
        Finding::UnlistedName { name } => format!("{name}: has a history, but is not listed among the names"),
        Finding::DamagedManifest { name, version, why } => format!("{name}@{version}: the manifest is damaged: {why}"),
        Finding::DamagedAnnex { name, version, why } => format!("{name}@{version}: the annex cannot be read: {why}"),
        Finding::UnknownFormat { name, version, why } => format!("{name}@{version}: cannot be followed: {why}"),
        Finding::BadReference { name, version, blob, stored: None } => {
            format!("{name}@{version}: blob {} is missing", blob.digest)
        }
        Finding::BadReference { name, version, blob, stored: Some(size) } => {
            format!("{name}@{version}: blob {} has {size} bytes, not {}", blob.digest, blob.size)
        }
        Finding::DamagedBlob { key, why } | Finding::DamagedList { key, why } => format!("{key}: {why}"),
        Finding::DamagedAlias { key, why } => {
            format!("{key}: {why}; restore it from a backup, or delete it and upload the bytes again by that digest")
        }
        Finding::UnknownKey { key } => format!("{key}: not an object that this version of larder knows"),
    }
}
