//! Files that clients and caches keep for a year: their bytes must not change as long as they have their names.

use std::collections::{BTreeMap, HashSet};
use std::hash::RandomState;
use std::sync::{Arc, Mutex, PoisonError};

use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::{ImmutableChanged, Publish, PublishError};
use crate::domain::manifest::Kind;
use crate::domain::site::{Files, KeptFiles};
use crate::domain::{Digest, Head, LogName, Manifest, Selector, State, VersionRow};
use crate::protocol::LoadedManifest;
use crate::protocol::long_work::work_on;
use crate::store::StoreErrorKind;

/// Maximum number of versions that a release is compared with: the newest ones.
const MAX_COMPARED: usize = 20;
/// Maximum number of files that an error lists; the rest are only counted.
const MAX_LISTED: usize = 1000;

/// Size of a name, about, in bytes.
const NAME: usize = 32;
/// Memory for what is kept of versions between publishes, in bytes: 16 for each file that clients keep.
const REMEMBERED_BYTES: u64 = 16 << 20;

/// The immutable files of versions, so that a publish need not read the manifests of all that it is compared with.
#[derive(Debug)]
pub(super) struct KnownFiles {
    key: RandomState,
    known: Cache<Digest, Arc<KeptFiles>>,
}

impl Default for KnownFiles {
    fn default() -> Self {
        let weigh = |_: &Digest, files: &Arc<KeptFiles>| u32::try_from(files.bytes() + 256).unwrap_or(u32::MAX);
        let known =
            Cache::builder().max_capacity(REMEMBERED_BYTES).weigher(weigh).eviction_policy(EvictionPolicy::lru());
        Self { key: RandomState::default(), known: known.build() }
    }
}

impl KnownFiles {
    /// Those of the manifest with this digest.
    fn of(&self, digest: Digest, manifest: &Manifest) -> Arc<KeptFiles> {
        let make = || Arc::new(KeptFiles::of(manifest, &self.key));
        self.known.get_with(digest, || work_on(manifest.files.len() * NAME, make))
    }
}

/// What a release was compared with already, so that a publish that is judged again compares only what is new.
#[derive(Debug, Default)]
struct Compared {
    files: Option<Files>,
    /// Manifests that it agrees with.
    agrees: HashSet<Digest>,
}

/// The comparison of a prepared version with those that are published, while it is being committed.
#[derive(Debug)]
pub(super) struct Comparison<'a> {
    publish: &'a Publish,
    log: &'a LogName,
    number: u64,
    compared: Mutex<Compared>,
}

impl<'a> Comparison<'a> {
    /// The comparison of this version of the log.
    pub(super) fn new(publish: &'a Publish, log: &'a LogName, number: u64) -> Self {
        Self { publish, log, number, compared: Mutex::default() }
    }

    /// Compares the version with what `head` says is published. Rules that were added since must not prevent copying a
    /// release, so one that was published elsewhere is as it is.
    pub(super) async fn judge(&self, head: Option<Arc<Head>>) -> Result<(), PublishError> {
        let Some(head) = head else { return Ok(()) };
        let row = self.publish.heads.select(&head, Selector::Number(self.number)).await?;
        let is_judged =
            |row: &VersionRow| row.state == State::Prepared && row.summary.kind == Kind::Static && row.from.is_none();
        let Some(row) = row.filter(is_judged) else { return Ok(()) };
        let Some(loaded) = self.publish.readable_manifest(self.log, &row).await? else { return Ok(()) };
        let compared = std::mem::take(&mut *self.compared.lock().unwrap_or_else(PoisonError::into_inner));
        let own = (loaded.manifest()?, row.digest());
        let compared = self.publish.compare(self.log, &head, own, compared).await?;
        *self.compared.lock().unwrap_or_else(PoisonError::into_inner) = compared;
        Ok(())
    }
}

impl Publish {
    /// Compares a static release with the newest versions of the name that are published and not retired, staged ones
    /// included, so that no promotion or rollback between them brings other bytes to an address that clients do not ask
    /// for again.
    ///
    /// It saves uploads that would be in vain. Others may publish in the meantime: the commit compares once more, with the
    /// very head that it changes ([`Comparison`]).
    pub(super) async fn check_immutable(
        &self,
        log: &LogName,
        manifest: &Manifest,
        digest: Digest,
    ) -> Result<(), PublishError> {
        if manifest.kind != Kind::Static {
            return Ok(());
        }
        let Some(head) = self.heads.current(log).await? else { return Ok(()) };
        self.compare(log, &head, (manifest, digest), Compared::default()).await.map(drop)
    }

    async fn compare(
        &self,
        log: &LogName,
        head: &Head,
        (manifest, digest): (&Manifest, Digest),
        Compared { mut files, mut agrees }: Compared,
    ) -> Result<Compared, PublishError> {
        let rows = self.heads.roots(head).await?;
        let is_published = |row: &&VersionRow| matches!(row.state, State::Active | State::Archived | State::Ready);
        let rows = rows.iter().rev().filter(is_published).filter(|row| row.summary.kind == Kind::Static);
        let mut changed = BTreeMap::new();
        for row in rows.take(MAX_COMPARED) {
            if !agrees.insert(row.digest()) {
                continue;
            }
            let kept = self.kept.of(digest, manifest);
            let Some(older) = self.kept_of(log, row).await? else { continue };
            if !work_on(kept.bytes(), || kept.may_differ_from(&older)) {
                continue;
            }
            let Some(older) = self.readable_manifest(log, row).await? else { continue };
            let older = older.manifest()?;
            work_on(manifest.files.len() * NAME, || {
                for name in files.get_or_insert_with(|| Files::new(manifest)).changed_immutable(older) {
                    changed.entry(name.clone()).or_insert(row.number);
                }
            });
        }
        if changed.is_empty() {
            return Ok(Compared { files, agrees });
        }
        let count = changed.len();
        Err(ImmutableChanged { files: changed.into_iter().take(MAX_LISTED).collect(), count }.into())
    }

    /// The immutable files of a version; `None` as for [`Publish::readable_manifest`].
    async fn kept_of(&self, log: &LogName, row: &VersionRow) -> Result<Option<Arc<KeptFiles>>, PublishError> {
        let digest = row.digest();
        if let Some(known) = self.kept.known.get(&digest) {
            return Ok(Some(known));
        }
        let Some(loaded) = self.readable_manifest(log, row).await? else { return Ok(None) };
        Ok(Some(self.kept.of(digest, loaded.manifest()?)))
    }

    /// The manifest of a version; `None` if it cannot be read, which must not prevent publishing a better one.
    async fn readable_manifest(
        &self,
        log: &LogName,
        row: &VersionRow,
    ) -> Result<Option<Arc<LoadedManifest>>, PublishError> {
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
