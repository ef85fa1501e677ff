//! `larder catalog fetch`

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;

use super::believed::Believed;
use super::hazard::unknown;
use super::trust::TrustArgs;
use crate::cli::remote::Remote;
use crate::cli::sources::Servers;
use crate::cli::{CliError, Context, Exit, fetch, output};
use crate::client::Client;
use crate::domain::FileName;
use crate::domain::catalog::{CatalogName, Choice, Coordinate, Document, Release};
use crate::domain::text::Escaped;

/// Arguments of `larder catalog fetch`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The catalog is verified first, then the manifest by its digest in the catalog, then each file; nothing appears \
under its name before that. A release with a hazard is refused (exit 6) unless --accept-hazards is given; of a track, \
the topmost release without one is taken.

Examples:
  larder catalog fetch example.org/tool:v1.0 --verify-key author.pub --output dist
  larder catalog fetch example.org/tool:v1.0:linux-amd64
  larder catalog fetch example.org/tool --track stable"
)]
pub(super) struct Args {
    /// The release, or the item; or the catalog, with --track
    #[arg(value_name = "CATALOG[:RELEASE[:ITEM]]")]
    what: Coordinate,

    /// The topmost release of this track that has no hazard
    #[arg(long, value_name = "TRACK")]
    track: Option<String>,

    /// Fetch the release although its author warns against it
    #[arg(long)]
    accept_hazards: bool,

    /// Directory to write to; made if it is not there
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    output: PathBuf,

    /// Replace other files with the same names
    #[arg(long)]
    force: bool,

    /// Go by the copy of the catalog that was kept, without asking whether there is a newer one
    #[arg(long)]
    offline: bool,

    #[command(flatten)]
    trust: TrustArgs,

    #[command(flatten)]
    remote: Remote,
}

impl Args {
    pub(super) fn subject(&self) -> (&Remote, &CatalogName) {
        (&self.remote, &self.what.catalog)
    }
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let Coordinate { catalog, release, item } = &args.what;
    let servers = args.remote.readers()?;
    let believed = if args.offline {
        args.trust.read_kept(catalog, context)?
    } else {
        args.trust.read(&servers, catalog, context).await?
    };
    let client = believed.reader(&servers.reader).await;
    let Believed { verified, .. } = believed;
    let release = match (release, &args.track) {
        (Some(name), None) => verified.document.release(name).ok_or_else(|| unknown(catalog, name))?,
        (None, Some(track)) => on_track(&verified.document, track, args.accept_hazards)?,
        _ => return Err(CliError::usage("Say which release: CATALOG:RELEASE, or --track TRACK.")),
    };
    refuse_hazards(catalog, release, args.accept_hazards)?;
    let files = match item {
        Some(item) => vec![file(catalog, release, item)?],
        None => items(release),
    };
    if files.is_empty() {
        let detail = format!("All items of {catalog}:{} are wares, and no files.", release.name);
        return Err(CliError::new(Exit::NotFound, "ITEM_UNKNOWN", detail));
    }
    let target = release.target().ok_or_else(|| {
        let detail = format!("The catalog does not say where {:?} is published.", release.name);
        CliError::new(Exit::Failure, "CATALOG_DOCUMENT", detail)
    })?;
    let mut words: Vec<OsString> = vec![target.to_string().into(), "--output".into(), args.output.clone().into()];
    if args.force {
        words.push("--force".into());
    }
    words.push("--".into());
    words.extend(files.iter().map(|file| OsString::from(file.as_str())));
    keep_manifest(&args, &client, release).await?;
    fetch::with(fetch::Args::of(words)?, &Servers::new(&client, Vec::new()), context).await
}

/// Keeps the manifest, so that the files can be verified later without a server.
async fn keep_manifest(args: &Args, client: &Client, release: &Release) -> Result<(), CliError> {
    let Some((directory, target)) = args.trust.directory().zip(release.target()) else { return Ok(()) };
    if directory.manifest(release.manifest).is_some() {
        return Ok(());
    }
    let published = client.get_manifest(&target).await?;
    if let Err(error) = directory.save_manifest(&published.bytes) {
        output::note(error);
    }
    Ok(())
}

/// The release of a track, and what is said about those above it.
fn on_track<'a>(document: &'a Document, track: &str, accept: bool) -> Result<&'a Release, CliError> {
    let name = &document.name;
    let Some(Choice { release, passed }) = document.topmost(Some(track)) else {
        let tracks: Vec<&str> = document.tracks().iter().map(|(track, _)| *track).collect();
        let detail = format!("No release of {name} is on the track {track:?}; there are: {}.", tracks.join(", "));
        return Err(CliError::new(Exit::NotFound, "TRACK_UNKNOWN", detail));
    };
    if let (true, Some(first)) = (accept, passed.first()) {
        return Ok(first);
    }
    let above: Vec<&str> = passed.iter().map(|release| release.name.as_str()).collect();
    let Some(release) = release else {
        let detail = format!("All releases of {name} on the track {track:?} have hazards: {}.", above.join(", "));
        return Err(CliError::new(Exit::Integrity, "HAZARD", detail).with("releases", above));
    };
    if !above.is_empty() {
        let above = above.join(", ");
        output::note(format_args!("{} is taken: {above} above it has hazards", release.name));
    }
    Ok(release)
}

fn refuse_hazards(catalog: &CatalogName, release: &Release, accept: bool) -> Result<(), CliError> {
    if !release.is_hazardous() {
        return Ok(());
    }
    let list: Vec<String> =
        release.hazards().map(|(kind, text)| format!("\n  {}: {}", Escaped::new(kind), Escaped::new(text))).collect();
    let name = &release.name;
    if accept {
        output::note(format_args!("{name} has hazards:{}", list.concat()));
        return Ok(());
    }
    let detail = format!("The author of {catalog} warns against {name}:{}", list.concat());
    let error = CliError::new(Exit::Integrity, "HAZARD", detail);
    let error = error.with("hazards", serde_json::to_value(&release.hazards).unwrap_or_default());
    Err(error.with_hint("Take another release, or --accept-hazards.".into()))
}

/// The file of an item.
pub(super) fn file(catalog: &CatalogName, release: &Release, item: &str) -> Result<FileName, CliError> {
    if let Some(file) = release.file(item) {
        return Ok(file);
    }
    let detail = if let Some(ware) = release.items.get(item).and_then(|item| item.ware.as_deref()) {
        format!("The item {item:?} of {catalog}:{} is the ware {ware}, and no file.", release.name)
    } else {
        let items: Vec<&str> = release.items.keys().map(String::as_str).collect();
        format!("{catalog}:{} has no item {item:?}; it has: {}.", release.name, items.join(", "))
    };
    Err(CliError::new(Exit::NotFound, "ITEM_UNKNOWN", detail))
}

/// The files of all items, each once.
pub(super) fn items(release: &Release) -> Vec<FileName> {
    let files: BTreeSet<FileName> = release.items.keys().filter_map(|item| release.file(item)).collect();
    files.into_iter().collect()
}
