//! `larder import flat`: channels of files, each with a `.sha256` beside it, and a `version.json`.
//!
//! Layout: `PREFIX/CHANNEL/FILE`. A file counts only if its bytes, its `.sha256` and its entry in `version.json` agree, as
//! far as they are there: while a channel is being replaced, they do not.

mod place;

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use reqwest::Url;
use serde_json::{Map, Value};

use self::place::{Document, Layout};
use super::Common;
use super::release::{Claim, File, MISSING, Release, TORN, Trouble, UNREADABLE, checksum, file_name, name_below};
use crate::cli::{CliError, values};
use crate::client::ImportOrigin;
use crate::domain::Digest;
use crate::wire::is_origin_url;

/// Name of the document that describes a channel.
const VERSION: &str = "version.json";
const SIDECAR: &str = ".sha256";
/// Largest `version.json`, in bytes.
const MAX_VERSION: usize = 4 << 20;
/// Largest `.sha256`, in bytes.
const MAX_SIDECAR: usize = 4 << 10;
/// Members of an artifact in `version.json` that are kept.
const KEPT_MEMBERS: [&str; 3] = ["platform", "arch", "media_type"];

/// Arguments of `larder import flat`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "PREFIX/CHANNEL/FILE at the source becomes FILE of the name NAME/CHANNEL. version.json gives the label, the build \
date and all other members of the manifest; the time of its last change is kept as the time of publication. It \
and the .sha256 files are not imported themselves: they follow from the manifest.

A directory is searched for channels; a server cannot be, so --channel names them, and version.json or --file \
the files of each.

Examples:
  larder import flat /srv/assets release/miren --dry-run
  larder import flat https://example.org/assets miren --channel main,latest
  larder import flat https://example.org/assets .=miren/_root \\
    --channel . --file install.sh"
)]
pub(super) struct Args {
    /// A directory, or the address of a server
    #[arg(value_name = "SOURCE")]
    source: String,

    /// Path below SOURCE whose directories are the channels, and what their names begin with [default: its last part]
    #[arg(value_name = "PREFIX[=NAME]", required = true)]
    prefixes: Vec<Prefix>,

    /// Only these channels (`.`: files that lie in PREFIX itself)
    #[arg(long = "channel", value_name = "CHANNEL", value_delimiter = ',')]
    channels: Vec<String>,

    /// Files that no version.json lists
    #[arg(long = "file", value_name = "FILE", value_delimiter = ',')]
    files: Vec<String>,

    /// Address at which a directory was served, to be kept with the versions
    #[arg(long, value_name = "URL")]
    origin: Option<Url>,

    /// How long to wait when the source allows no more requests
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = values::wait)]
    max_wait: std::time::Duration,

    /// How often a failed request to the source is tried again
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = values::retries)]
    source_retries: u32,

    #[command(flatten)]
    pub(super) common: Common,
}

/// `PATH[=NAME]`
#[derive(Debug, Clone, PartialEq, Eq)]
struct Prefix {
    path: String,
    name: String,
}

impl FromStr for Prefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (path, name) = text.split_once('=').map_or((text, None), |(path, name)| (path, Some(name)));
        let path = path.trim_matches('/');
        let path = if path == "." { "" } else { path };
        if path.split('/').any(|segment| matches!(segment, "." | "..")) {
            return Err("a prefix has no . or .. in it".to_owned());
        }
        let name = name.or_else(|| path.rsplit('/').next()).filter(|name| !name.is_empty());
        let name = name.ok_or("say what the names begin with: PREFIX=NAME")?.trim_end_matches('/');
        Ok(Self { path: path.to_owned(), name: name.to_owned() })
    }
}

/// Describes all channels. Reads small documents only.
pub(super) async fn read(args: &Args) -> Result<Vec<Release>, CliError> {
    let layout = Layout::open(&args.source, args.source_retries, args.max_wait)?;
    if !layout.lists() && args.channels.is_empty() {
        return Err(CliError::usage("A server does not list its channels: name them with --channel main,latest,…"));
    }
    let mut releases = Vec::new();
    for prefix in &args.prefixes {
        let channels = if args.channels.is_empty() { layout.channels(&prefix.path)? } else { args.channels.clone() };
        if channels.is_empty() {
            let detail = format!("There are no files below {:?} in {}.", prefix.path, args.source);
            return Err(CliError::new(crate::cli::Exit::NotFound, "SOURCE_EMPTY", detail));
        }
        for channel in channels {
            releases.push(describe(args, &layout, prefix, &channel).await?);
        }
    }
    Ok(releases)
}

/// Describes one channel.
async fn describe(args: &Args, layout: &Layout, prefix: &Prefix, channel: &str) -> Result<Release, CliError> {
    let mut troubles = Vec::new();
    let name = name_below(&prefix.name, channel, &mut troubles);
    let parts = [prefix.path.as_str(), if channel == "." { "" } else { channel }];
    let path = parts.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join("/");
    let safe = !path.split('/').any(|segment| matches!(segment, "." | ".."));
    let shown = if path.is_empty() { ".".to_owned() } else { path.clone() };
    let mut release = Release {
        shown,
        name,
        from: ImportOrigin::default(),
        activate: true,
        document: Map::new(),
        files: Vec::new(),
        troubles,
    };
    if !safe {
        release.troubles.push(Trouble::general(UNREADABLE, "a channel has no . or .. in it"));
        return Ok(release);
    }
    let version = version(layout, &path, &mut release.troubles).await?;
    let listing = layout.files(&path)?;
    let names = names(listing.as_ref(), &version.entries, &args.files, &mut release.troubles);
    let jobs = args.common.jobs.get();
    let mut described =
        stream::iter(names).map(|name| describe_file(layout, &path, name, &version, listing.as_ref())).buffered(jobs);
    while let Some((file, mut troubles)) = described.try_next().await? {
        release.files.extend(file);
        release.troubles.append(&mut troubles);
    }
    drop(described);
    let url = layout.address(&path, args.origin.as_ref()).map(String::from);
    let published_at = version.modified.or_else(|| built(&version.document));
    release.from = ImportOrigin { url: url.filter(|url| is_origin_url(url)), published_at };
    release.document = version.document;
    Ok(release)
}

