//! `larder catalog export`

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::cli::catalog::trust::TrustArgs;
use crate::cli::kept::replace;
use crate::cli::remote::Remote;
use crate::cli::{CliError, Context, output, table};
use crate::domain::catalog::{CatalogName, Document};
use crate::domain::timeless::{LINEAGE_FILE, Lineage, MIRRORS_FILE, Mirrors, packed_kinds};

/// Most items that a note names.
const NAMED: usize = 5;

/// Arguments of `larder catalog export`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Each catalog is verified first. A lineage has the items that are wares only; the others are said. The mirrors are \
the warehouses of the catalog, and this server if it has files that are wares. Files that are there are replaced, \
each in one step.

Examples:
  larder catalog export --timeless . example.org/tool --verify-key author.pub
  larder catalog export --timeless workspace example.org/tool example.org/base
  larder catalog export --timeless . example.org/tool --offline"
)]
pub(in crate::cli::catalog) struct Args {
    /// The catalogs
    #[arg(value_name = "CATALOG", required = true)]
    catalogs: Vec<CatalogName>,

    /// Directory to write .timeless/catalog/CATALOG/lineage.tl and mirrors.tl below; made if it is not there
    #[arg(long, value_name = "DIR", required = true)]
    timeless: PathBuf,

    /// Go by the copies of the catalogs that were kept, without asking whether there are newer ones
    #[arg(long)]
    offline: bool,

    #[command(flatten)]
    trust: TrustArgs,

    #[command(flatten)]
    remote: Remote,
}

/// A file to be written.
struct Written {
    path: PathBuf,
    text: String,
}

impl Args {
    pub(in crate::cli::catalog) fn subject(&self) -> (&Remote, Vec<&CatalogName>) {
        (&self.remote, self.catalogs.iter().collect())
    }
}

pub(in crate::cli::catalog) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let servers = if args.offline { None } else { Some(args.remote.readers()?) };
    let (mut files, mut left_out) = (Vec::new(), Vec::new());
    // Nothing is written before all of them were verified.
    for name in &args.catalogs {
        let believed = match &servers {
            Some(servers) => args.trust.read(servers, name, context).await?,
            None => args.trust.read_kept(name, context)?,
        };
        let document = &believed.verified.document;
        let warehouse =
            servers.as_ref().map(|servers| format!("ca+{}timeless/{name}/warehouse", servers.reader.base()));
        files.extend(rendered(&args.timeless, document, warehouse.as_deref()));
        let left = left_out_of(document);
        if !context.json {
            say(name, &left);
        }
        left_out.extend(left.iter().map(|(release, item)| json!({"catalog": name, "release": release, "item": item})));
    }
    for Written { path, text } in &files {
        write(path, text)?;
        if !context.json {
            output::line(table::text(Some(&path.display().to_string())))?;
        }
    }
    if context.json {
        let paths: Vec<_> = files.iter().map(|file| file.path.display().to_string()).collect();
        return output::json(&json!({"files": paths, "left_out": left_out}));
    }
    Ok(())
}

/// The files of a catalog.
fn rendered(directory: &Path, document: &Document, warehouse: Option<&str>) -> [Written; 2] {
    let folder = super::tree::catalogs(directory).join(document.name.as_str());
    let kinds = packed_kinds(document);
    let own = warehouse.iter().flat_map(|address| kinds.iter().map(|kind| (*kind, (*address).to_owned())));
    let mirrors = Mirrors::of(document, &own.collect::<Vec<_>>()).write();
    let file = |name: &str, text: String| Written { path: folder.join(name), text };
    [file(LINEAGE_FILE, Lineage::of(document).write()), file(MIRRORS_FILE, mirrors)]
}

/// The items that are no wares, each with its release.
fn left_out_of(document: &Document) -> Vec<(&str, &str)> {
    let items = document.releases.iter().flat_map(|release| {
        let files = release.items.iter().filter(|(_, item)| item.ware.is_none());
        files.map(|(name, _)| (release.name.as_str(), name.as_str()))
    });
    items.collect()
}

fn say(name: &CatalogName, left: &[(&str, &str)]) {
    if left.is_empty() {
        return;
    }
    let named: Vec<_> = left.iter().take(NAMED).map(|(release, item)| format!("{release}:{item}")).collect();
    let more = left.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    output::note(format_args!("{name}: items without a ware are left out of the lineage: {}{more}", named.join(", ")));
}

/// Replaces a file unless it is the same already.
fn write(path: &Path, text: &str) -> Result<(), CliError> {
    if std::fs::read(path).is_ok_and(|bytes| bytes == text.as_bytes()) {
        return Ok(());
    }
    replace(path, text.as_bytes()).map_err(|error| CliError::io(format_args!("write {}", path.display()), &error))
}
