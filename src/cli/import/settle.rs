//! From what a source says about files to blobs: all statements have to agree, with each other and with the bytes.

use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::release::{Claim, File, MISSING, Place, TORN, Trouble, UNREADABLE};
use crate::cli::CliError;
use crate::cli::publish::local_files::fingerprint;
use crate::cli::publish::naming;
use crate::client::{ClientError, Content, ErrorKind, Remote, Web};
use crate::domain::manifest::Descriptor;
use crate::domain::{Digest, FileName};

/// A file that agrees with everything that is said about it so far.
#[derive(Debug)]
pub(super) struct Whole {
    /// Its name.
    pub(super) name: FileName,
    /// Digest and size.
    pub(super) blob: Descriptor,
    /// Its bytes.
    pub(super) content: Arc<dyn Content>,
    /// Whether its bytes were not looked at yet.
    pub(super) unread: bool,
    members: Map<String, Value>,
}

/// How far a file can be trusted.
#[derive(Debug)]
enum Settled {
    Whole(Whole),
    /// Only its bytes would tell, and they are not read for a plan.
    Unknown,
    Bad(Trouble),
}

/// The files of a release after they were checked.
#[derive(Debug, Default)]
pub(super) struct Checked {
    /// Files to import.
    pub(super) whole: Vec<Whole>,
    /// Files whose digests are not known because this is only a plan.
    pub(super) unknown: usize,
}

/// Checks the files. Those that are not whole become `troubles`.
pub(super) async fn check(
    files: Vec<File>,
    jobs: usize,
    plan: bool,
    troubles: &mut Vec<Trouble>,
) -> Result<Checked, CliError> {
    let mut checked = Checked::default();
    let mut settled = stream::iter(files).map(|file| settle(file, plan)).buffered(jobs);
    while let Some(file) = settled.next().await {
        match file? {
            Settled::Whole(whole) => checked.whole.push(whole),
            Settled::Unknown => checked.unknown += 1,
            Settled::Bad(trouble) => troubles.push(trouble),
        }
    }
    checked.whole.sort_by(|one, other| one.name.as_str().cmp(other.name.as_str()));
    Ok(checked)
}

async fn settle(file: File, plan: bool) -> Result<Settled, CliError> {
    let File { name, place, claims, size, members } = file;
    if let Some(trouble) = disagreement(&name, &claims) {
        return Ok(Settled::Bad(trouble));
    }
    let stated = claims.first().map(|claim| claim.digest);
    let found = match place {
        Place::Local(path) => match fingerprint(path).await {
            Ok(upload) => Ok(Some((upload.fingerprint.blob, Arc::new(upload) as Arc<dyn Content>, false))),
            Err(error) => Err(Trouble::of(UNREADABLE, &name, error.to_string())),
        },
        Place::Web { web, url, accept, look } => {
            match remote_blob(&web, &url, accept, (stated, size, look), plan).await {
                Ok(Found::Blob(blob, unread)) => {
                    let content = Remote::new(web, url, accept, blob);
                    Ok(Some((blob, Arc::new(content) as Arc<dyn Content>, unread)))
                }
                Ok(Found::Unknown) => Ok(None),
                Ok(Found::Nothing) => Err(Trouble::of(MISSING, &name, "there is no such file at the source")),
                Err(error) => Err(source_trouble(&name, error)?),
            }
        }
    };
    Ok(match found {
        Ok(None) => Settled::Unknown,
        Err(trouble) => Settled::Bad(trouble),
        Ok(Some((blob, content, unread))) => match mismatch(&name, blob, &claims, size) {
            Some(trouble) => Settled::Bad(trouble),
            None => Settled::Whole(Whole { name, blob, content, unread, members }),
        },
    })
}

/// What is known about a file of another server.
enum Found {
    /// The blob, and whether its bytes were not read.
    Blob(Descriptor, bool),
    Unknown,
    Nothing,
}

async fn remote_blob(
    web: &Web,
    url: &reqwest::Url,
    accept: &str,
    (stated, size, look): (Option<Digest>, Option<u64>, bool),
    plan: bool,
) -> Result<Found, ClientError> {
    let mut length = size;
    if look || (size.is_none() && stated.is_some()) {
        match web.length(url).await? {
            None => return Ok(Found::Nothing),
            Some(actual) => length = actual.or(size),
        }
    }
    if let (Some(digest), Some(size)) = (stated, length) {
        return Ok(Found::Blob(Descriptor { digest, size }, true));
    }
    if plan {
        return Ok(Found::Unknown);
    }
    // Without a digest or a length, the bytes have to be read once before they can be uploaded.
    Ok(web.measure(url, accept).await?.map_or(Found::Nothing, |blob| Found::Blob(blob, false)))
}

/// The trouble that a failure of the source is for one file. If nothing answers any more, it is the end of the import.
pub(super) fn source_trouble(name: &FileName, error: ClientError) -> Result<Trouble, CliError> {
    match error.kind() {
        ErrorKind::Unavailable => Err(error.into()),
        _ => Ok(Trouble::of(UNREADABLE, name, error.to_string())),
    }
}

/// The trouble with a file about which different things are said.
fn disagreement(name: &FileName, claims: &[Claim]) -> Option<Trouble> {
    let (first, rest) = claims.split_first()?;
    let other = rest.iter().find(|claim| claim.digest != first.digest)?;
    let detail = format!(
        "{} says {}, but {} says {}; perhaps it was just being replaced",
        first.by, first.digest, other.by, other.digest
    );
    Some(Trouble::of(TORN, name, detail))
}

/// The trouble with a file that is not what is said about it.
fn mismatch(name: &FileName, blob: Descriptor, claims: &[Claim], size: Option<u64>) -> Option<Trouble> {
    if let Some(claim) = claims.iter().find(|claim| claim.digest != blob.digest) {
        let detail = format!("{} says {}, but the file has {}", claim.by, claim.digest, blob.digest);
        return Some(Trouble::of(TORN, name, detail));
    }
    let size = size.filter(|size| *size != blob.size)?;
    Some(Trouble::of(TORN, name, format!("it should have {size} bytes, but has {}", blob.size)))
}

#[derive(Serialize)]
struct Document<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a Value>,
    #[serde(flatten)]
    other: Map<String, Value>,
    artifacts: Vec<Map<String, Value>>,
}

/// The manifest of these files: the same bytes for the same release, whenever it is imported.
pub(super) fn manifest(document: &Map<String, Value>, files: &[Whole]) -> Result<Vec<u8>, CliError> {
    let mut other = document.clone();
    other.remove("version");
    other.remove("artifacts");
    let artifacts = files.iter().map(artifact).collect();
    let document = Document { version: document.get("version"), other, artifacts };
    let mut bytes = serde_json::to_vec_pretty(&document).map_err(anyhow::Error::from)?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn artifact(file: &Whole) -> Map<String, Value> {
    let mut members = file.members.clone();
    let facts = [
        ("media_type", naming::media_type(&file.name)),
        ("platform", naming::platform(&file.name)),
        ("arch", naming::architecture(&file.name)),
    ];
    for (key, value) in facts {
        if let Some(value) = value {
            members.entry(key).or_insert_with(|| json!(value));
        }
    }
    members.insert("name".to_owned(), json!(file.name));
    members.insert("blob".to_owned(), json!(file.blob.digest));
    members.insert("size".to_owned(), json!(file.blob.size));
    members
}
