//! `larder publish`

mod document;
mod facts;
mod inputs;
pub(super) mod local_files;
pub(super) mod naming;
mod parse;
mod parts;
mod plan;
mod problems;
pub(super) mod remarks;
pub(super) mod session;
mod signed;
mod site;
mod spool;
mod sums;
pub(super) mod text;
mod unchanged;
mod variants;
mod within;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use clap_complete::ArgValueCompleter;
use jiff::Timestamp;
use serde_json::{Value, json};

use self::inputs::{Left, TreeOptions};
use self::local_files::{Hashed, LocalFiles};
use self::parse::is_stdin;
pub(super) use self::parse::parse;
use self::remarks::Remarks;
use self::session::{Publication, Published};
use self::signed::SigningArgs;
use self::site::{RuleTexts, SiteArgs};
pub(super) use self::within::gathered;
use super::expect::ExpectArgs;
use super::promote::{standing, word};
use super::remote::Remote;
use super::{CliError, Context, complete, output, table, values};
use crate::client::{Client, ImportOrigin, Upload};
use crate::clock::{Clock as _, SystemClock};
use crate::config::Size;
use crate::domain::manifest::Kind;
use crate::domain::{FileName, ManifestName};

/// Arguments of `larder publish`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Readers see the new version with all its files at once, or not at all. Only what the server does not have yet is \
uploaded. If files and description are those of the active version already, nothing changes. Prints NAME@VERSION \
and the manifest's digest.

