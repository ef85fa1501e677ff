//! What the target has under a name already, compared with a release that is to be imported.

use std::collections::BTreeSet;

use crate::cli::CliError;
use crate::client::{Client, ErrorKind};
use crate::domain::flat::{SUM_SUFFIX, VERSION_FILE};
use crate::domain::manifest::release;
use crate::domain::{Digest, Expect, Manifest, ManifestName, State, Target};
use crate::wire::{History, Row};

/// Number of rows per request.
const PAGE: usize = 1000;

/// The state of a name.
#[derive(Debug)]
pub(super) enum Standing {
    /// The release is there.
    Present {
        /// The number of its version.
        version: u64,
        /// The state of that version.
        state: State,
        /// Its manifest, which may have the same files and other members.
        manifest: Digest,
        /// The active manifest.
        active: Option<Digest>,
    },
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
            Self::Free | Self::Present { active: None, .. } => Expect::Nothing,
            Self::Present { active: Some(digest), .. } | Self::Imported(digest) | Self::Published(digest) => {
                Expect::OneOf(vec![*digest])
            }
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
    let (mut active, mut found) = (None::<Row>, None::<Row>);
    let mut before = None;
    loop {
        let page = match client.history(name, before, PAGE).await {
            Ok(page) => page,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Standing::Free),
            Err(error) => return Err(error.into()),
        };
        let History { active: number, versions, next, .. } = page;
        for row in versions {
            let complete = !matches!(row.state, State::Prepared | State::Aborted);
            if complete && row.manifest == digest && (found.is_none() || row.state == State::Active) {
                found = Some(row.clone());
            }
            if Some(row.number) == number {
                active = Some(row);
            }
        }
        // A server that keeps repeating the same page must not cause an endless loop.
        before = next.filter(|next| before.is_none_or(|before| *next < before));
        if before.is_none() || (found.is_some() && (active.is_some() || number.is_none())) {
            break;
        }
    }
    let Some(active) = active else { return Ok(found.map_or(Standing::Free, |found| present(&found, None))) };
    if let Some(found) = found {
        return Ok(present(&found, Some(active.manifest)));
    }
    if active.from.is_some() {
        return Ok(Standing::Imported(active.manifest));
    }
    // Published by the pipeline itself, perhaps from the very same files.
    let published = client.get_manifest(&Target::active(name.clone())).await?;
    let same = release::read(&published.bytes).is_ok_and(|found| files(&found) == files(manifest));
    Ok(if same { present(&active, Some(active.manifest)) } else { Standing::Published(active.manifest) })
}

fn present(row: &Row, active: Option<Digest>) -> Standing {
    Standing::Present { version: row.number, state: row.state, manifest: row.manifest, active }
}

/// The files and their digests, without what only describes them at flat paths.
fn files(manifest: &Manifest) -> BTreeSet<(&str, Digest)> {
    let files = manifest.files.iter().map(|file| (file.name.as_str(), file.blob.digest));
    files.filter(|(name, _)| *name != VERSION_FILE && !name.ends_with(SUM_SUFFIX)).collect()
}
