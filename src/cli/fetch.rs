//! `larder fetch`

mod destination;
mod merging;
mod part;

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use clap_complete::ArgValueCompleter;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Serialize;
use serde_json::json;

use super::progress::Progress;
use super::remote::Remote;
use super::{CliError, Context, Exit, complete, output, values};
use crate::client::{Client, PublishedManifest};
use crate::domain::manifest::{Artifact, FileIndex, release};
use crate::domain::{Digest, FileName, Manifest, ManifestName, Target};

/// Maximum number of names listed in an error.
const MAX_LISTED: usize = 50;

/// Arguments of `larder fetch`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "All files come from one version, even if somebody publishes meanwhile. Files that are already there are kept; \
interrupted downloads continue where they stopped. A file appears under its name only when it is complete and \
verified.

Examples:
  larder fetch miren/main --output dist
  larder fetch miren/main miren-linux-amd64.zip install.sh
  larder fetch miren/main@previous --output before --jobs 8"
)]
pub struct Args {
    /// The version (without a selector: the active one)
    #[arg(value_name = "NAME[@SELECTOR]", add = ArgValueCompleter::new(complete::names))]
    target: Target,

    /// Names of the files to fetch (default: all)
    #[arg(value_name = "FILE")]
    files: Vec<FileName>,

    /// Directory to write to; made if it is not there
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    output: PathBuf,

    /// How many files to transfer at once
    #[arg(short, long, value_name = "N", default_value = "4", value_parser = values::positive)]
    jobs: NonZeroUsize,

    #[command(flatten)]
    remote: Remote,
}

/// A manifest as published and as parsed.
#[derive(Debug)]
pub(super) struct Release {
    pub(super) published: PublishedManifest,
    pub(super) manifest: Manifest,
}

/// Where a fetched file came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Origin {
    /// It already existed.
    Present,
    /// It was downloaded completely.
    Fetched,
    /// A part of it existed and was resumed.
    Resumed,
}

#[derive(Debug, Serialize)]
struct Fetched {
    name: FileName,
    path: PathBuf,
    blob: Digest,
    size: u64,
    state: Origin,
}

impl Args {
    /// The server and the names that the command is about, first the one that it changes.
    pub(super) fn subject(&self) -> (&Remote, Vec<&ManifestName>) {
        (&self.remote, vec![&self.target.name])
    }
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let client = args.remote.client()?;
    let release = read_release(&client, &args.target).await?;
    let wanted = choose(&release, &args.target, &args.files)?;
    let root = args.output.as_path();
    std::fs::create_dir_all(root)
        .map_err(|error| CliError::io(format_args!("make the directory {}", root.display()), &error))?;
    let names: Vec<&str> = wanted.iter().map(|artifact| artifact.name.as_str()).collect();
    merging::check(root, &names)?;
    let written = Arc::default();
    let progress = Progress::new(context, "fetching", wanted.iter().map(|artifact| artifact.blob.size).sum());
    let (client, progress_ref, written) = (&client, &progress, &written);
    // In the order of the manifest rather than of completion, so that the output is deterministic.
    let fetched: Vec<Fetched> = stream::iter(wanted)
        .map(|artifact| async move {
            let origin = part::obtain(client, root, artifact, &progress_ref.meter(), written).await?;
            let path = root.join(artifact.name.as_str());
            let Artifact { name, blob, .. } = artifact.clone();
            Ok::<_, CliError>(Fetched { name, path, blob: blob.digest, size: blob.size, state: origin })
        })
        .buffered(args.jobs.get())
        .and_then(|fetched| async move {
            if !context.json {
                output::line(format_args!("{}  {}", fetched.blob, fetched.path.display()))?;
            }
            Ok(fetched)
        })
        .try_collect()
        .await?;
    drop(progress);
    summarise(&args, &release, &fetched, context)
}

fn summarise(args: &Args, release: &Release, fetched: &[Fetched], context: &Context) -> Result<(), CliError> {
    if context.json {
        return output::json(&json!({
            "name": args.target.name,
            "version": release.published.version,
            "generation": release.published.generation,
            "manifest": release.published.digest,
            "directory": args.output,
            "files": fetched,
        }));
    }
    let present = fetched.iter().filter(|file| file.state == Origin::Present).count();
    output::note(format_args!("{} fetched, {present} already there", super::table::files(fetched.len() - present)));
    Ok(())
}

/// Reads a manifest once. Everything else is addressed by its digests, so that versions never mix.
pub(super) async fn read_release(client: &Client, target: &Target) -> Result<Release, CliError> {
    let published = client.get_manifest(target).await?;
    let manifest = release::read(&published.bytes).map_err(|error| {
        CliError::new(Exit::Failure, "MANIFEST_INVALID", format!("The manifest of {target} is of no use: {error}."))
    })?;
    Ok(Release { published, manifest })
}

/// The artifacts with these names, without duplicates; all of them if no name is given.
pub(super) fn choose<'a>(
    release: &'a Release,
    target: &Target,
    files: &[FileName],
) -> Result<Vec<&'a Artifact>, CliError> {
    let artifacts = &release.manifest.files;
    if files.is_empty() {
        return Ok(artifacts.iter().collect());
    }
    let index = FileIndex::new(artifacts);
    let unknown: Vec<_> = files.iter().filter(|file| index.find(file).is_none()).collect();
    if unknown.is_empty() {
        let mut seen = HashSet::new();
        let known = files.iter().filter_map(|file| index.find(file)).filter(|at| seen.insert(*at));
        return Ok(known.map(|at| &artifacts[at]).collect());
    }
    let list = |names: &mut dyn Iterator<Item = &FileName>| names.map(FileName::as_str).collect::<Vec<_>>().join(", ");
    let more = artifacts.len().saturating_sub(MAX_LISTED);
    let detail = format!(
        "{target} has no file {}. It has: {}{}.",
        list(&mut unknown.iter().copied()),
        list(&mut artifacts.iter().map(|artifact| &artifact.name).take(MAX_LISTED)),
        if more > 0 { format!(" and {more} more") } else { String::new() }
    );
    Err(CliError::new(Exit::NotFound, "FILE_UNKNOWN", detail).with("unknown", json!(unknown)))
}
