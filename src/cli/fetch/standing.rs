//! What is in the place of the files of a fetch before it begins.
//!
//! A file may be replaced without being asked when nothing is lost by it: when the server still has its bytes, as it does
//! after an earlier fetch of another version. Everything else needs `--force`.

use std::io;
use std::path::Path;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Serialize;

use super::destination::{Destination, Existing};
use super::part::blocking;
use crate::cli::{CliError, Exit};
use crate::client::{Client, ErrorKind};
use crate::domain::Digest;
use crate::domain::manifest::{Artifact, Descriptor};

/// Maximum number of files that an error names.
const MAX_LISTED: usize = 20;

/// What is in the place of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Standing {
    /// Nothing.
    Absent,
    /// The file itself.
    Present,
    /// Another file, whose bytes the server has.
    Outdated,
    /// Something that a fetch would destroy.
    Foreign,
}

impl Standing {
    /// What a fetch does about it, in a word.
    pub(super) fn plan(self) -> &'static str {
        match self {
            Self::Absent => "fetch",
            Self::Present => "keep",
            Self::Outdated => "replace",
            Self::Foreign => "overwrite",
        }
    }
}

/// Looks at the places of all files, in their order, and writes nothing. Reads what is there once.
pub(super) async fn look(
    client: &Client,
    root: &Path,
    wanted: &[&Artifact],
    jobs: usize,
) -> Result<Vec<Standing>, CliError> {
    stream::iter(wanted).map(|artifact| one(client, root, artifact)).buffered(jobs).try_collect().await
}

async fn one(client: &Client, root: &Path, artifact: &Artifact) -> Result<Standing, CliError> {
    let shown = root.join(artifact.name.as_str());
    let failed = |error: io::Error| CliError::io(format_args!("read {}", shown.display()), &error);
    let (root, name, blob) = (root.to_owned(), artifact.name.clone(), artifact.blob);
    let there = blocking(move || match Destination::find(&root, &name)? {
        Some(place) => content(&place, blob),
        None => Ok(Content::Nothing),
    });
    match there.await.map_err(failed)? {
        Content::Nothing => Ok(Standing::Absent),
        Content::Bytes(digest) if digest == blob.digest => Ok(Standing::Present),
        Content::Bytes(digest) => is_known(client, digest).await,
        Content::NoFile => Ok(Standing::Foreign),
    }
}

enum Content {
    Nothing,
    Bytes(Digest),
    NoFile,
}

/// Blocks.
fn content(place: &Destination, blob: Descriptor) -> io::Result<Content> {
    match place.look()? {
        Existing::Nothing => Ok(Content::Nothing),
        Existing::Special => Ok(Content::NoFile),
        // Nothing is lost with it.
        Existing::File(file) if file.metadata()?.len() == 0 && blob.size > 0 => Ok(Content::Nothing),
        Existing::File(mut file) => Ok(Content::Bytes(crate::client::hash_all(&mut file)?.0.finish())),
    }
}

async fn is_known(client: &Client, digest: Digest) -> Result<Standing, CliError> {
    match client.has_blob(digest).await {
        Ok(true) => Ok(Standing::Outdated),
        Ok(false) => Ok(Standing::Foreign),
        // Who may not ask cannot get it again either.
        Err(error) if matches!(error.kind(), ErrorKind::Auth | ErrorKind::NotFound) => Ok(Standing::Foreign),
        Err(error) => Err(error.into()),
    }
}

/// Fails if something would be destroyed.
pub(super) fn check(root: &Path, wanted: &[&Artifact], standing: &[Standing]) -> Result<(), CliError> {
    let foreign = wanted.iter().zip(standing).filter(|(_, standing)| **standing == Standing::Foreign);
    let names: Vec<&str> = foreign.map(|(artifact, _)| artifact.name.as_str()).collect();
    if names.is_empty() {
        return Ok(());
    }
    let more = names.len().saturating_sub(MAX_LISTED);
    let detail = format!(
        "Nothing was fetched: in {} there are other files with these names, and the server does not have them: {}{}. \
         --force replaces them; --output names another directory.",
        root.display(),
        names[..names.len().min(MAX_LISTED)].join(", "),
        if more > 0 { format!(" and {more} more") } else { String::new() }
    );
    Err(CliError::new(Exit::Failure, "FILES_DIFFER", detail).with("files", names))
}
