//! `larder catalog add`

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use serde_json::json;

use super::author::{Author, AuthorArgs, now, public};
use super::replay;
use super::wares::{self, WareArg};
use crate::cli::remote::Remote;
use crate::cli::{CliError, Context, Exit, output, publish, values};
use crate::client::Client;
use crate::domain::catalog::{CatalogName, Document, Item, Release, Replay};
use crate::domain::manifest::{Descriptor, release};
use crate::domain::{Carried, Digest, FileName, Manifest, ManifestName, PinOwner, Target};
use crate::wire::Row;

/// Arguments of `larder catalog add`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Publishes the release as CATALOG/RELEASE, pins it so that it is kept, and lists it on top, by the digest of its \
manifest: what is published there later changes nothing in the catalog. Each file is an item unless --item says \
otherwise.

Examples:
  larder catalog add example.org/tool v1.0 dist -k author.key --track stable
  larder catalog add example.org/tool v1.0 --from tool/main@17 -k author.key
  larder catalog add example.org/tool v1.0 dist -k author.key --item linux-amd64=tool-linux.tar.gz --ware auto
  larder catalog add example.org/tool v1.0 dist -k author.key --replay module.tl"
)]
pub(super) struct Args {
    /// The catalog
    #[arg(value_name = "CATALOG")]
    catalog: CatalogName,

    /// The release's name in it, such as v1.0
    #[arg(value_name = "RELEASE")]
    release: String,

    /// Files and directories to publish, as for `larder publish`
    #[arg(value_name = "FILE", required_unless_present = "from", conflicts_with = "from")]
    files: Vec<PathBuf>,

    /// List this version, which is published already
    #[arg(long, value_name = "NAME[@SELECTOR]")]
    from: Option<Target>,

    /// The name to publish it under, if not CATALOG/RELEASE
    #[arg(long, value_name = "NAME", value_parser = values::name, conflicts_with = "from")]
    to: Option<ManifestName>,

    /// An item, and the file that it is; as often as there are items
    #[arg(long = "item", value_name = "ITEM=FILE", value_parser = publish::key_value)]
    items: Vec<(String, String)>,

    /// The WareIDs of items: computed for all that are tars by their names, or stated for one
    ///
    /// Files whose names end with .tar, .tar.gz or .tgz are read. A stated one may be of an item that is no file, such as a
    /// commit: src=git:4fef…
    #[arg(long = "ware", value_name = "auto|ITEM=WARE")]
    wares: Vec<WareArg>,

    /// The file with the module that made the release; it is no item, and its products must be the items
    #[arg(long, value_name = "FILE")]
    replay: Option<FileName>,

    /// A fact about the release
    #[arg(long = "meta", value_name = "KEY=VALUE", value_parser = publish::key_value)]
    metadata: Vec<(String, String)>,

    /// A track that the release is on, such as stable
    #[arg(long = "track", value_name = "TRACK", value_delimiter = ',')]
    tracks: Vec<String>,

    #[command(flatten)]
    author: AuthorArgs,

    #[command(flatten)]
    remote: Remote,
}

/// A version that is published.
struct Listed {
    at: ManifestName,
    row: Row,
    items: BTreeMap<String, Item>,
    digest: Digest,
    size: u64,
}

impl Args {
    /// The catalog, and the name of what is listed if that is published already.
    pub(super) fn subject(&self) -> (&Remote, &CatalogName, Option<&ManifestName>) {
        (&self.remote, &self.catalog, self.from.as_ref().map(|from| &from.name))
    }
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let signers = args.author.signer.load()?;
    let client = args.remote.writer(context).await?;
    let own = public(&signers);
    let author = Author { client: &client, name: &args.catalog, args: &args.author, signers: &signers, own, context };
    let before = author.document().await?;
    let listed = match &args.from {
        Some(target) => standing(&args, &client, target, |digest| same(&before, &args.release, digest)).await?,
        // Nothing is published that could not be listed.
        None => published(&args, &client, |digest| same(&before, &args.release, digest), context).await?,
    };
    let known = before.release(&args.release).cloned();
    let is_known = known.is_some();
    let release = known.unwrap_or_else(|| describe(&args, &listed));
    // Pinned before it is listed: from then on nothing that is listed can go away.
    let version = Target::numbered(listed.at.clone(), listed.row.number);
    client.set_pin_of(&version, &PinOwner::Catalog(args.catalog.clone()), (true, false, None)).await?;
    let document = if is_known {
        output::note(format_args!("{} is listed already", release.name));
        before
    } else {
        Box::pin(author.edit(|document| list(document, &release))).await?
    };
    if context.json {
        return output::json(&json!({
            "catalog": document.name, "serial": document.serial, "expires": document.expires,
            "release": release, "version": listed.row.number,
        }));
    }
    output::line(format_args!("{}:{} {}", document.name, release.name, release.manifest))?;
    output::note(format_args!("serial {}, valid until {}", document.serial, document.expires));
    Ok(())
}

