//! Earlier files: files that the active version of a name lacks, answered from versions that were active before.
//!
//! Whoever holds a page, an index or an updater's list of an earlier version still asks for what it names. The policy
//! `earlier_files` of a name says for how long that is answered. Retention keeps the same versions, by the same rule
//! ([`EarlierFiles`]), so an answer never depends on when a collector runs.

mod index;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use tokio::sync::Semaphore;

use crate::domain::manifest::Artifact;
use crate::domain::retention::{EarlierFiles, since};
use crate::domain::{Digest, FileName, Head, LogName, ManifestName, VersionRow};
use crate::protocol::flights::Flights;
use crate::protocol::{AsOf, Heads, LoadedManifest, Manifests};
use crate::store::{StoreError, StoreErrorKind};
use index::{EarlierIndex, IndexBuilder, Succession};

/// Size of the indexes of all names together, in bytes.
const REMEMBERED_BYTES: u64 = 64 << 20;
/// Maximum size of the index of one name, in bytes: about 95 for each path and content that the active version does not
/// have. What does not fit are files of the versions that were archived first.
const MAX_INDEX: usize = 32 << 20;
/// Maximum age of a build that a caller joins. What it makes is valid at any age; the limit is for builds that get stuck.
const PATIENCE: Duration = Duration::from_mins(1);

/// A file of an earlier version.
#[derive(Debug, Clone)]
pub struct EarlierFile {
    /// The version that has it. It was active, and is not any more.
    pub row: VersionRow,
    /// The file: its full name, its content, its media type and what it is a variant of. Nothing else of what a manifest
    /// may state is kept.
    pub artifact: Artifact,
    /// The generation of the head that the answer is based on.
    pub generation: u64,
    /// For how long the answer holds unless the name changes.
    pub valid_for: Duration,
}

/// The key of an index under construction.
type BuildKey = (LogName, u64, EarlierFiles);

/// The service for earlier files.
#[derive(Debug)]
pub struct Earlier {
    heads: Arc<Heads>,
    manifests: Arc<Manifests>,
    /// The index of each name, for the newest generation that was asked for.
    known: Cache<LogName, Arc<EarlierIndex>>,
    builds: Flights<BuildKey, Option<Arc<EarlierIndex>>>,
    /// Held while an index is built: anybody can cause a build by asking for what is not there, and it takes memory and
    /// time.
    turn: Arc<Semaphore>,
}

impl Earlier {
    /// Creates the service from the parts it uses.
    #[must_use]
    pub fn new(heads: Arc<Heads>, manifests: Arc<Manifests>) -> Self {
        let weigh = |_: &LogName, index: &Arc<EarlierIndex>| u32::try_from(index.bytes()).unwrap_or(u32::MAX);
        // Least recently used, so that a new index is always kept.
        let known =
            Cache::builder().max_capacity(REMEMBERED_BYTES).weigher(weigh).eviction_policy(EvictionPolicy::lru());
        let turn = Arc::new(Semaphore::new(1));
        Self { heads, manifests, known: known.build(), builds: Flights::default(), turn }
    }

    /// Whether the policy of the name answers for earlier files at all. Before anything negative is said about such a
    /// name, its head has to be looked at with [`AsOf::After`] the arrival of the request.
    #[must_use]
    pub fn is_on(&self, name: &ManifestName) -> bool {
        self.heads.policy(name).earlier_files.is_on()
    }

