//! `larder catalog verify`

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::believed::Believed;
use super::fetch::{file, items};
use super::hazard::unknown;
use super::trust::TrustArgs;
use crate::cli::remote::Remote;
use crate::cli::{CliError, Context, Exit, output};
use crate::client::{Client, ErrorKind, Fingerprint};
use crate::domain::catalog::{CatalogName, Coordinate, Problems, Release, Rule, check_files};
use crate::domain::manifest::{Aliases, Descriptor, Format};
use crate::domain::{Digest, FileName, Manifest};

/// Arguments of `larder catalog verify`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Verifies the roots, the signatures and the document. With --deep, also that every release is there, with its \
items. With --files, that files which were fetched earlier are those of the release; together with --offline this \
needs no server at all.

Examples:
  larder catalog verify example.org/tool --verify-key author.pub --deep
  larder catalog verify example.org/tool --offline
  larder catalog verify example.org/tool:v1.0 --files dist --offline"
)]
pub(super) struct Args {
    /// The catalog; or a release or item, with --files
    #[arg(value_name = "CATALOG[:RELEASE[:ITEM]]")]
    what: Coordinate,

    /// Look at every release that it lists
    #[arg(long, conflicts_with = "offline")]
    deep: bool,

    /// Directory with fetched files of the release
    #[arg(long, value_name = "DIR")]
    files: Option<PathBuf>,

    /// Go by what was kept, without asking any server
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
    let name = &args.what.catalog;
    let servers = args.remote.readers()?;
    let believed = if args.offline {
        args.trust.read_kept(name, context)?
    } else {
        args.trust.read(&servers, name, context).await?
    };
    let client = believed.reader(&servers.reader).await;
    if args.deep {
        deep(&client, &believed).await?;
    }
    let checked = match (&args.what.release, &args.files) {
        (Some(release), Some(directory)) => {
            let release = believed.verified.document.release(release).ok_or_else(|| unknown(name, release))?;
            let manifest = manifest(&args, &client, release).await?;
            let files = match &args.what.item {
                Some(item) => vec![file(name, release, item)?],
                None => items(release),
            };
            compare(directory, &manifest, &files)?;
            files.len()
        }
        (None, None) => 0,
        _ => return Err(CliError::usage("A release and --files DIR belong together.")),
    };
    summarise(&believed, checked, context)
}

fn summarise(Believed { verified, .. }: &Believed, checked: usize, context: &Context) -> Result<(), CliError> {
    let (document, root) = (&verified.document, verified.roots.last());
    let keys: Vec<String> = verified.signers.iter().map(|(_, id)| id.to_string()).collect();
    if context.json {
        return output::json(&json!({
            "catalog": document.name, "serial": document.serial, "document": verified.digest,
            "issued": document.issued, "expires": document.expires, "releases": document.releases.len(),
            "signed_by": keys, "root": root.map(|root| root.version), "root_expires": root.map(|root| root.expires),
            "files": checked,
        }));
    }
    output::line(format_args!("{} serial {}: all is well", document.name, document.serial))?;
    let root = root.map_or(String::new(), |root| format!(" by root {}", root.version));
    output::note(format_args!("signed by {}{root}, valid until {}", keys.join(", "), document.expires));
    Ok(())
}

/// Checks that every release is there, with its items.
async fn deep(client: &Client, believed: &Believed) -> Result<(), CliError> {
    let mut problems = Problems::default();
    for (at, release) in believed.verified.document.releases.iter().enumerate() {
        let place = format!("releases[{at}]");
        let Some(target) = release.target() else {
            problems.add(Rule::Document, place, "it does not say where it is published");
            continue;
        };
        match client.get_manifest(&target).await {
            Ok(published) => {
                let stored = Descriptor { digest: published.digest, size: published.bytes.len() as u64 };
                problems.extend(check_files(at, release, stored, &read(&published.bytes)?));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                problems.add(Rule::ItemFile, place, format!("{} is not there: {error}", release.name));
            }
            Err(error) => return Err(error.into()),
        }
    }
    problems.into_result().map_err(|problems| {
        let list: Vec<String> = problems.listed().iter().map(|problem| format!("\n  - {problem}")).collect();
        let name = &believed.verified.document.name;
        let detail = format!("The catalog {name} is signed, but what it lists is not all there.{}", list.concat());
        let listed: Value = serde_json::to_value(problems.listed()).unwrap_or_default();
        CliError::new(Exit::Partial, "RELEASES_MISSING", detail).with("problems", listed)
    })
}

/// Reads a manifest that was verified.
pub(super) fn read(bytes: &[u8]) -> Result<Manifest, CliError> {
    (Format::of_bytes(bytes).read)(bytes, &Aliases::default()).map_err(|error| {
        CliError::new(Exit::Failure, "MANIFEST_INVALID", format!("A manifest of the catalog is of no use: {error}."))
    })
}

/// The manifest of a release: the copy that was kept, or the server's.
async fn manifest(args: &Args, client: &Client, release: &Release) -> Result<Manifest, CliError> {
    let kept = args.trust.directory().and_then(|directory| directory.manifest(release.manifest));
    if let Some(bytes) = kept {
        return read(&bytes);
    }
    match release.target() {
        Some(target) if !args.offline => read(&client.get_manifest(&target).await?.bytes),
        _ => {
            let detail = format!("There is no copy of the manifest of {}; fetch the release once.", release.name);
            Err(CliError::new(Exit::NotFound, "NO_COPY", detail))
        }
    }
}

/// Compares files with what the manifest says of them.
fn compare(directory: &Path, manifest: &Manifest, files: &[FileName]) -> Result<(), CliError> {
    let mut wrong: Vec<String> = Vec::new();
    for name in files {
        let wanted = manifest.files.iter().find(|file| file.name == *name).map(|file| file.blob.digest);
        let actual = Fingerprint::read(&directory.join(name.as_str())).map(|found| found.blob.digest);
        if let Some(why) = difference(wanted, actual) {
            wrong.push(format!("{name}: {why}"));
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    let detail =
        format!("Files in {} are not those of the release.\n  - {}", directory.display(), wrong.join("\n  - "));
    Err(CliError::new(Exit::Integrity, "FILES_DIFFER", detail).with("files", wrong))
}

fn difference(wanted: Option<Digest>, actual: std::io::Result<Digest>) -> Option<String> {
    match (wanted, actual) {
        (None, _) => Some("the release has no such file".into()),
        (Some(_), Err(error)) => Some(error.to_string()),
        (Some(wanted), Ok(actual)) => (wanted != actual).then(|| format!("it is {actual}, and should be {wanted}")),
    }
}
