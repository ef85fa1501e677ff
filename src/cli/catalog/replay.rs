//! `larder catalog replay`

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use futures_util::stream::BoxStream;
use serde_json::{Value, json};

use super::believed::Believed;
use super::hazard::unknown;
use super::trust::TrustArgs;
use super::verify::read;
use super::wares;
use crate::cli::kept::replace;
use crate::cli::remote::Remote;
use crate::cli::table::{self, Column, Table, TableArgs};
use crate::cli::{CliError, Context, Exit, output};
use crate::client::Client;
use crate::domain::catalog::{CatalogName, Coordinate, Item, Release};
use crate::domain::manifest::{Artifact, Descriptor};
use crate::domain::timeless::{MAX_MODULE, Module};
use crate::domain::{FileName, Manifest};

/// The name under which `reach` looks for a module.
const MODULE_FILE: &str = "module.tl";

/// Arguments of `larder catalog replay`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Prints the commands that make the release again with `reach` of the Timeless Stack, and the products with the wares \
that they have to be. The module is verified by the catalog, and its products must be the items of the release; else \
the exit code is 6. Nothing is run.

Examples:
  larder catalog replay example.org/tool:v1.0 --verify-key author.pub
  larder catalog replay example.org/tool:v1.0 --output replay
  larder catalog replay example.org/tool:v1.0 --json"
)]
pub(super) struct Args {
    /// The release, as CATALOG:RELEASE
    #[arg(value_name = "CATALOG:RELEASE")]
    release: Coordinate,

    /// Write the module to DIR/module.tl; DIR is made if it is not there
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,

    /// Replace another DIR/module.tl
    #[arg(long, requires = "output")]
    force: bool,

    #[command(flatten)]
    table: TableArgs,

    #[command(flatten)]
    trust: TrustArgs,

    #[command(flatten)]
    remote: Remote,
}

/// The module with which a release was made.
pub(super) struct Replay {
    pub(super) artifact: Artifact,
    pub(super) bytes: Bytes,
    pub(super) module: Module,
}

impl Args {
    pub(super) fn subject(&self) -> (&Remote, &CatalogName) {
        (&self.remote, &self.release.catalog)
    }
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let Coordinate { catalog, release: Some(name), item: None } = &args.release else {
        return Err(CliError::usage("A replay makes a whole release: write CATALOG:RELEASE."));
    };
    let servers = args.remote.readers()?;
    let believed = args.trust.read(&servers, catalog, context).await?;
    let client = believed.reader(&servers.reader).await;
    let Believed { verified, .. } = believed;
    let release = verified.document.release(name).ok_or_else(|| unknown(catalog, name))?;
    let replay = replay(&client, catalog, release).await?;
    check(name, &release.items, &replay)?;
    if let Some(directory) = &args.output {
        write(directory, &replay.bytes, args.force)?;
    }
    let commands = commands(&args, &replay.module);
    if context.json {
        return output::json(&json!({
            "catalog": catalog, "release": release.name, "module": replay.artifact.name, "blob": replay.artifact.blob.digest,
            "imports": replay.module.imports, "products": products(release, &replay.module), "commands": commands,
            "hazards": release.hazards,
        }));
    }
    for (kind, text) in release.hazards() {
        output::note(format_args!("HAZARD {}: {kind}: {text}", release.name));
    }
    for command in commands {
        output::line(command)?;
    }
    let mut table = Table::new(&[Column::text("ITEM", 12), Column::text("FROM", 12), Column::text("WARE", 12)]);
    for (item, slot) in &replay.module.exports {
        let ware = release.items.get(item).and_then(|item| item.ware.as_deref());
        table.add([table::text(Some(item)), table::text(Some(slot)), table::text(ware)]);
    }
    // Not among the commands, which may be handed to a shell: the words are those of the module.
    output::note(format_args!("the products, and what they have to be:\n{}", table.fitted(args.table.width())));
    Ok(())
}