fn built(document: &Map<String, Value>) -> Option<Timestamp> {
    document.get("build_date")?.as_str()?.parse().ok()
}

/// What a `version.json` says.
#[derive(Debug, Default)]
struct Version {
    modified: Option<Timestamp>,
    document: Map<String, Value>,
    entries: BTreeMap<String, Map<String, Value>>,
}

async fn version(layout: &Layout, path: &str, troubles: &mut Vec<Trouble>) -> Result<Version, CliError> {
    let Some(found) = document(layout, path, VERSION, MAX_VERSION, troubles).await? else {
        return Ok(Version::default());
    };
    let parsed = serde_json::from_slice::<Map<String, Value>>(&found.bytes);
    let mut document = match parsed {
        Ok(document) => document,
        Err(error) => {
            troubles.push(Trouble::of(UNREADABLE, &VERSION, format!("it is not a JSON object: {error}")));
            return Ok(Version { modified: found.modified, ..Version::default() });
        }
    };
    let entries = match document.remove("artifacts") {
        Some(Value::Array(entries)) => entries,
        _ => Vec::new(),
    };
    let named = entries.into_iter().filter_map(|entry| match entry {
        Value::Object(entry) => Some((entry.get("name")?.as_str()?.to_owned(), entry)),
        _ => None,
    });
    Ok(Version { modified: found.modified, document, entries: named.collect() })
}

/// Reads a small document. One that cannot be read is a trouble, unless nothing can be any more.
async fn document(
    layout: &Layout,
    path: &str,
    name: &str,
    limit: usize,
    troubles: &mut Vec<Trouble>,
) -> Result<Option<Document>, CliError> {
    match layout.read(path, name, limit).await {
        Ok(found) => Ok(found),
        Err(error) if error.exit() == crate::cli::Exit::Unavailable => Err(error),
        Err(error) => {
            troubles.push(Trouble::of(UNREADABLE, &name, error.to_string()));
            Ok(None)
        }
    }
}

/// The names of all files that the channel has or should have.
fn names(
    listing: Option<&BTreeSet<String>>,
    entries: &BTreeMap<String, Map<String, Value>>,
    given: &[String],
    troubles: &mut Vec<Trouble>,
) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = entries.keys().chain(given).cloned().collect();
    for name in listing.into_iter().flatten() {
        match name.strip_suffix(SIDECAR) {
            _ if name == VERSION => {}
            None => {
                names.insert(name.clone());
            }
            Some(file) if listing.is_some_and(|listing| listing.contains(file)) || names.contains(file) => {}
            Some(_) => troubles.push(Trouble::of(MISSING, name, "it is a checksum without its file")),
        }
    }
    names
}

async fn describe_file(
    layout: &Layout,
    path: &str,
    text: String,
    version: &Version,
    listing: Option<&BTreeSet<String>>,
) -> Result<(Option<File>, Vec<Trouble>), CliError> {
    let mut troubles = Vec::new();
    let Some(name) = file_name(&text, &mut troubles) else { return Ok((None, troubles)) };
    if listing.is_some_and(|listing| !listing.contains(&text)) {
        troubles.push(Trouble::of(MISSING, &name, format!("{VERSION} or --file names it, but it is not there")));
        return Ok((None, troubles));
    }
    let mut claims = Vec::new();
    let sidecar = format!("{text}{SIDECAR}");
    if let Some(found) = document(layout, path, &sidecar, MAX_SIDECAR, &mut troubles).await? {
        match checksum(&String::from_utf8_lossy(&found.bytes)) {
            Some(digest) => claims.push(Claim { by: sidecar, digest }),
            None => troubles.push(Trouble::of(TORN, &name, format!("{sidecar} does not begin with a SHA-256 in hex"))),
        }
    }
    let entry = version.entries.get(&text);
    if let Some(hex) = entry.and_then(|entry| entry.get("sha256")) {
        match hex.as_str().and_then(|hex| Digest::from_hex(&hex.to_ascii_lowercase()).ok()) {
            Some(digest) => claims.push(Claim { by: VERSION.to_owned(), digest }),
            None => troubles.push(Trouble::of(TORN, &name, format!("its sha256 in {VERSION} is no SHA-256 in hex"))),
        }
    }
    if !troubles.is_empty() {
        return Ok((None, troubles));
    }
    let members = KEPT_MEMBERS.iter().filter_map(|key| Some(((*key).to_owned(), entry?.get(*key)?.clone())));
    let size = entry.and_then(|entry| entry.get("size")).and_then(Value::as_u64);
    let place = match layout.place(path, &text) {
        Ok(place) => place,
        Err(error) => return Ok((None, vec![Trouble::of(UNREADABLE, &name, error.to_string())])),
    };
    Ok((Some(File { name, place, claims, size, members: members.collect() }), troubles))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_says_what_names_begin_with() {
        let of = |path: &str, name: &str| Ok(Prefix { path: path.into(), name: name.into() });
        assert_eq!("release/miren".parse(), of("release/miren", "miren"));
        assert_eq!("/release/miren/=tools".parse(), of("release/miren", "tools"));
        assert_eq!(".=miren/_root".parse(), of("", "miren/_root"));
        for bad in [".", "", "/", "a/../b", "a="] {
            assert!(bad.parse::<Prefix>().is_err(), "{bad}");
        }
    }
}
