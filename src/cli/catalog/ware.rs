//! `larder catalog ware`

use std::fs::File;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::wares::{LIMITS, failed, uncovered};
use crate::cli::{CliError, Context, output};
use crate::service::wares::{Scanned, scan};

/// Arguments of `larder catalog ware`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The identifier is that of the files inside the tar, as the Timeless Stack computes it: the same for any order of \
entries and any compression. It does not cover links, devices and FIFOs; how many there are is said. Plain tars and \
gzip are read.

Examples:
  larder catalog ware tool.tar.gz
  larder catalog ware tool.tar --json
  xz -dc tool.tar.xz | larder catalog ware -"
)]
pub(super) struct Args {
    /// The tar, plain or compressed with gzip; - is stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let (path, shown) = (args.file.clone(), args.file.display().to_string());
    let scanned = tokio::task::spawn_blocking(move || read(&path)).await.map_err(anyhow::Error::from)??;
    if context.json {
        let Scanned { ware, entries, uncovered, bytes } = scanned;
        return output::json(&json!({ "ware": ware, "entries": entries, "uncovered": uncovered, "bytes": bytes }));
    }
    uncovered(&shown, &scanned);
    output::line(&scanned.ware)
}

fn read(path: &Path) -> Result<Scanned, CliError> {
    let scanned = if path.as_os_str() == "-" {
        scan(std::io::stdin().lock(), LIMITS)
    } else {
        let failed = |error| CliError::io(format_args!("read {}", path.display()), &error);
        scan(File::open(path).map_err(failed)?, LIMITS)
    };
    scanned.map_err(|error| failed(path.display(), &error))
}
