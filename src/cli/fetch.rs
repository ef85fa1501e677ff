//! `larder fetch`

mod destination;
mod merging;
mod part;
mod reading;
mod standing;

use std::collections::HashSet;
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap_complete::ArgValueCompleter;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Serialize;
use serde_json::json;

pub(super) use self::reading::{Reading, Release, read, read_any, read_release};
use self::standing::Standing;
use super::platform::PlatformArgs;
use super::progress::Progress;
use super::remote::Remote;
use super::sources::Servers;
use super::table::{Column, Table, size};
use super::trust::{TrustArgs, Verified};
use super::{CliError, Context, Exit, complete, output, values};
use crate::client::Client;
use crate::domain::manifest::{Artifact, oci};
use crate::domain::{Digest, FileName, ManifestName, Target};

/// Maximum number of names listed in an error.
const MAX_LISTED: usize = 50;

/// Arguments of `larder fetch`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "All files come from one version, even if somebody publishes meanwhile. Files that are already there are kept; \
interrupted downloads continue where they stopped. A file appears under its name only when it is complete and \
verified, and executable if it was published so. Files that the server has, such as those of an earlier fetch, are \
replaced; for others say --force. Prints what `sha256sum -c` reads.

Examples:
  larder fetch miren/main --output dist
  larder fetch miren/main@previous miren-linux-amd64.zip
  larder fetch miren/main --source source.tar.gz
  larder fetch miren/main --verify-key release.key.pub
  larder fetch miren/main --trust trust.toml"
)]
pub struct Args {
    /// The version (without a selector: the active one)
    #[arg(value_name = "NAME[@SELECTOR]", add = ArgValueCompleter::new(complete::names))]
    target: Target,

    /// Names of the files to fetch (default: all)
    #[arg(value_name = "FILE", conflicts_with = "Platform")]
    files: Vec<FileName>,

    /// Directory to write to; made if it is not there
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    output: PathBuf,

    /// Fetch the source snapshot instead, and give it this name
    #[arg(long, value_name = "FILE", conflicts_with = "files")]
    source: Option<FileName>,

    /// Replace other files with the same names, although the server does not have their content
    #[arg(long)]
    force: bool,

    /// Show what would be fetched and replaced, and change nothing
    #[arg(long)]
    dry_run: bool,

    /// How many files to transfer at once
    #[arg(short, long, value_name = "N", default_value = "4", value_parser = values::positive)]
    jobs: NonZeroUsize,

    #[command(flatten)]
    platform: PlatformArgs,

    #[command(flatten)]
    trust: TrustArgs,

    #[command(flatten)]
    remote: Remote,
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
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    executable: bool,
    state: Origin,
}

impl Args {
    /// Arguments that fetch what these words say: a version, files and options.
    pub(super) fn of(words: impl IntoIterator<Item = OsString>) -> Result<Self, CliError> {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            args: Args,
        }
        let line = <Line as clap::Parser>::try_parse_from(std::iter::once("fetch".into()).chain(words));
        line.map(|line| line.args).map_err(|error| CliError::usage(error.to_string()))
    }

    /// The server and the names that the command is about, first the one that it changes.
    pub(super) fn subject(&self) -> (&Remote, Vec<&ManifestName>) {
        (&self.remote, vec![&self.target.name])
    }
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let servers = args.remote.readers()?;
    with(args, &servers, context).await
}

/// Fetches from these servers.
pub(super) async fn with(args: Args, servers: &Servers, context: &Context) -> Result<(), CliError> {
    let Reading { release, verified, client, .. } = read(servers, &args.target, &args.trust, context).await?;
    let client = &client;
    let source = args.source.as_ref().map(|name| source(&release, &args.target, name)).transpose()?;
    let for_platform = args.platform.choose(&args.target, &release.manifest.files)?;
    let wanted = match source.as_ref().or(for_platform) {
        Some(file) => vec![file],
        None => choose(&release, &args.target, &args.files)?,
    };
    let root = args.output.as_path();
    if root.exists() && !root.is_dir() {
        let root = root.display();
        return Err(CliError::usage(format!("{root} is no directory; --output names the directory to write to.")));
    }
    let standing = if args.force && !args.dry_run {
        vec![Standing::Foreign; wanted.len()]
    } else {
        standing::look(client, root, &wanted, args.jobs.get()).await?
    };
    if args.dry_run {
        return plan(&args, &release, &wanted, &standing, context);
    }
    if !args.force {
        standing::check(root, &wanted, &standing)?;
    }
    std::fs::create_dir_all(root)
        .map_err(|error| CliError::io(format_args!("make the directory {}", root.display()), &error))?;
    let names: Vec<&str> = wanted.iter().map(|artifact| artifact.name.as_str()).collect();
    merging::check(root, &names)?;
    let fetched = transfer(client, &args, &wanted, &standing, context).await?;
    summarise(&args, (&release, verified.as_ref()), &fetched, context)
}

