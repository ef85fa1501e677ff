//! `larder copy-store`

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;

use super::progress::{self, Progress};
use super::settings::{open_existing, sentence};
use super::table::size;
use super::verify::describe;
use super::{CliError, Context, Exit, output};
use crate::clock::SystemClock;
use crate::config::{self, Store};
use crate::layout::marker::LayoutError;
use crate::server;
use crate::store::PartStore;
use crate::upkeep::CopyStore;
use crate::upkeep::copy_store::{Copied, CopyError, CopyObserver, CopySettings, Summary};
use crate::upkeep::verify::Finding;

/// Maximum number of findings listed with `--json`; further ones are only counted.
const MAX_LISTED: usize = 10_000;

/// Arguments of `larder copy-store`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Copies a whole store, from a directory to a bucket or back, or between two of a kind. FROM and TO are each a \
data directory, or a configuration file (its name ends in .toml) whose [store] section says where. Variables \
LARDER__... do not count here, they would change both. FROM is only read.

Safe while servers publish to FROM, and beside its collector. TO must be empty, or an earlier copy of FROM that \
nobody published to; as long as this command has not finished, no server can be started on TO. Run it again when \
it broke off: what is there with the right size is not read again, unless --verify is given. Every byte is \
hashed on the way.

Passes are made until one finds nothing new. To move, run it while servers go on with FROM; stop them; run it \
once more, which only copies what is new; then start servers on TO. One run at a time: two that fill the same TO \
may finish it for each other too early.

Exits with 8 if something is lost or damaged in FROM (blobs that do not have their digest are not copied), or if \
FROM changed until the end. A copy that lacks blobs which versions need is not finished, so that no server \
starts on it; --accept-damage finishes it all the same.

Examples:
  larder copy-store /var/lib/larder s3.toml
  larder copy-store s3.toml /mnt/backup/larder --jobs 16
  larder copy-store /var/lib/larder s3.toml --verify --json"
)]
pub struct Args {
    /// What to copy: a data directory, or a configuration file
    #[arg(value_name = "FROM")]
    from: PathBuf,

    /// Where to: a data directory, made if there is none, or a configuration file
    #[arg(value_name = "TO")]
    to: PathBuf,

    /// Objects to copy at once
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: u16,

    /// Read what TO has already, and replace what does not have its digest
    #[arg(long)]
    verify: bool,

    /// Finish a copy in which versions lack blobs, because FROM has lost or damaged them
    #[arg(long)]
    accept_damage: bool,
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let (from, to) = (place(&args.from)?, place(&args.to)?);
    let source =
        open_existing(&from, "FROM is a data directory, or a configuration file whose name ends in .toml").await?;
    let target: Arc<dyn PartStore> = server::open_store(&to).await?;
    if is_same(&from, &to) {
        return Err(CliError::usage("FROM and TO are the same store."));
    }
    let settings =
        CopySettings { jobs: usize::from(args.jobs), verify: args.verify, accept_damage: args.accept_damage };
    let copy = CopyStore::new(source, target, Arc::new(SystemClock), settings);
    // The total is needed only for a progress bar, and costs a listing of both stores.
    let total = if progress::is_visible(context) { copy.bytes_to_copy().await? } else { 0 };
    let bar = Progress::new(context, "copying", total);
    let copy = copy.metered(bar.counter());
    let mut watcher = Watcher { json: context.json, listed: Vec::new() };
    let summary = copy.run(&mut watcher).await?;
    drop(bar);
    conclude(&summary, &watcher.listed, context)
}

/// The store named by an argument.
fn place(argument: &Path) -> Result<Store, CliError> {
    if argument.extension().is_none_or(|extension| extension != "toml") {
        return Ok(Store::Fs { path: argument.to_owned() });
    }
    Ok(config::load(Some(argument), [])?.store)
}

fn is_same(from: &Store, to: &Store) -> bool {
    match (from, to) {
        (Store::Fs { path: from }, Store::Fs { path: to }) => match (from.canonicalize(), to.canonicalize()) {
            (Ok(from), Ok(to)) => from == to,
            _ => false,
        },
        (Store::S3(from), Store::S3(to)) => {
            (&from.bucket, &from.prefix, &from.endpoint) == (&to.bucket, &to.prefix, &to.endpoint)
        }
        _ => false,
    }
}

fn conclude(summary: &Summary, listed: &[Finding], context: &Context) -> Result<(), CliError> {
    if context.json {
        output::json(&json!({"summary": summary, "findings": listed}))?;
    } else {
        let Summary { copied, present, .. } = summary;
        let end = match (summary.finished, summary.findings) {
            (true, 0) => "TO is complete".to_owned(),
            (true, found) => format!("TO is finished, but for {}", many(found, "finding")),
            (false, found) => format!("TO is not finished: {}", many(found, "finding")),
        };
        output::line(format_args!("{}; {} there before: {end}", told(copied), many(*present, "object")))?;
    }
    if summary.findings > 0 {
        return Err(CliError::new(Exit::Partial, "DAMAGED", what_next(summary)).with("findings", summary.findings));
    }
    if !summary.settled {
        let detail = "FROM kept changing, so TO lacks what came last. Stop the servers that write to FROM, and run \
                      this again.";
        return Err(CliError::new(Exit::Partial, "UNSETTLED", detail));
    }
    if !context.json {
        output::note("if servers still write to FROM, stop them and run this again before others start on TO");
    }
    Ok(())
}

/// Advice about the findings.
fn what_next(summary: &Summary) -> String {
    let retry = if summary.settled { "" } else { " FROM kept changing meanwhile, so some of it may only be late." };
    let next = if summary.finished {
        "TO lacks what is named above; `larder verify` names the versions that need it."
    } else {
        "No server can be started on TO. Heal FROM (`larder verify --heal-from URL`, or delete the versions) and run \
         this again; or run it with --accept-damage."
    };
    format!("FROM is damaged.{retry} {next}")
}

fn told(copied: &Copied) -> String {
    let (blobs, heads) = (many(copied.blobs, "blob"), many(copied.heads, "head"));
    format!("copied {blobs} ({}) and {heads} of {}", size(copied.bytes), many(copied.names, "new name"))
}

fn many(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

struct Watcher {
    json: bool,
    listed: Vec<Finding>,
}

impl CopyObserver for Watcher {
    fn finding(&mut self, finding: &Finding) {
        if !self.json {
            let _ = output::line(describe(finding));
        } else if self.listed.len() < MAX_LISTED {
            self.listed.push(finding.clone());
        }
    }

    fn pass(&mut self, number: u32, copied: &Copied) {
        if !self.json {
            output::note(format_args!("pass {number} ended; so far {}", told(copied)));
        }
    }
}

impl From<CopyError> for CliError {
    fn from(error: CopyError) -> Self {
        match error {
            CopyError::Store(error)
            | CopyError::From(LayoutError::Store(error))
            | CopyError::To(LayoutError::Store(error)) => error.into(),
            CopyError::From(_) | CopyError::To(_) => Self::new(Exit::Failure, "LAYOUT", sentence(&error)),
            CopyError::NotEmpty => Self::new(Exit::Failure, "NOT_EMPTY", sentence(&error)),
            CopyError::Diverged { .. } => Self::new(Exit::Failure, "DIVERGED", sentence(&error)),
        }
    }
}