/// Publishes the files.
async fn published(
    args: &Args,
    client: &Client,
    refuse: impl FnOnce(Digest) -> Result<(), CliError>,
    context: &Context,
) -> Result<Listed, CliError> {
    let own = || args.catalog.release(&args.release);
    let name = args.to.clone().or_else(own).ok_or_else(|| {
        let detail = format!("{:?} cannot be the last part of a name; give one with --to NAME.", args.release);
        CliError::usage(detail)
    })?;
    let mut words: Vec<OsString> = vec![name.as_str().into(), "--label".into(), args.release.clone().into()];
    words.push("--".into());
    words.extend(args.files.iter().map(|path| path.clone().into_os_string()));
    let arguments = publish::Args::of(words)?;
    let gathered = Box::pin(publish::gathered(&arguments, client, context)).await?;
    let mut items = items(args, gathered.manifest())?;
    // Before anything is published: a file may turn out to be no tar, or a module of something else.
    let open = async |blob: Descriptor| Ok(gathered.content(blob.digest).await?.open(0).await?);
    Box::pin(wares::give(&mut items, &args.wares, gathered.manifest(), open)).await?;
    if let Some(file) = &args.replay {
        let replay = replay::module(gathered.manifest(), file, open).await?;
        replay::check(&args.release, &items, &replay)?;
    }
    let (bytes, published) = Box::pin(gathered.publish(refuse, context)).await?;
    let row = client.row(&Target::numbered(name.clone(), published.receipt.version)).await?;
    Ok(Listed { at: name, row, items, digest: Digest::of(&bytes), size: bytes.len() as u64 })
}

/// Looks up a version that is published already.
async fn standing(
    args: &Args,
    client: &Client,
    target: &Target,
    refuse: impl FnOnce(Digest) -> Result<(), CliError>,
) -> Result<Listed, CliError> {
    let published = client.get_manifest(target).await?;
    refuse(published.digest)?;
    let found = published.found(&target.name).unwrap_or_else(|| target.clone());
    let row = client.row(&found).await?;
    if row.manifest != published.digest {
        let detail = format!("{target} changed while it was read; run this again.");
        return Err(CliError::new(Exit::Precondition, "CHANGED_MEANWHILE", detail));
    }
    let manifest = release::read(&published.bytes).map_err(|error| {
        CliError::new(Exit::Failure, "MANIFEST_INVALID", format!("The manifest of {target} is of no use: {error}."))
    })?;
    let mut items = items(args, &manifest)?;
    let open = async |blob| wares::stored(client, blob).await;
    Box::pin(wares::give(&mut items, &args.wares, &manifest, open)).await?;
    if let Some(file) = &args.replay {
        let replay = replay::module(&manifest, file, open).await?;
        replay::check(&args.release, &items, &replay)?;
    }
    Ok(Listed { at: found.name, row, items, digest: published.digest, size: published.bytes.len() as u64 })
}

/// The items that the arguments name: all files, unless they say otherwise.
fn items(args: &Args, manifest: &Manifest) -> Result<BTreeMap<String, Item>, CliError> {
    let file = |(item, file): &(String, String)| {
        let name: FileName = file.parse().map_err(|error| CliError::usage(format!("--item {item}: {error}.")))?;
        let own = name.as_str() == item;
        Ok((item.clone(), Item { file: Some(name).filter(|_| !own), ..Item::default() }))
    };
    if args.items.is_empty() {
        let files = manifest.files.iter().filter(|file| args.replay.as_ref() != Some(&file.name));
        return Ok(files.map(|file| (file.name.to_string(), Item::default())).collect());
    }
    args.items.iter().map(file).collect()
}

fn describe(args: &Args, listed: &Listed) -> Release {
    let mut metadata: BTreeMap<String, String> = args.metadata.iter().cloned().collect();
    if !args.tracks.is_empty() {
        metadata.insert("tracks".into(), args.tracks.join(","));
    }
    Release {
        name: args.release.clone(),
        at: listed.at.to_string(),
        manifest: listed.digest,
        size: listed.size,
        published: now(),
        items: listed.items.clone(),
        metadata: Some(metadata).filter(|metadata| !metadata.is_empty()),
        hazards: None,
        replay: args.replay.clone().map(|file| Replay { file, other: Carried::default() }),
        other: Carried::default(),
    }
}

/// Lists a release on top, unless it is there as it is to be.
fn list(document: &mut Document, release: &Release) -> Result<(), CliError> {
    same(document, &release.name, release.manifest)?;
    if document.release(&release.name).is_none() {
        document.releases.insert(0, release.clone());
    }
    Ok(())
}

/// Fails if the release is listed with another manifest.
fn same(document: &Document, release: &str, manifest: Digest) -> Result<(), CliError> {
    match document.release(release) {
        Some(found) if found.manifest != manifest => {
            let detail = format!(
                "The catalog lists {release:?} already, with the manifest {}. What is listed never changes: give the \
                 release another name, and this one a hazard if it must not be used.",
                found.manifest
            );
            Err(CliError::new(Exit::Precondition, "RELEASE_CHANGED", detail))
        }
        _ => Ok(()),
    }
}
