//! `larder sums`

use clap_complete::ArgValueCompleter;

use super::remote::Remote;
use super::{CliError, Context, complete, fetch, output};
use crate::domain::sums::{SumFormat, sums};
use crate::domain::{ManifestName, Target};

/// Arguments of `larder sums`.
#[derive(Debug, clap::Args)]
#[command(after_help = "The digests are those of the manifest, which is read once: they are of one version.

Examples:
  larder sums miren/main | sha256sum -c --ignore-missing
  larder sums miren/main@v1.4.0 --format bsd > SHA256SUMS
  larder sums miren/main --json")]
pub struct Args {
    /// The version (without a selector: the active one)
    #[arg(value_name = "NAME[@SELECTOR]", add = ArgValueCompleter::new(complete::names))]
    target: Target,

    /// How to write them: gnu, bsd, hex or json
    #[arg(long, value_name = "FORMAT", default_value = "gnu")]
    format: SumFormat,

    #[command(flatten)]
    remote: Remote,
}

impl Args {
    /// The server and the names that the command is about, first the one that it changes.
    pub(super) fn subject(&self) -> (&Remote, Vec<&ManifestName>) {
        (&self.remote, vec![&self.target.name])
    }
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let release = fetch::read_any(&args.remote.readers()?, &args.target, context).await?;
    let files = release.manifest.files.iter().map(|file| (&file.name, file.blob));
    let format = if context.json { SumFormat::Json } else { args.format };
    output::bytes(sums(files, format).as_bytes())
}