/// Fetches the files, and prints each one in the order of the manifest rather than of completion, so that the output is
/// deterministic.
async fn transfer(
    client: &Client,
    args: &Args,
    wanted: &[&Artifact],
    standing: &[Standing],
    context: &Context,
) -> Result<Vec<Fetched>, CliError> {
    let root = args.output.as_path();
    let written = Arc::default();
    let progress = Progress::new(context, "fetching", wanted.iter().map(|artifact| artifact.blob.size).sum());
    let (progress, written) = (&progress, &written);
    stream::iter(wanted.iter().zip(standing))
        .map(|(artifact, standing)| async move {
            let meter = progress.meter();
            let state = match standing {
                Standing::Present => part::keep(root, artifact, &meter, written).await?,
                _ => part::obtain(client, root, artifact, &meter, written).await?,
            };
            let path = root.join(artifact.name.as_str());
            let Artifact { name, blob, executable, .. } = (*artifact).clone();
            Ok::<_, CliError>(Fetched { name, path, blob: blob.digest, size: blob.size, executable, state })
        })
        .buffered(args.jobs.get())
        .and_then(|fetched| async move {
            if !context.json {
                output::line(sum_line(fetched.blob, &fetched.path))?;
            }
            Ok(fetched)
        })
        .try_collect()
        .await
}

/// A line as `sha256sum` writes it: names with a backslash or a line feed begin with a backslash.
fn sum_line(digest: Digest, path: &Path) -> String {
    let path = path.to_string_lossy();
    if path.contains(['\\', '\n']) {
        let path = path.replace('\\', "\\\\").replace('\n', "\\n");
        return format!("\\{}  {path}", digest.hex());
    }
    format!("{}  {path}", digest.hex())
}

/// The source snapshot as a file with this name.
fn source(release: &Release, target: &Target, name: &FileName) -> Result<Artifact, CliError> {
    let blob = release.manifest.source.ok_or_else(|| {
        let detail = format!("{target} was published without a source snapshot.");
        CliError::new(Exit::NotFound, "SOURCE_UNKNOWN", detail)
    })?;
    let name = name.clone();
    Ok(Artifact::of(name, blob))
}

/// What a fetch would do.
fn plan(
    args: &Args,
    release: &Release,
    wanted: &[&Artifact],
    standing: &[Standing],
    context: &Context,
) -> Result<(), CliError> {
    if context.json {
        let file = |(artifact, state): (&&Artifact, &Standing)| {
            let path = args.output.join(artifact.name.as_str());
            json!({"name": artifact.name, "path": path, "blob": artifact.blob.digest, "size": artifact.blob.size, "state": state})
        };
        return output::json(&json!({
            "dry_run": true,
            "name": args.target.name,
            "version": release.published.version,
            "resolved": release.published.resolved.as_ref().map(ToString::to_string),
            "manifest": release.published.digest,
            "directory": args.output,
            "files": wanted.iter().zip(standing).map(file).collect::<Vec<_>>(),
        }));
    }
    let mut table = Table::new(&[Column::whole("PLAN"), Column::number("SIZE"), Column::whole("FILE")]);
    for (artifact, standing) in wanted.iter().zip(standing) {
        let path = args.output.join(artifact.name.as_str()).display().to_string();
        table.add([standing.plan().to_owned(), size(artifact.blob.size), path]);
    }
    output::line(table.render())?;
    let foreign = standing.iter().filter(|standing| **standing == Standing::Foreign).count();
    if foreign > 0 {
        let files = super::table::files(foreign);
        output::note(format_args!("{files} would be overwritten that the server does not have; it takes --force"));
    }
    Ok(())
}

fn summarise(
    args: &Args,
    (release, verified): (&Release, Option<&Verified>),
    fetched: &[Fetched],
    context: &Context,
) -> Result<(), CliError> {
    if context.json {
        return output::json(&json!({
            "name": args.target.name,
            "version": release.published.version,
            "resolved": release.published.resolved.as_ref().map(ToString::to_string),
            "generation": release.published.generation,
            "manifest": release.published.digest,
            "directory": args.output,
            "verified": verified,
            "files": fetched,
        }));
    }
    if release.manifest.files.is_empty() {
        output::note(format_args!("{} {}", args.target, nothing_in(release)));
        return Ok(());
    }
    let present = fetched.iter().filter(|file| file.state == Origin::Present).count();
    output::note(format_args!("{} fetched, {present} already there", super::table::files(fetched.len() - present)));
    Ok(())
}

/// What to say of a release without files.
fn nothing_in(release: &Release) -> &'static str {
    if oci::is_oci(&release.manifest.media_type) {
        "has no files with names; container clients pull it"
    } else {
        "has no files"
    }
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
    let index = &release.index;
    let unknown: Vec<_> = files.iter().filter(|file| index.find(file).is_none()).collect();
    if unknown.is_empty() {
        let mut seen = HashSet::new();
        let known = files.iter().filter_map(|file| index.find(file)).filter(|at| seen.insert(*at));
        return Ok(known.map(|at| &artifacts[at]).collect());
    }
    let list = |names: &mut dyn Iterator<Item = &FileName>| names.map(FileName::as_str).collect::<Vec<_>>().join(", ");
    let more = artifacts.len().saturating_sub(MAX_LISTED);
    let offer = if artifacts.is_empty() {
        format!("It {}", nothing_in(release))
    } else {
        let names = list(&mut artifacts.iter().map(|artifact| &artifact.name).take(MAX_LISTED));
        format!("It has: {names}{}", if more > 0 { format!(" and {more} more") } else { String::new() })
    };
    let detail = format!("{target} has no file {}. {offer}.", list(&mut unknown.iter().copied()));
    Err(CliError::new(Exit::NotFound, "FILE_UNKNOWN", detail).with("unknown", json!(unknown)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_lines_that_sha256sum_reads() {
        let (digest, hex) = (Digest::of(b""), Digest::of(b"").hex());
        assert_eq!(sum_line(digest, Path::new("a b")), format!("{hex}  a b"));
        assert_eq!(sum_line(digest, Path::new("a\\b")), format!("\\{hex}  a\\\\b"));
    }
}
