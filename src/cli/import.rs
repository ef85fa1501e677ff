//! `larder import`: releases that were published elsewhere become versions of names, with their times and labels.
//!
//! Everything goes over the wire, like a publish. What is there already is not fetched again, so a second run changes
//! nothing, and one that broke off is simply run again.

mod flat;
mod github;
mod list;
mod release;
mod report;
mod settle;
mod standing;
mod steps;

use std::num::NonZeroUsize;

use clap::Subcommand;

use self::release::Release;
use self::report::Report;
use self::steps::Importer;
use super::remote::Remote;
use super::{CliError, Context, signals, values};
use crate::client::Client;
use crate::config::Size;

/// Arguments of `larder import`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Each release becomes the active version of a name; its files are checked against their checksums on the way. A \
file that does not have its checksum is left out and reported, and the rest is imported: exit code 8. A name \
that has an imported version already keeps it until its source is whole again; one that was published to \
otherwise is not touched, unless --replace is given. Run it as often as you like: what is there already is not \
fetched again, and nothing changes.

Examples:
  larder import flat /srv/assets release/miren --dry-run
  larder import github OWNER/REPO --prereleases
  larder import manifest releases.json"
)]
pub struct Args {
    #[command(subcommand)]
    source: Source,
}

/// The kinds of sources.
#[derive(Debug, Subcommand)]
enum Source {
    /// Channels of files with checksums beside them and a version.json
    Flat(flat::Args),
    /// The releases of a repository, from a releases API like GitHub's
    Github(github::Args),
    /// A list of files with their addresses and digests
    Manifest(list::Args),
}

/// What all kinds of imports have in common.
#[derive(Debug, clap::Args)]
struct Common {
    /// Print what would be imported, and change nothing
    ///
    /// Local files are hashed for it. Files of other servers are not downloaded: only what is said about them is compared.
    #[arg(long)]
    dry_run: bool,

    /// Make what is imported the active version, even where another one was published or promoted since
    #[arg(long)]
    replace: bool,

    /// How many files to hash and transfer at once
    #[arg(short, long, value_name = "N", default_value = "4", value_parser = values::positive)]
    jobs: NonZeroUsize,

    /// Upload files of this size and more so that they can be resumed [default: 64MiB]
    #[arg(long, value_name = "SIZE", hide = true)]
    resumable_from: Option<Size>,

    #[command(flatten)]
    remote: Remote,
}

impl Common {
    async fn client(&self, context: &Context) -> Result<Client, CliError> {
        let client = self.remote.writer(context).await?;
        Ok(match self.resumable_from {
            Some(size) => client.resuming_from(size.bytes()),
            None => client,
        })
    }
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    match args.source {
        Source::Flat(args) => {
            let client = args.common.client(context).await?;
            let releases = interruptible(flat::read(&args)).await?;
            import(releases, &args.common, &client, context).await
        }
        Source::Github(args) => {
            let client = args.common.client(context).await?;
            let releases = interruptible(github::read(&args)).await?;
            import(releases, &args.common, &client, context).await
        }
        Source::Manifest(args) => {
            let client = args.common.client(context).await?;
            let releases = list::read(&args)?;
            import(releases, &args.common, &client, context).await
        }
    }
}

/// Imports one release after the other. A failure of the target ends it; what is wrong with a release does not.
async fn import(releases: Vec<Release>, common: &Common, client: &Client, context: &Context) -> Result<(), CliError> {
    let importer = Importer { client, common, context };
    let mut report = Report::new(context.json, common.dry_run);
    for release in releases {
        let done = importer.import(release).await?;
        report.add(done)?;
    }
    report.conclude()
}

/// Runs `work` until it is done, or SIGINT or SIGTERM arrives.
async fn interruptible<T>(work: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    tokio::select! {
        result = work => result,
        error = signals::interrupted() => Err(error),
    }
}