    /// The generation of a name's newest head; `None` if the name has never existed.
    ///
    /// That a version lacks a file and that [`Earlier::find`] finds none is only an answer together if both are about the
    /// same head: in between, a version with the file may have become active again.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn generation(&self, name: &ManifestName, fresh: AsOf) -> Result<Option<u64>, StoreError> {
        Ok(self.heads.look(name, fresh).await?.map(|head| head.generation))
    }

    /// The file of this name in the eligible version that has it and was archived last. `None` if none does, if the
    /// active version has a file of that name, or if nothing is active.
    ///
    /// If the file's bytes are gone when they are read, the version was retired and collected since: ask again with
    /// [`AsOf::Now`].
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find(
        &self,
        name: &ManifestName,
        file: &FileName,
        fresh: AsOf,
    ) -> Result<Option<EarlierFile>, StoreError> {
        self.search(name, fresh, |index, is_eligible| index.by_name(file, is_eligible)).await
    }

    /// A file with this content that an eligible version has directly in this directory, which is empty or a path
    /// without a slash at its end. Files that the active version has there under the same name and with the same content
    /// are not found; others are.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_content(
        &self,
        name: &ManifestName,
        directory: &str,
        digest: Digest,
        fresh: AsOf,
    ) -> Result<Option<EarlierFile>, StoreError> {
        self.search(name, fresh, |index, is_eligible| index.by_content(directory, digest, is_eligible)).await
    }

    async fn search(
        &self,
        name: &ManifestName,
        mut fresh: AsOf,
        look_up: impl Fn(&EarlierIndex, &dyn Fn(&VersionRow) -> bool) -> Option<(VersionRow, Artifact)> + Send + Sync,
    ) -> Result<Option<EarlierFile>, StoreError> {
        let policy = self.heads.policy(name).earlier_files;
        if !policy.is_on() {
            return Ok(None);
        }
        let index = loop {
            let Some(head) = self.heads.look(name, fresh).await? else { return Ok(None) };
            // Who withdraws a name means its files, too.
            if head.deleted.is_some() || head.active().is_none() {
                return Ok(None);
            }
            match self.index(&head, policy).await? {
                Some(index) => break index,
                // A version was retired and collected since the head was read.
                None => fresh = AsOf::Now,
            }
        };
        let now = self.heads.now();
        let is_eligible = |row: &VersionRow| policy.holds(now.duration_since(since(row)));
        Ok(look_up(&index, &is_eligible).map(|(row, artifact)| {
            let left = policy.window.saturating_sub(now.duration_since(since(&row)));
            let valid_for = Duration::try_from(left).unwrap_or_default();
            EarlierFile { row, artifact, generation: index.generation, valid_for }
        }))
    }

    /// The index for a head; `None` if the head is no longer the newest, and cannot be indexed for that reason.
    async fn index(&self, head: &Arc<Head>, policy: EarlierFiles) -> Result<Option<Arc<EarlierIndex>>, StoreError> {
        let is_its = |index: &Arc<EarlierIndex>| index.generation >= head.generation && index.policy == policy;
        if let Some(index) = self.known.get(&head.name).filter(is_its) {
            return Ok(Some(index));
        }
        let build = || {
            let (heads, manifests) = (Arc::clone(&self.heads), Arc::clone(&self.manifests));
            let (head, known, turn) = (Arc::clone(head), self.known.clone(), Arc::clone(&self.turn));
            async move {
                // The semaphore is never closed.
                let _turn = turn.acquire().await.ok();
                let before = known.get(&head.name).filter(|index| index.policy == policy);
                let index = build((&heads, &manifests), &head, policy, before).await?.map(Arc::new);
                if let Some(index) = &index {
                    known.insert(head.name.clone(), Arc::clone(index));
                }
                Ok(index)
            }
        };
        self.builds.join(&(head.name.clone(), head.generation, policy), PATIENCE, build).await
    }
}

