//! What the target has under a name already, compared with a release that is to be imported.

use std::collections::BTreeSet;

use crate::cli::CliError;
use crate::client::{Client, ErrorKind};
use crate::domain::manifest::release;
use crate::domain::{Digest, Expect, Manifest, ManifestName, State, Target};
use crate::wire::{History, Origin, Row};

/// Number of rows per request.
const PAGE: usize = 1000;

/// The state of a name.
#[derive(Debug)]
pub(super) enum Standing {
    /// The release is there: as this version, in this state.
    Present(u64, State),
    /// Nothing is active.
    Free,
    /// An imported version is active, with this manifest.
    Imported(Digest),
    /// A version that was published in another way is active, with this manifest.
    Published(Digest),
}

impl Standing {
    /// The precondition under which this is still so.
    pub(super) fn expect(&self) -> Expect {
        match self {
            Self::Present(..) => Expect::Anything,
            Self::Free => Expect::Nothing,
            Self::Imported(digest) | Self::Published(digest) => Expect::OneOf(vec![*digest]),
        }
    }
}

/// Looks up the manifest, with this digest, among the versions of the name.
pub(super) async fn find(
    client: &Client,
    name: &ManifestName,
    digest: Digest,
    manifest: &Manifest,
) -> Result<Standing, CliError> {
    let mut active: Option<Row> = None;
    let mut before = None;
    loop {
        let page = match client.history(name, before, PAGE).await {
            Ok(page) => page,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Standing::Free),
            Err(error) => return Err(error.into()),
        };
        let History { active: number, versions, next, .. } = page;
        let complete = |row: &&Row| !matches!(row.state, State::Prepared | State::Aborted);
        if let Some(row) = versions.iter().filter(complete).find(|row| row.manifest == digest) {
            return Ok(Standing::Present(row.number, row.state));
        }
        active = active.or_else(|| versions.into_iter().find(|row| Some(row.number) == number));
        // A server that keeps repeating the same page must not cause an endless loop.
        before = next.filter(|next| before.is_none_or(|before| *next < before));
        if before.is_none() {
            break;
        }
    }
    let Some(active) = active else { return Ok(Standing::Free) };
    if active.from.as_ref().is_some_and(Origin::is_import) {
        return Ok(Standing::Imported(active.manifest));
    }
    // Published by the pipeline itself, perhaps from the very same files.
    let published = client.get_manifest(&Target::active(name.clone())).await?;
    let same = release::read(&published.bytes).is_ok_and(|found| files(&found) == files(manifest));
    Ok(if same { Standing::Present(active.number, active.state) } else { Standing::Published(active.manifest) })
}

fn files(manifest: &Manifest) -> BTreeSet<(&str, Digest)> {
    manifest.files.iter().map(|file| (file.name.as_str(), file.blob.digest)).collect()
}
