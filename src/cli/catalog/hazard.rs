//! `larder catalog hazard`

use super::author::{Author, AuthorArgs, public};
use super::refresh::told;
use crate::cli::remote::Remote;
use crate::cli::{CliError, Context, Exit, publish};
use crate::domain::catalog::{CatalogName, Coordinate, Document, Release};

/// Arguments of `larder catalog hazard`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A release with a hazard stays listed and stored. Readers are warned, and `larder catalog fetch` refuses it unless \
it is told to accept hazards.

Examples:
  larder catalog hazard example.org/tool:v1.0 CVE-2026-1='reads any file' -k author.key
  larder catalog hazard example.org/tool:v1.0 withdrawn='use v1.1' -k author.key
  larder catalog hazard example.org/tool:v1.0 --remove CVE-2026-1 -k author.key"
)]
pub(super) struct Args {
    /// The release, as CATALOG:RELEASE
    #[arg(value_name = "RELEASE")]
    release: Coordinate,

    /// The hazard, and what to know about it
    #[arg(value_name = "HAZARD=TEXT", value_parser = publish::key_value, required_unless_present = "remove")]
    hazards: Vec<(String, String)>,

    /// Take this hazard away
    #[arg(long, value_name = "HAZARD")]
    remove: Vec<String>,

    #[command(flatten)]
    author: AuthorArgs,

    #[command(flatten)]
    remote: Remote,
}

impl Args {
    pub(super) fn subject(&self) -> (&Remote, &CatalogName) {
        (&self.remote, &self.release.catalog)
    }
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let Coordinate { catalog, release, item: None } = &args.release else {
        return Err(CliError::usage("A hazard is about a whole release: write CATALOG:RELEASE."));
    };
    let release = release.as_deref().ok_or_else(|| CliError::usage("Say which release: CATALOG:RELEASE."))?;
    let signers = args.author.signer.load()?;
    let client = args.remote.writer(context).await?;
    let own = public(&signers);
    let author = Author { client: &client, name: catalog, args: &args.author, signers: &signers, own, context };
    let changed = author.edit(|document| {
        let hazards = &mut listed(document, release)?.hazards;
        let mut all = hazards.take().unwrap_or_default();
        if let Some(unknown) = args.remove.iter().find(|kind| !all.contains_key(*kind)) {
            return Err(CliError::new(
                Exit::NotFound,
                "HAZARD_UNKNOWN",
                format!("{release} has no hazard {unknown:?}."),
            ));
        }
        all.retain(|kind, _| !args.remove.contains(kind));
        all.extend(args.hazards.iter().cloned());
        *hazards = Some(all).filter(|all| !all.is_empty());
        Ok(())
    });
    told(&Box::pin(changed).await?, context)
}

/// The release with this name.
pub(super) fn listed<'a>(document: &'a mut Document, release: &str) -> Result<&'a mut Release, CliError> {
    let name = document.name.clone();
    document.release_mut(release).ok_or_else(|| unknown(&name, release))
}

/// The catalog has no such release.
pub(super) fn unknown(catalog: &CatalogName, release: &str) -> CliError {
    let detail =
        format!("The catalog {catalog} lists no release {release:?}; `larder catalog show {catalog}` lists all.");
    CliError::new(Exit::NotFound, "RELEASE_UNKNOWN", detail)
}
