//! `larder import manifest`: a list of files with their addresses and digests, written by hand or by a script.

use std::collections::BTreeSet;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Common;
use super::release::{Address, Claim, File, Place, Release, Trouble, file_name};
use crate::cli::{CliError, Exit, values};
use crate::client::{ImportOrigin, RetryPolicy, Web};
use crate::domain::{Digest, ManifestName};
use crate::wire::is_origin_url;

/// Largest list, in bytes.
const MAX_LIST: u64 = 64 << 20;

/// Arguments of `larder import manifest`.
#[derive(Debug, clap::Args)]
#[command(after_help = r#"FILE is a JSON document like this; of each release only `name` and
`artifacts` are needed, of each artifact `url` and either `blob` or `sha256`. A
file is named by the end of its address unless it has a `name`. Other members
are kept in the manifest.

{"releases": [{
  "name": "miren/v0.4.0", "version": "v0.4.0", "commit": "abc1234",
  "published_at": "2025-11-02T10:00:00Z",
  "url": "https://example.org/releases/v0.4.0",
  "artifacts": [{
   "url": "https://example.org/v0.4.0/miren-linux-amd64.zip", "size": 10,
   "sha256": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
  }]
}]}

Examples:
  larder import manifest releases.json --dry-run
  larder import manifest releases.json --replace
  ./list-releases | larder import manifest -"#)]
pub(super) struct Args {
    /// The list (`-`: stdin)
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// How long to wait when a source allows no more requests
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = values::wait)]
    max_wait: Duration,

    /// How often a failed request to a source is tried again
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = values::retries)]
    source_retries: u32,

    #[command(flatten)]
    pub(super) common: Common,
}

#[derive(Debug, Deserialize)]
struct List {
    releases: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    name: ManifestName,
    url: Option<String>,
    published_at: Option<Timestamp>,
    artifacts: Vec<Artifact>,
    #[serde(flatten)]
    other: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
struct Artifact {
    url: Address,
    name: Option<String>,
    blob: Option<Digest>,
    sha256: Option<String>,
    size: Option<u64>,
    #[serde(flatten)]
    other: Map<String, Value>,
}

/// Reads the list.
pub(super) fn read(args: &Args) -> Result<Vec<Release>, CliError> {
    if args.file.as_os_str() == "-" && args.common.remote.reads_stdin() {
        return Err(CliError::usage("stdin cannot give both the list and the token."));
    }
    let list: List = serde_json::from_slice(&bytes(&args.file)?).map_err(|error| {
        let detail = format!(
            "{} is no list of releases: {error}. `larder import manifest --help` shows one.",
            args.file.display()
        );
        CliError::new(Exit::Usage, "LIST_INVALID", detail)
    })?;
    let first = list.releases.iter().flat_map(|entry| &entry.artifacts).next();
    let Some(first) = first.map(|artifact| artifact.url.0.clone()) else {
        return Err(CliError::new(Exit::Usage, "LIST_INVALID", "The list has no files."));
    };
    let web = Web::new(&first, RetryPolicy::new(args.source_retries), args.max_wait)?;
    Ok(list.releases.into_iter().map(|entry| describe(entry, &web)).collect())
}

fn bytes(path: &Path) -> Result<Vec<u8>, CliError> {
    let failed = |error| CliError::io(format_args!("read the list {}", path.display()), &error);
    let mut bytes = Vec::new();
    if path.as_os_str() == "-" {
        io::stdin().lock().take(MAX_LIST + 1).read_to_end(&mut bytes).map_err(failed)?;
    } else {
        std::fs::File::open(path).map_err(failed)?.take(MAX_LIST + 1).read_to_end(&mut bytes).map_err(failed)?;
    }
    if bytes.len() as u64 > MAX_LIST {
        return Err(CliError::usage(format!("The list is longer than {MAX_LIST} bytes; import it in parts.")));
    }
    Ok(bytes)
}

fn describe(entry: Entry, web: &Web) -> Release {
    let Entry { name, url, published_at, artifacts, other } = entry;
    let (mut files, mut troubles, mut taken) = (Vec::new(), Vec::new(), BTreeSet::new());
    for artifact in artifacts {
        let Some(file) = describe_artifact(artifact, web, &mut troubles) else { continue };
        if taken.insert(file.name.to_string()) {
            files.push(file);
        } else {
            troubles.push(Trouble::of("NAME_TWICE", &file.name, "two files of the release have this name"));
        }
    }
    let address = url.filter(|url| is_origin_url(url)).or_else(|| common_address(&files));
    let from = ImportOrigin { url: address, published_at };
    let shown = name.to_string();
    Release { shown, name: Some(name), from, activate: true, document: other, files, troubles }
}

fn describe_artifact(artifact: Artifact, web: &Web, troubles: &mut Vec<Trouble>) -> Option<File> {
    let Artifact { url: Address(url), name, blob, sha256, size, other } = artifact;
    let last = url.path_segments().and_then(|mut segments| segments.next_back()).unwrap_or_default();
    let decoded = percent_encoding::percent_decode_str(last).decode_utf8_lossy().into_owned();
    let name = file_name(&name.unwrap_or(decoded), troubles)?;
    if !matches!(url.scheme(), "http" | "https") {
        troubles.push(Trouble::of("ADDRESS_INVALID", &name, "its address must start with http:// or https://"));
        return None;
    }
    let Ok(hex) = sha256.map(|hex| Digest::from_hex(&hex.to_ascii_lowercase())).transpose() else {
        troubles.push(Trouble::of("DIGEST_INVALID", &name, "its sha256 is no SHA-256 in hex"));
        return None;
    };
    let claims: Vec<Claim> = [("blob", blob), ("sha256", hex)]
        .into_iter()
        .filter_map(|(by, digest)| Some(Claim { by: format!("`{by}`"), digest: digest? }))
        .collect();
    if claims.is_empty() {
        troubles.push(Trouble::of("DIGEST_INVALID", &name, "it has neither `blob` nor `sha256`"));
        return None;
    }
    let place = Place::Web { web: web.clone(), url, accept: "*/*", look: false };
    Some(File { name, place, claims, size, members: other })
}

/// The directory of the first file.
fn common_address(files: &[File]) -> Option<String> {
    let Place::Web { url, .. } = &files.first()?.place else { return None };
    let mut url = url.join(".").ok()?;
    url.set_query(None);
    Some(url.to_string()).filter(|url| is_origin_url(url))
}