/// Indexes the files of all eligible versions, from the index `before` as far as that is possible: manifests of tens of
/// thousands of files take long to read. `None` if the manifest of one is gone because a newer head has retired it.
async fn build(
    context: (&Arc<Heads>, &Arc<Manifests>),
    head: &Head,
    policy: EarlierFiles,
    before: Option<Arc<EarlierIndex>>,
) -> Result<Option<EarlierIndex>, StoreError> {
    let (heads, now) = (context.0, context.0.now());
    let started = now.checked_sub(policy.window).unwrap_or(Timestamp::MIN);
    let rows = heads.archived(head, started).await?;
    let eligible = policy.eligible(&rows, |row| now.duration_since(since(row)));
    let eligible: Arc<[VersionRow]> = eligible.into_iter().cloned().collect();
    let builder = || IndexBuilder::new(head.generation, policy, head.active(), &eligible);
    let (Some(row), false) = (head.active(), eligible.is_empty()) else { return Ok(Some(builder().finish())) };
    let succession = before.as_ref().map_or(Succession::None, |before| before.succession(row, &eligible));
    if let (Some(before), Succession::Same) = (&before, &succession) {
        return Ok(Some(before.renewed(head.generation, &eligible)));
    }
    let active = match load(context, head, row).await? {
        Loaded::Manifest(active) => active,
        Loaded::Moved => return Ok(None),
        Loaded::Unreadable => return Ok(Some(builder().finish())),
    };
    if let (Some(before), Succession::Next) = (before, succession)
        && let Loaded::Manifest(first) = load(context, head, &eligible[0]).await?
    {
        let (mut builder, eligible, active) = (builder(), Arc::clone(&eligible), Arc::clone(&active));
        let succeed = move || {
            if builder.add(&eligible[0], &first, &active, MAX_INDEX) {
                builder.add_known(&before, &eligible, &active, MAX_INDEX);
            }
            builder.finish()
        };
        let index = off_thread(succeed).await?;
        report_left_out(head, &index);
        return Ok(Some(index));
    }
    whole(context, head, (builder(), active), eligible).await
}

/// Indexes the files of all eligible versions by reading all of their manifests.
async fn whole(
    context: (&Arc<Heads>, &Arc<Manifests>),
    head: &Head,
    (mut builder, active): (IndexBuilder, Arc<LoadedManifest>),
    eligible: Arc<[VersionRow]>,
) -> Result<Option<EarlierIndex>, StoreError> {
    for row in &*eligible {
        let loaded = match load(context, head, row).await? {
            Loaded::Manifest(loaded) => loaded,
            Loaded::Moved => return Ok(None),
            Loaded::Unreadable => {
                builder.skip(row);
                continue;
            }
        };
        let (row, active) = (row.clone(), Arc::clone(&active));
        let fits;
        (builder, fits) = off_thread(move || {
            let fits = builder.add(&row, &loaded, &active, MAX_INDEX);
            (builder, fits)
        })
        .await?;
        if !fits {
            break;
        }
    }
    let index = off_thread(move || builder.finish()).await?;
    report_left_out(head, &index);
    Ok(Some(index))
}

/// Tells operators of versions whose files are not found because there are too many.
fn report_left_out(head: &Head, index: &EarlierIndex) {
    let (name, versions) = (&head.name, index.left_out());
    if versions > 0 {
        tracing::warn!(%name, versions, "too many earlier files: those of the versions that were archived first are left out");
        metrics::counter!("larder_earlier_versions_left_out_total").increment(versions as u64);
    }
}

/// Compares files outside of the threads that serve requests: tens of thousands take tens of milliseconds.
async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, StoreError> {
    let failed = |error| StoreError::new(StoreErrorKind::Internal, "earlier files", error);
    tokio::task::spawn_blocking(work).await.map_err(failed)
}

/// What became of reading the manifest of a row.
enum Loaded {
    Manifest(Arc<LoadedManifest>),
    /// It is gone, and the name has a newer head.
    Moved,
    /// It is damaged or lost, or needs a newer binary. One such version must not make an error of every address of the
    /// name that leads nowhere.
    Unreadable,
}

async fn load(
    (heads, manifests): (&Arc<Heads>, &Arc<Manifests>),
    head: &Head,
    row: &VersionRow,
) -> Result<Loaded, StoreError> {
    let (name, version) = (&head.name, row.number);
    match manifests.load(row.summary.manifest, row.summary.media_type.as_deref()).await {
        Ok(Some(loaded)) => return Ok(Loaded::Manifest(loaded)),
        Ok(None) => {
            let now = heads.look(name, AsOf::Now).await?;
            if now.is_none_or(|now| now.generation != head.generation) {
                return Ok(Loaded::Moved);
            }
            tracing::warn!(%name, version, "the manifest is gone, and with it its earlier files");
        }
        Err(error) if matches!(error.kind, StoreErrorKind::Corrupt | StoreErrorKind::Newer) => {
            tracing::warn!(%error, %name, version, "the manifest cannot be read, so none of its earlier files");
        }
        Err(error) => return Err(error),
    }
    Ok(Loaded::Unreadable)
}
