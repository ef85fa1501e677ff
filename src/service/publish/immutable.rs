//! Files that clients and caches keep for a year: their bytes must not change as long as they have their names.

use std::collections::BTreeMap;
use std::hash::RandomState;
use std::sync::Arc;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::{ImmutableChanged, Publish, PublishError};
use crate::domain::manifest::Kind;
use crate::domain::site::{Files, KeptFiles};
use crate::domain::{Digest, LogName, Manifest, State, VersionRow};
use crate::protocol::LoadedManifest;
use crate::store::{StoreError, StoreErrorKind};

/// Maximum number of versions that a release is compared with: the newest ones.
const MAX_COMPARED: usize = 20;
/// Maximum number of files that an error lists; the rest are only counted.
const MAX_LISTED: usize = 1000;
/// Memory for what is kept of versions between publishes, in bytes: 16 for each file that clients keep.
const REMEMBERED_BYTES: u64 = 16 << 20;

/// The immutable files of versions, so that a publish need not read the manifests of all that it is compared with.
#[derive(Debug)]
pub(super) struct KnownFiles {
    key: Arc<RandomState>,
    known: Cache<Digest, Arc<KeptFiles>>,
}

impl Default for KnownFiles {
    fn default() -> Self {
        let weigh = |_: &Digest, files: &Arc<KeptFiles>| u32::try_from(files.bytes() + 256).unwrap_or(u32::MAX);
        let known =
            Cache::builder().max_capacity(REMEMBERED_BYTES).weigher(weigh).eviction_policy(EvictionPolicy::lru());
        Self { key: Arc::default(), known: known.build() }
    }
}

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
        let (mut own, mut files) = (None, None::<Arc<Files>>);
        let mut changed = BTreeMap::new();
        for row in rows.take(MAX_COMPARED) {
            let own = own.get_or_insert_with(|| KeptFiles::of(manifest, &self.kept.key));
            let Some(older) = self.kept_of(log, row).await? else { continue };
            if !own.may_differ_from(&older) {
                continue;
            }
            let Some(older) = self.older(log, row).await? else { continue };
            let files = Arc::clone(files.get_or_insert_with(|| Arc::new(Files::new(manifest))));
            // Tens of thousands of names take tens of milliseconds.
            let compared = tokio::task::spawn_blocking(move || {
                let names = files.changed_immutable(older.manifest()?).into_iter().cloned();
                Ok::<_, StoreError>(names.collect::<Vec<_>>())
            });
            for name in compared.await.map_err(stuck)?? {
                changed.entry(name).or_insert(row.number);
            }
        }
        if changed.is_empty() {
            return Ok(());
        }
        let count = changed.len();
        Err(ImmutableChanged { files: changed.into_iter().take(MAX_LISTED).collect(), count }.into())
    }

    /// The immutable files of an older version. `None` as for [`Publish::older`].
    async fn kept_of(&self, log: &LogName, row: &VersionRow) -> Result<Option<Arc<KeptFiles>>, PublishError> {
        let digest = row.digest();
        if let Some(known) = self.kept.known.get(&digest) {
            return Ok(Some(known));
        }
        let Some(older) = self.older(log, row).await? else { return Ok(None) };
        let key = Arc::clone(&self.kept.key);
        let read = tokio::task::spawn_blocking(move || Ok::<_, StoreError>(KeptFiles::of(older.manifest()?, &key)));
        let files = Arc::new(read.await.map_err(stuck)??);
        self.kept.known.insert(digest, Arc::clone(&files));
        Ok(Some(files))
    }

    /// The manifest of an older version. `None` if it cannot be read, which must not prevent publishing a better one.
    async fn older(&self, log: &LogName, row: &VersionRow) -> Result<Option<Arc<LoadedManifest>>, PublishError> {
        let loaded = self.manifests.load_alone(row.summary.manifest, row.summary.media_type.as_deref()).await;
        match loaded {
            Ok(loaded) => Ok(loaded.filter(|loaded| loaded.manifest().is_ok())),
            Err(error) if matches!(error.kind, StoreErrorKind::Corrupt | StoreErrorKind::Newer) => {
                tracing::warn!(%error, name = %log, version = row.number, "immutable files are not compared with this version");
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }
}

fn stuck(error: tokio::task::JoinError) -> StoreError {
    StoreError::new(StoreErrorKind::Internal, "the files of a site", error)
}