/// Downloads the module of a release, verified by the digests in the catalog.
async fn replay(client: &Client, catalog: &CatalogName, release: &Release) -> Result<Replay, CliError> {
    let file = release.replay.as_ref().map(|replay| &replay.file).ok_or_else(|| {
        let detail = format!("The catalog {catalog} does not say how {:?} was made.", release.name);
        CliError::new(Exit::NotFound, "NO_REPLAY", detail)
    })?;
    let target = release.target().ok_or_else(|| {
        let detail = format!("The catalog does not say where {:?} is published.", release.name);
        CliError::new(Exit::Failure, "CATALOG_DOCUMENT", detail)
    })?;
    let manifest = read(&client.get_manifest(&target).await?.bytes)?;
    module(&manifest, file, async |blob| wares::stored(client, blob).await).await
}

/// Reads a module that is a file of this manifest.
pub(super) async fn module(
    manifest: &Manifest,
    file: &FileName,
    open: impl AsyncFn(Descriptor) -> Result<BoxStream<'static, io::Result<Bytes>>, CliError>,
) -> Result<Replay, CliError> {
    let invalid = |why: String| CliError::new(Exit::Integrity, "REPLAY_INVALID", format!("The replay {file} {why}."));
    let artifact = manifest.files.iter().find(|artifact| artifact.name == *file);
    let artifact = artifact.ok_or_else(|| invalid("is no file of the release".into()))?;
    if artifact.blob.size > MAX_MODULE {
        return Err(invalid(format!("has more than {MAX_MODULE} bytes")));
    }
    let chunks: Vec<Bytes> = open(artifact.blob)
        .await?
        .try_collect()
        .await
        .map_err(|error| CliError::io(format_args!("read {file}"), &error))?;
    let bytes = Bytes::from(chunks.concat());
    let module = Module::read(&bytes).map_err(|error| invalid(format!("cannot be read: {error}")))?;
    Ok(Replay { artifact: artifact.clone(), bytes, module })
}

/// Fails unless the products are the items of the release.
pub(super) fn check(release: &str, items: &BTreeMap<String, Item>, replay: &Replay) -> Result<(), CliError> {
    let Some(mismatch) = replay.module.mismatch(items) else { return Ok(()) };
    let detail = format!("The module {} does not make the items of {release:?}: {mismatch}.", replay.artifact.name);
    let error = CliError::new(Exit::Integrity, "REPLAY_MISMATCH", detail);
    Err(error.with("unlisted", mismatch.unlisted).with("unmade", mismatch.unmade))
}

fn write(directory: &Path, bytes: &[u8], force: bool) -> Result<(), CliError> {
    let path = directory.join(MODULE_FILE);
    let failed = |error| CliError::io(format_args!("write {}", path.display()), &error);
    match std::fs::read(&path) {
        Ok(found) if found == bytes => Ok(()),
        Ok(_) if !force => {
            let detail = format!("{} is there already, with other bytes.", path.display());
            let error = CliError::new(Exit::Failure, "FILE_EXISTS", detail);
            Err(error.with_hint("Give another --output, or --force.".into()))
        }
        _ => replace(&path, bytes).map_err(failed),
    }
}

/// What to run: names in it are those of catalogs, which have no characters that a shell interprets.
fn commands(args: &Args, module: &Module) -> Vec<String> {
    let directory = args.output.clone().unwrap_or_else(|| "replay".into());
    let directory = quoted(&directory.to_string_lossy());
    let mut commands = Vec::new();
    let sources: Vec<&str> = module.sources().into_iter().filter(|name| name.parse::<CatalogName>().is_ok()).collect();
    if !sources.is_empty() {
        commands.push(format!("larder catalog export --timeless {directory} {}", sources.join(" ")));
    }
    if args.output.is_none() {
        commands.push(format!("larder catalog replay {} --output {directory}", quoted(&args.release.to_string())));
    }
    commands.push(format!("cd {directory} && reach emerge"));
    commands
}

/// A word as a shell reads it.
fn quoted(word: &str) -> String {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"._-+/:@".contains(&b);
    if !word.is_empty() && !word.starts_with('-') && word.bytes().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn products(release: &Release, module: &Module) -> Vec<Value> {
    let product = |(item, slot): (&String, &String)| {
        let ware = release.items.get(item).and_then(|item| item.ware.as_deref());
        json!({"item": item, "from": slot, "ware": ware})
    };
    module.exports.iter().map(product).collect()
}