Examples:
  larder publish miren/main --label main:abc1234 dist/*.tar.gz
  larder publish site --kind static ./public
  pg_dump app | larder publish backup/app app.sql=-
  larder publish tool dist/* --label v1 --part linux --parts linux,macos
  larder publish miren/main dist/* -k release.key --expires 90days
  larder publish miren/main --manifest manifest.json --files dist"
)]
pub struct Args {
    /// The name to publish under
    #[arg(value_name = "NAME", value_parser = values::name, add = ArgValueCompleter::new(complete::names))]
    name: ManifestName,

    /// PATH, FILENAME=PATH (- is stdin) to give another name, or a directory
    ///
    /// The files of a directory are named relative to it; hidden ones are left out, and those that its .larderignore
    /// excludes. Links out of it are refused. An argument that is an existing file is that file, even if it holds an equals
    /// sign.
    #[arg(value_name = "FILE", required_unless_present = "manifest", conflicts_with = "manifest")]
    files_given: Vec<PathBuf>,

    /// Publish this ready manifest (`-`: stdin), byte for byte
    ///
    /// A site has the variants that it lists; its rules are checked before if --files has them.
    #[arg(long, value_name = "FILE", conflicts_with = "Description")]
    manifest: Option<PathBuf>,

    /// Where the files of --manifest are, each under its name
    #[arg(long, value_name = "DIR", requires = "manifest")]
    files: Option<PathBuf>,

    /// File with the source snapshot, published along
    #[arg(long, value_name = "FILE")]
    source: Option<PathBuf>,

    #[command(flatten)]
    tree: TreeOptions,

    /// This job publishes only this part of the release, whose label is --label
    ///
    /// The release becomes visible when all --parts are there; whichever job brings the last one completes it, and is told
    /// if the rules of a site cannot work.
    #[arg(long, value_name = "PART", requires_all = ["parts", "label"], conflicts_with_all = ["manifest", "source", "dry_run", "new_version", "sums"])]
    part: Option<String>,

    /// The parts of the release, the same for all jobs: linux,macos,windows
    #[arg(long, value_name = "PART,...", value_delimiter = ',', requires = "part")]
    parts: Vec<String>,

    /// Make a new version even if only the build date differs from the published one
    #[arg(long, conflicts_with = "manifest")]
    new_version: bool,

    /// Stage it only: readers do not see it until it is promoted
    #[arg(long)]
    stage: bool,

    #[command(flatten)]
    expect: ExpectArgs,

    /// Show what would be uploaded and the manifest, and change nothing
    #[arg(long)]
    dry_run: bool,

    /// How many files to hash and transfer at once; of small ones, 16 times as many up to 64, unless it is 1
    #[arg(short, long, value_name = "N", default_value = "4", value_parser = values::positive)]
    jobs: NonZeroUsize,

    /// Upload files of this size and more so that they can be resumed [default: 64MiB]
    #[arg(long, value_name = "SIZE", hide = true)]
    resumable_from: Option<Size>,

    #[command(flatten)]
    description: Description,

    #[command(flatten)]
    site: SiteArgs,

    #[command(flatten)]
    signing: SigningArgs,

    #[command(flatten)]
    remote: Remote,
}

/// What the manifest says beside its files.
#[derive(Debug, Default, clap::Args)]
#[group(id = "Description", multiple = true)]
#[command(next_help_heading = "Manifest")]
struct Description {
    /// Your own version text, such as main:abc1234
    #[arg(long, value_name = "TEXT", alias = "version-text")]
    label: Option<String>,

    /// The commit that was built
    #[arg(long, value_name = "SHA")]
    commit: Option<String>,

    /// When it was built (default: `SOURCE_DATE_EPOCH`, else now)
    #[arg(long, value_name = "RFC3339", value_parser = values::time)]
    build_date: Option<Timestamp>,

    /// What kind of release it is (a dynamic one needs more: use --manifest)
    #[arg(long, value_enum, default_value_t)]
    kind: KindArg,

    /// The file that a static site starts from (default: index.html)
    #[arg(long, value_name = "FILENAME")]
    entrypoint: Option<FileName>,

    /// Add a file SHA256SUMS with the digests of the others, to sign it (without it, readers get one made for them)
    #[arg(long)]
    sums: bool,

    /// Read more from the names of files: system, architecture, C library and format; prints the guesses
    #[arg(long)]
    detect: bool,

    /// Anything else, as often as needed
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    meta: Vec<(String, String)>,
}

/// The kinds that arguments can describe; `dynamic` needs more, and therefore `--manifest`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum KindArg {
    #[default]
    Files,
    Static,
    Oci,
}

impl From<KindArg> for Kind {
    fn from(kind: KindArg) -> Self {
        match kind {
            KindArg::Files => Self::Files,
            KindArg::Static => Self::Static,
            KindArg::Oci => Self::Oci,
        }
    }
}

pub(super) fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write it as KEY=VALUE, such as channel=stable".to_owned()),
    }
}

impl Args {
    /// The server and the names that the command is about, first the one that it changes.
    pub(super) fn subject(&self) -> (&Remote, Vec<&ManifestName>) {
        (&self.remote, vec![&self.name])
    }

    /// Whether the arguments describe a static site.
    fn is_site(&self) -> bool {
        self.manifest.is_none() && self.description.kind == KindArg::Static
    }
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let started = SystemClock.now();
    let piped = |path: &PathBuf| path.as_os_str().as_encoded_bytes().ends_with(b"=-");
    if args.remote.reads_stdin()
        && (args.manifest.as_deref().is_some_and(is_stdin) || args.files_given.iter().any(piped))
    {
        return Err(CliError::usage("stdin cannot give both the token and the manifest or a file."));
    }
    if !args.is_site() {
        args.site.check_unused()?;
    }
    let mut client = args.remote.writer(context).await?;
    if let Some(size) = args.resumable_from {
        client = client.resuming_from(size.bytes());
    }
    if let Some(part) = &args.part {
        if !args.parts.contains(part) {
            return Err(CliError::usage(format!("--part {part} is not among the --parts {}.", args.parts.join(","))));
        }
        return Box::pin(parts::run(&args, part, &client, context)).await;
    }
    let mut publication = gather(&args, &client, context).await?;
    if !context.json {
        publication.remarks.print();
    }
    if args.manifest.is_none() && !args.new_version {
        publication.reuse_unchanged().await?;
    }
    if args.dry_run {
        return plan::show(&publication, context).await;
    }
    let published = site::publish(&mut publication, args.site.allow_changed, context).await?;
    let seconds = SystemClock.now().duration_since(started).as_secs_f64();
    summarise(&publication, &published, seconds, context)
}

/// Reads all local input: the key, the files or the manifest, and the source.
async fn gather<'a>(args: &'a Args, client: &'a Client, context: &Context) -> Result<Publication<'a>, CliError> {
    let signer = args.signing.signer(&args.name)?;
    let source = match &args.source {
        Some(path) => Some(local_files::fingerprint(path.clone()).await?),
        None => None,
    };
    let (bytes, mut files, left, rules) = if let Some(path) = &args.manifest {
        let bytes = parse::read(path)?;
        let manifest = parse(&bytes)?;
        let files = args.files.as_deref().map(|files| LocalFiles::below(files, &manifest)).unwrap_or_default();
        let rules = site::rule_texts_of(&manifest, &files).await?;
        (bytes, files, Left::default(), rules)
    } else {
        describe_files(args, source.as_ref(), context).await?
    };
    if let Some(upload) = source {
        files.add(Arc::new(upload));
    }
    let manifest = parse(&bytes)?;
    let warnings = site::check_rules(rules, &manifest)?;
    Ok(Publication {
        client,
        name: &args.name,
        remarks: Remarks::new(left, &manifest).with_guesses(&manifest, args.description.detect).with_warnings(warnings),
        unchanged: false,
        manifest,
        bytes,
        files,
        activate: !args.stage,
        expect: args.expect.get(),
        from: ImportOrigin::default(),
        signer,
        jobs: args.jobs.get(),
    })
}

/// Hashes the files of the arguments and generates their manifest. Also returns what was left out, and the rules of a site.
async fn describe_files(
    args: &Args,
    source: Option<&Upload>,
    context: &Context,
) -> Result<(Bytes, LocalFiles, Left, RuleTexts), CliError> {
    let (mut hashed, left, settings) = read_files(args, context).await?;
    let rules = if args.is_site() { site::rule_texts(&hashed).await? } else { RuleTexts::default() };
    if args.description.sums {
        hashed.push(sums::of(&hashed)?);
    }
    let source = source.map(|upload| upload.fingerprint.blob);
    let bytes = document::write(&args.description, &hashed, settings.as_ref(), source, args.new_version)?;
    let mut files = LocalFiles::default();
    for file in hashed {
        files.add(file.content);
    }
    Ok((bytes, files, left, rules))
}

/// Reads and hashes the files of the arguments. Those of a site come with their variants; also returns what was left out,
/// and the settings of a site.
async fn read_files(args: &Args, context: &Context) -> Result<(Vec<Hashed>, Left, Option<Value>), CliError> {
    let arguments = args.files_given.clone();
    let options = args.tree.for_site(args.is_site());
    let collect = tokio::task::spawn_blocking(move || inputs::collect(&arguments, &options));
    let inputs = collect.await.map_err(anyhow::Error::from)??;
    let mut hashed = local_files::hash(inputs.files, args.is_site(), args.jobs.get(), context).await?;
    if !args.is_site() {
        return Ok((hashed, inputs.left, None));
    }
    if let Some(codings) = args.site.codings() {
        variants::add(&mut hashed, &codings, args.jobs.get(), context).await?;
    }
    Ok((hashed, inputs.left, args.site.settings()?))
}

fn summarise(
    publication: &Publication<'_>,
    published: &Published,
    seconds: f64,
    context: &Context,
) -> Result<(), CliError> {
    let Published { receipt, uploaded, signature } = published;
    let (files, bytes) = (publication.manifest.files.len(), publication.manifest.total_bytes());
    let blobs = &publication.manifest.blobs;
    let reused = blobs.iter().filter(|blob| !uploaded.contains_key(&blob.digest));
    let (reused_blobs, reused_bytes) = reused.fold((0_u64, 0), |(count, sum), blob| (count + 1, sum + blob.size));
    let uploaded_bytes: u64 = uploaded.values().sum();
    if context.json {
        let mut document = serde_json::to_value(receipt).map_err(anyhow::Error::from)?;
        document["files"] = json!(files);
        document["total_bytes"] = json!(bytes);
        document["uploaded"] = json!({ "blobs": uploaded.len(), "bytes": uploaded_bytes });
        document["reused"] = json!({ "blobs": reused_blobs, "bytes": reused_bytes });
        document["seconds"] = json!(seconds);
        if let Some(signature) = signature {
            document["signature"] = signature.shown.clone();
        }
        publication.remarks.add_to(&mut document);
        return output::json(&document);
    }
    output::line(format_args!("{}@{} {}", receipt.name, receipt.version, receipt.manifest))?;
    if let Some(signature) = signature {
        signature.report();
    }
    if receipt.unchanged {
        let (name, version) = (&receipt.name, receipt.version);
        output::note(format_args!("unchanged: {name}@{version} has this content and {}", standing(receipt)));
        return Ok(());
    }
    let (files, bytes) = (table::files(files), table::size(bytes));
    let (sent, kept) = (table::size(uploaded_bytes), table::size(reused_bytes));
    output::note(format_args!(
        "{} with {files}, {bytes}: {sent} uploaded, {kept} reused, {seconds:.1} s",
        word(receipt)
    ));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_key_and_value() {
        assert_eq!(key_value("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert_eq!(key_value("a="), Ok(("a".into(), String::new())));
        assert!(key_value("a").is_err() && key_value("=b").is_err());
    }
}
