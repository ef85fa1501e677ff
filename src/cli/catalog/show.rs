//! `larder catalog show`

use serde_json::json;

use super::believed::Believed;
use super::fetch::file;
use super::hazard::unknown;
use super::trust::TrustArgs;
use crate::cli::remote::Remote;
use crate::cli::table::{self, Column, Table, TableArgs};
use crate::cli::{CliError, Context, Exit, output};
use crate::domain::catalog::{CatalogName, Coordinate, Document, Release, Verified};

/// Arguments of `larder catalog show`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Shows what the author signed; it is verified first. Hazards come first, then the releases in the author's order.

Examples:
  larder catalog show example.org/tool --verify-key author.pub
  larder catalog show example.org/tool:v1.0
  larder catalog show example.org/tool --track stable
  larder catalog show example.org/tool:v1.0:linux-amd64"
)]
pub(super) struct Args {
    /// The catalog, the release, or the item
    #[arg(value_name = "CATALOG[:RELEASE[:ITEM]]")]
    what: Coordinate,

    /// Only the name of the topmost release of this track that has no hazard
    #[arg(long, value_name = "TRACK")]
    track: Option<String>,

    /// Go by the copy of the catalog that was kept
    #[arg(long)]
    offline: bool,

    #[command(flatten)]
    table: TableArgs,

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
    let Believed { verified, .. } = if args.offline {
        args.trust.read_kept(catalog, context)?
    } else {
        args.trust.read(&args.remote.readers()?, catalog, context).await?
    };
    let document = &verified.document;
    if let Some(track) = &args.track {
        let choice = document.topmost(Some(track)).and_then(|choice| choice.release);
        let release = choice.ok_or_else(|| {
            let detail = format!("No release of {catalog} on the track {track:?} is without a hazard.");
            CliError::new(Exit::NotFound, "TRACK_UNKNOWN", detail)
        })?;
        return if context.json { output::json(release) } else { output::line(table::text(Some(&release.name))) };
    }
    let Some(name) = release else { return overview(&verified, &args, context) };
    let release = document.release(name).ok_or_else(|| unknown(catalog, name))?;
    match item {
        Some(item) => show_item(catalog, release, item, context),
        None if context.json => output::json(release),
        None => show_release(release, &args),
    }
}

fn overview(verified: &Verified, args: &Args, context: &Context) -> Result<(), CliError> {
    let document = &verified.document;
    if context.json {
        return output::json(document);
    }
    let root = verified.roots.last();
    output::line(format_args!("{} serial {}", document.name, document.serial))?;
    output::line(format_args!("issued {}, valid until {}", document.issued, document.expires))?;
    for (_, id) in &verified.signers {
        output::line(format_args!("signed by {id}"))?;
    }
    if let Some(root) = root {
        output::line(format_args!("keys by root {}, valid until {}", root.version, root.expires))?;
    }
    for release in document.releases.iter().filter(|release| release.is_hazardous()) {
        hazards(release)?;
    }
    for (track, release) in document.tracks() {
        let name = release.map_or("(all have hazards)", |release| &release.name);
        output::line(format_args!("track {}: {}", table::text(Some(track)), table::text(Some(name))))?;
    }
    output::line(releases(document).fitted(args.table.width()))
}

fn releases(document: &Document) -> Table {
    let mut table = Table::new(&[
        Column::text("RELEASE", 12),
        Column::whole("HAZARDS"),
        Column::time("PUBLISHED"),
        Column::number("ITEMS").optional(2),
        Column::text("TRACKS", 8),
        Column::digest("MANIFEST").optional(1),
    ]);
    for release in &document.releases {
        let hazards = release.hazards().count();
        table.add([
            table::text(Some(&release.name)),
            if hazards == 0 { "-".into() } else { format!("{hazards}!") },
            table::moment(Some(release.published)),
            release.items.len().to_string(),
            table::text(Some(&release.tracks().collect::<Vec<_>>().join(","))),
            release.manifest.to_string(),
        ]);
    }
    table
}

fn hazards(release: &Release) -> Result<(), CliError> {
    for (kind, text) in release.hazards() {
        let (name, kind, text) = (table::text(Some(&release.name)), table::text(Some(kind)), table::text(Some(text)));
        output::line(format_args!("HAZARD {name}: {kind}: {text}"))?;
    }
    Ok(())
}

fn show_release(release: &Release, args: &Args) -> Result<(), CliError> {
    hazards(release)?;
    output::line(format_args!("{} {}", table::text(Some(&release.name)), release.manifest))?;
    output::line(format_args!("published {} as {}", release.published, table::text(Some(&release.at))))?;
    if let Some(replay) = &release.replay {
        output::line(format_args!("made by {}", table::text(Some(replay.file.as_str()))))?;
    }
    for (key, value) in release.metadata.iter().flatten() {
        output::line(format_args!("{}: {}", table::text(Some(key)), table::text(Some(value))))?;
    }
    let mut items = Table::new(&[Column::text("ITEM", 12), Column::text("FILE", 12), Column::text("WARE", 12)]);
    for (name, item) in &release.items {
        let file = item.file(name).map(|file| file.to_string());
        items.add([table::text(Some(name)), table::text(file.as_deref()), table::text(item.ware.as_deref())]);
    }
    output::line(items.fitted(args.table.width()))
}

fn show_item(catalog: &CatalogName, release: &Release, item: &str, context: &Context) -> Result<(), CliError> {
    let found = release.items.get(item);
    if context.json {
        let file = found.and_then(|found| found.file(item));
        let ware = found.and_then(|found| found.ware.as_deref());
        return output::json(&json!({
            "catalog": catalog, "release": release.name, "item": item, "at": release.at, "manifest": release.manifest,
            "file": file, "ware": ware, "hazards": release.hazards,
        }));
    }
    hazards(release)?;
    if let Some(ware) = found.and_then(|found| found.ware.as_deref()) {
        return output::line(table::text(Some(ware)));
    }
    let file = file(catalog, release, item)?;
    let name = release.target().map_or_else(|| release.at.clone(), |target| target.to_string());
    output::line(format_args!("{} {}", table::text(Some(&name)), table::text(Some(file.as_str()))))
}
