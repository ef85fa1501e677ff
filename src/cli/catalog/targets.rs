//! The targets of TUF that an author signs beside the document, for catalogs that a server shows to clients of TUF.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::author::{Author, Draft};
use crate::cli::{CliError, Exit, output};
use crate::client::{Client, ErrorKind};
use crate::domain::FileName;
use crate::domain::catalog::{
    CatalogName, Document, MAX_TARGETS, PublicKey, Release, Root, Targets, new_targets, targets_file,
};
use crate::domain::manifest::{Descriptor, release};
use crate::domain::text::Escaped;

/// Manifests read concurrently.
const READS: usize = 8;

/// The files of releases, by the names of the releases.
type Files = BTreeMap<String, BTreeMap<FileName, Descriptor>>;

impl Author<'_> {
    /// The file with the targets of a draft, and its name; `None` if no server may show it to clients of TUF.
    pub(super) async fn targets(&self, draft: &Draft) -> Result<Option<(String, Bytes)>, CliError> {
        let Some(root) = draft.root().filter(|root| !root.online.is_empty()) else { return Ok(None) };
        let files = self.files(draft).await?;
        let mut targets = new_targets(&draft.document, |release, file| files.get(&release.name)?.get(file).copied());
        for signer in self.signers {
            signer.sign_metadata(&mut targets, &root.id_of(signer.public))?;
        }
        let bytes = targets.write();
        if bytes.len() as u64 > MAX_TARGETS {
            let detail = format!(
                "The targets for clients of TUF would have {} bytes, more than {MAX_TARGETS}. List fewer items, shorten the \
                 metadata, or keep the catalog from these clients (larder catalog rotate --no-tuf).",
                bytes.len()
            );
            return Err(CliError::new(Exit::Failure, "TARGETS_SIZE", detail));
        }
        Ok(Some((targets_file(draft.document.serial), bytes.into())))
    }

    /// The files of all releases: from the targets that were signed before, else from their manifests, whose digests are in
    /// the document.
    async fn files(&self, draft: &Draft) -> Result<Files, CliError> {
        let before = self.before(draft).await?;
        let files = stream::iter(&draft.document.releases)
            .map(|release| {
                let known = before.as_ref().and_then(|before| before.release(release));
                async move {
                    let files = match known {
                        Some(files) => files,
                        None => self.stored(release).await?,
                    };
                    Ok::<_, CliError>((release.name.clone(), files))
                }
            })
            .buffer_unordered(READS);
        files.try_collect().await
    }

    /// The targets that are published, if their author signed them as the root that is published requires.
    async fn before(&self, draft: &Draft) -> Result<Option<Targets>, CliError> {
        let Some(before) = &draft.before else { return Ok(None) };
        let (Some((_, file)), Some(root)) = (before.targets, before.roots.last()) else { return Ok(None) };
        let bytes = self.client.whole(file).await?;
        let serial = Document::read(&before.document).map(|document| document.serial).ok();
        let root = Root::read(root).ok();
        let fits = |targets: &Targets| {
            Some(targets.version) == serial && root.as_ref().is_some_and(|root| targets.are_signed(root))
        };
        Ok(Targets::read(&bytes).ok().filter(fits))
    }

    /// The files in the manifest of a release; none if that is gone.
    async fn stored(&self, listed: &Release) -> Result<BTreeMap<FileName, Descriptor>, CliError> {
        let left_out = |why: &dyn std::fmt::Display| {
            output::note(format_args!("clients of TUF do not see {}: {why}", Escaped::new(&listed.name)));
            Ok(BTreeMap::new())
        };
        let Some(target) = listed.target() else { return left_out(&"it is no version of a name") };
        let published = match self.client.get_manifest(&target).await {
            Ok(published) => published,
            Err(error) if error.kind() == ErrorKind::NotFound => return left_out(&error),
            Err(error) => return Err(error.into()),
        };
        match release::read(&published.bytes) {
            Ok(manifest) => Ok(manifest.files.into_iter().map(|file| (file.name, file.blob)).collect()),
            Err(error) => left_out(&error),
        }
    }
}

/// The key by which the server would sign snapshots and timestamps.
pub(super) async fn online(client: &Client, name: &CatalogName) -> Result<BTreeSet<PublicKey>, CliError> {
    if name.as_str().split('/').any(|segment| segment == "targets") {
        let detail =
            "Clients of TUF cannot read a catalog with `targets` in its name: their addresses are told apart by it.";
        return Err(CliError::usage(detail));
    }
    let key = client.online_key(name).await?.public();
    let key = key.ok_or_else(|| CliError::new(Exit::Failure, "KEY", "The server's key is not an Ed25519 key."))?;
    Ok(BTreeSet::from([key]))
}

/// Where clients of TUF find a catalog.
pub(super) fn address(client: &Client, name: &CatalogName) -> String {
    format!("{}/tuf/{name}", client.base().as_str().trim_end_matches('/'))
}

/// Says what clients of TUF need.
pub(super) fn tell(client: &Client, name: &CatalogName) {
    let address = address(client, name);
    output::note(format_args!(
        "clients of TUF read {address} once they have a root, such as {address}/metadata/1.root.json"
    ));
}
