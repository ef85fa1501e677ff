//! Files that clients and caches keep for a year: their bytes must not change as long as they have their names.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{ImmutableChanged, Publish, PublishError};
use crate::domain::manifest::Kind;
use crate::domain::site::Files;
use crate::domain::{LogName, Manifest, State, VersionRow};
use crate::store::{StoreError, StoreErrorKind};

/// Maximum number of versions that a release is compared with: the newest ones.
const MAX_COMPARED: usize = 20;
/// Maximum number of files that an error lists; the rest are only counted.
const MAX_LISTED: usize = 1000;

impl Publish {
    /// Compares a static release with the newest versions of the name that are published and not retired, staged ones
    /// included, so that no promotion or rollback between them brings other bytes to an address that clients do not ask
    /// for again.
    ///
    /// It is no guard against two publishes at the same moment: each of them is compared with what is published.
    pub(super) async fn check_immutable(&self, log: &LogName, manifest: &Manifest) -> Result<(), PublishError> {
        if manifest.kind != Kind::Static {
            return Ok(());
        }
        let Some(head) = self.heads.current(log).await? else { return Ok(()) };
        let rows = self.heads.roots(&head).await?;
        let is_published = |row: &&VersionRow| matches!(row.state, State::Active | State::Archived | State::Ready);
        let rows = rows.iter().rev().filter(is_published).filter(|row| row.summary.kind == Kind::Static);
        let mut files: Option<Arc<Files>> = None;
        let mut changed = BTreeMap::new();
        for row in rows.take(MAX_COMPARED) {
            let Some(older) = self.older(log, row).await? else { continue };
            let files = files.get_or_insert_with(|| Arc::new(Files::new(Arc::new(manifest.clone()))));
            let (files, number) = (Arc::clone(files), row.number);
            // Tens of thousands of names take tens of milliseconds.
            let compared = tokio::task::spawn_blocking(move || {
                let names = files.changed_immutable(&older).into_iter().cloned();
                names.collect::<Vec<_>>()
            });
            let failed = |error| StoreError::new(StoreErrorKind::Internal, "the files of a site", error);
            for name in compared.await.map_err(failed)? {
                changed.entry(name).or_insert(number);
            }
        }
        if changed.is_empty() {
            return Ok(());
        }
        let count = changed.len();
        Err(ImmutableChanged { files: changed.into_iter().take(MAX_LISTED).collect(), count }.into())
    }

    /// The manifest of an older version. `None` if it cannot be read, which must not prevent publishing a better one.
    async fn older(&self, log: &LogName, row: &VersionRow) -> Result<Option<Manifest>, PublishError> {
        let loaded = self.manifests.load_alone(row.summary.manifest, row.summary.media_type.as_deref()).await;
        match loaded {
            Ok(Some(loaded)) => Ok(loaded.manifest().ok().cloned()),
            Ok(None) => Ok(None),
            Err(error) if matches!(error.kind, StoreErrorKind::Corrupt | StoreErrorKind::Newer) => {
                tracing::warn!(%error, name = %log, version = row.number, "immutable files are not compared with this version");
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }
}
