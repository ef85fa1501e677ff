//! `larder sums`

use super::remote::Remote;
use super::{CliError, Context, fetch, output};
use crate::domain::Target;
use crate::domain::sums::{SumFormat, sums};

/// Arguments of `larder sums`.
#[derive(Debug, clap::Args)]
#[command(after_help = "The digests are those of the manifest, which is read once: they are of one version.

Examples:
  larder sums miren/main | sha256sum -c --ignore-missing
  larder sums --format bsd miren/main@17 > SHA256SUMS")]
pub struct Args {
    /// The version (without a selector: the active one)
    #[arg(value_name = "NAME[@SELECTOR]")]
    target: Target,

    /// How to write them: gnu, bsd, hex or json
    #[arg(long, value_name = "FORMAT", default_value = "gnu")]
    format: SumFormat,

    #[command(flatten)]
    remote: Remote,
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let release = fetch::read_release(&args.remote.client()?, &args.target).await?;
    let files = release.manifest.files.iter().map(|file| (&file.name, file.blob));
    let format = if context.json { SumFormat::Json } else { args.format };
    output::bytes(sums(files, format).as_bytes())
}
