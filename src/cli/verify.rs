//! `larder verify`

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::settings::Settings;
use super::{CliError, Context, Exit, output};
use crate::clock::SystemClock;
use crate::layout::marker;
use crate::service::Verify;
use crate::service::verify::{Finding, Observer, Totals};
use crate::store::Key;

/// How often progress is saved.
const SAVE_EVERY: Duration = Duration::from_secs(2);
/// Findings that are listed with `--json`; the rest are counted.
const MAX_LISTED: usize = 10_000;

/// Arguments of `larder verify`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Follows every reference of every version that can be read, then reads every blob and compares its digest. Safe beside
running servers. Exits with 8 if anything is missing or damaged. With --checkpoint an interrupted run goes on where it
was; the file is removed at the end.

Examples:
  larder verify --data /var/lib/larder
  larder verify --data /var/lib/larder --checkpoint /var/tmp/larder-verify"
)]
pub struct Args {
    /// File to keep progress in
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,

    /// Blobs to read at once
    #[arg(long, value_name = "N", default_value_t = 2)]
    jobs: usize,

    #[command(flatten)]
    settings: Settings,
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let store = args.settings.open_existing()?;
    marker::check(&*store).await?;
    let checkpoint = args.checkpoint.map(Checkpoint::open).transpose()?;
    let after = checkpoint.as_ref().and_then(|checkpoint| checkpoint.after.clone());
    if let (Some(key), false) = (&after, context.json) {
        output::note(format_args!("going on after {key}"));
    }
    let mut watcher = Watcher { json: context.json, listed: Vec::new(), checkpoint, failed: None };
    let totals = Verify::new(store, Arc::new(SystemClock)).run(after, args.jobs, &mut watcher).await?;
    if let Some(error) = watcher.failed {
        return Err(CliError::io("save progress", &error));
    }
    if let Some(checkpoint) = watcher.checkpoint {
        checkpoint.remove();
    }
    conclude(totals, &watcher.listed, context)
}

fn conclude(totals: Totals, listed: &[Finding], context: &Context) -> Result<(), CliError> {
    if context.json {
        output::json(&json!({"totals": totals, "findings": listed}))?;
    } else {
        output::line(format_args!(
            "{} names, {} versions, {} references; {} blobs with {} re-hashed: {}",
            totals.names,
            totals.versions,
            totals.references,
            totals.blobs,
            bytesize::ByteSize::b(totals.bytes).display().iec(),
            if totals.findings == 0 { "all is well".to_owned() } else { format!("{} findings", totals.findings) },
        ))?;
    }
    if totals.findings == 0 {
        return Ok(());
    }
    let detail = "The store is damaged. Upload the blobs named above again, or restore them from a backup.";
    Err(CliError::new(Exit::Partial, "DAMAGED", detail).with("findings", totals.findings))
}

struct Watcher {
    json: bool,
    listed: Vec<Finding>,
    checkpoint: Option<Checkpoint>,
    failed: Option<io::Error>,
}

impl Observer for Watcher {
    fn finding(&mut self, finding: &Finding) {
        if !self.json {
            let _ = output::line(describe(finding));
        } else if self.listed.len() < MAX_LISTED {
            self.listed.push(finding.clone());
        }
    }

    fn verified(&mut self, key: &Key, _: &Totals) {
        if let Some(checkpoint) = &mut self.checkpoint {
            self.failed = checkpoint.save(key).err().or(self.failed.take());
        }
    }
}

fn describe(finding: &Finding) -> String {
    match finding {
        Finding::UnreadableName { name, why } => format!("{name}: {why}"),
        Finding::DamagedHead { name, generation, why } => format!("{name}: head {generation} is damaged: {why}"),
        Finding::UnlistedName { name } => format!("{name}: has a history, but is not listed among the names"),
        Finding::DamagedManifest { name, version, why } => format!("{name}@{version}: the manifest is damaged: {why}"),
        Finding::BadReference { name, version, blob, stored: None } => {
            format!("{name}@{version}: blob {} is missing", blob.digest)
        }
        Finding::BadReference { name, version, blob, stored: Some(size) } => {
            format!("{name}@{version}: blob {} has {size} bytes, not {}", blob.digest, blob.size)
        }
        Finding::DamagedBlob { key, why } => format!("{key}: {why}"),
        Finding::UnknownKey { key } => format!("{key}: not an object that this version of larder knows"),
    }
}

/// The last key that was verified, in a file.
struct Checkpoint {
    file: PathBuf,
    after: Option<Key>,
    saved: Instant,
}

impl Checkpoint {
    fn open(file: PathBuf) -> Result<Self, CliError> {
        let after = match fs::read_to_string(&file) {
            Ok(text) => Some(parse(&file, &text)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(CliError::io(format_args!("read {}", file.display()), &error)),
        };
        Ok(Self { file, after, saved: Instant::now() })
    }

    fn save(&mut self, key: &Key) -> io::Result<()> {
        if self.saved.elapsed() < SAVE_EVERY {
            return Ok(());
        }
        self.saved = Instant::now();
        let staged = self.file.with_extension("new");
        fs::write(&staged, format!("{key}\n"))?;
        fs::rename(staged, &self.file)
    }

    fn remove(self) {
        if let Err(error) = fs::remove_file(&self.file)
            && error.kind() != io::ErrorKind::NotFound
        {
            output::note(format_args!("could not remove {}: {error}", self.file.display()));
        }
    }
}

fn parse(file: &Path, text: &str) -> Result<Key, CliError> {
    let problem = || CliError::usage(format!("{} is not a checkpoint of larder verify; remove it.", file.display()));
    text.trim().parse().map_err(|_| problem())
}
