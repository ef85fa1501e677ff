//! Catalogs as repositories of TUF: the roots and targets that their authors signed, and the snapshot and the timestamp that
//! this server signs for them.
//!
//! A catalog is shown if its newest root lets a key of this store sign snapshots and timestamps, and if it has the targets
//! of its document. Nothing is stored: what is signed follows from what is active and from the time.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use tokio::time::Instant;

use super::ResolveError;
use super::catalogs::{ActiveCatalog, CatalogReadError, Catalogs};
use crate::clock::Clock;
use crate::domain::catalog::{CatalogName, NewMetadata, PublicKey, Root, Slot, snapshot, timestamp};
use crate::domain::manifest::Descriptor;
use crate::domain::{Digest, Selector};
use crate::protocol::{AsOf, KeyRing};
use crate::store::{StoreError, StoreErrorKind};

/// Snapshots that are remembered, each of about a kilobyte.
const REMEMBERED: u64 = 4096;
/// How long a catalog is not looked at again whose root names a key that is not known here: another server may have added
/// that to the ring just now.
const UNKNOWN_FOR: SignedDuration = SignedDuration::from_secs(5);

/// Why there is no such metadata.
#[derive(Debug, thiserror::Error)]
pub enum TufError {
    /// There is none: no such catalog, none that is shown, or no such file of it.
    #[error("there is no such TUF metadata")]
    Unknown,
    /// The clock is behind the time at which the catalog changed, so that a timestamp would be older than others.
    #[error("the clock says {now}, but the catalog changed at {changed}")]
    ClockBehind {
        /// The clock's time.
        now: Timestamp,
        /// When the catalog changed.
        changed: Timestamp,
    },
    /// Too many catalogs are being read.
    #[error("too many other catalogs are being read")]
    Busy,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<CatalogReadError> for TufError {
    fn from(error: CatalogReadError) -> Self {
        match error {
            CatalogReadError::Busy => Self::Busy,
            CatalogReadError::Resolve(ResolveError::Store(error)) => Self::Store(error),
            // What was withdrawn or retired is not there, either: clients of TUF know no third answer.
            CatalogReadError::Resolve(_)
            | CatalogReadError::Unreadable { .. }
            | CatalogReadError::NoSuchRelease(_)
            | CatalogReadError::NoSuchItem(_) => Self::Unknown,
        }
    }
}

/// A file of metadata, by its usual name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TufFile {
    /// `N.root.json`
    Root(u64),
    /// `timestamp.json`
    Timestamp,
    /// `N.snapshot.json`
    Snapshot(u64),
    /// `N.targets.json`
    Targets(u64),
}

impl TufFile {
    /// The file with this name, if there can be one. Numbers have one spelling.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let stem = name.strip_suffix(".json")?;
        if stem == "timestamp" {
            return Some(Self::Timestamp);
        }
        let (number, role) = stem.split_once('.')?;
        let version: u64 = number.parse().ok().filter(|_| !number.starts_with(['0', '+']))?;
        match role {
            "root" => Some(Self::Root(version)),
            "snapshot" => Some(Self::Snapshot(version)),
            "targets" => Some(Self::Targets(version)),
            _ => None,
        }
    }
}

/// What a file of metadata is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TufContent {
    /// A blob.
    Stored(Digest),
    /// Made of what is stored.
    Made(Bytes),
}

/// The repository of one document of a catalog.
struct Repository {
    version: u64,
    targets: Digest,
    snapshot: Bytes,
    /// The key of this store that the root names.
    pair: Ed25519KeyPair,
    /// Its id in the root.
    key: String,
}

/// Whether a document is shown.
#[derive(Clone)]
enum Shown {
    As(Arc<Repository>),
    Never,
    /// Not before this time, at least.
    NotBefore(Timestamp),
}

impl Shown {
    /// Whether that has to be found out again.
    fn is_over(&self, now: Timestamp) -> bool {
        matches!(self, Self::NotBefore(time) if *time <= now)
    }

    fn repository(self) -> Option<Arc<Repository>> {
        if let Self::As(repository) = self { Some(repository) } else { None }
    }
}

/// The service that shows catalogs as repositories of TUF.
pub struct Tuf {
    catalogs: Arc<Catalogs>,
    keys: KeyRing,
    clock: Arc<dyn Clock>,
    /// By the manifest of the catalog.
    known: Cache<Digest, Shown>,
}

impl fmt::Debug for Tuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tuf").field("keys", &self.keys).finish_non_exhaustive()
    }
}

impl Tuf {
    /// Creates the service from the parts it uses.
    #[must_use]
    pub fn new(catalogs: Arc<Catalogs>, keys: KeyRing, clock: Arc<dyn Clock>) -> Self {
        let known = Cache::builder().max_capacity(REMEMBERED).eviction_policy(EvictionPolicy::lru()).build();
        Self { catalogs, keys, clock, known }
    }

    /// The key that signs snapshots and timestamps of this catalog once its author lets it: the newest one. All servers of a
    /// store have the same; the catalog need not exist.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn key(&self, name: &CatalogName) -> Result<PublicKey, StoreError> {
        let pairs = self.pairs(name).await?;
        public(pairs.first().ok_or_else(|| unusable("there is none"))?)
    }

    /// Whether a catalog is shown.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn shows(&self, name: &CatalogName, active: &ActiveCatalog) -> Result<bool, StoreError> {
        Ok(self.repository(name, active).await?.is_some())
    }

    /// A file of metadata. Of snapshots and targets, those of the document that was active before are there as well, for
    /// clients who began to read before the last change.
    ///
    /// # Errors
    /// A [`TufError`].
    pub async fn file(&self, name: &CatalogName, file: TufFile, fresh: AsOf) -> Result<TufContent, TufError> {
        let arrived = Instant::now();
        // An older document than another server has shown would have a timestamp with a lower version, which clients refuse.
        let is_older_refused = file == TufFile::Timestamp && fresh == AsOf::Recent;
        let fresh = if is_older_refused { AsOf::After(arrived) } else { fresh };
        match self.find(name, file, fresh).await {
            // Another server may have told of a change that this one has not seen yet.
            Err(TufError::Unknown) if fresh == AsOf::Recent && file.follows_a_timestamp() => {
                self.find(name, file, AsOf::After(arrived)).await
            }
            found => found,
        }
    }

    async fn find(&self, name: &CatalogName, file: TufFile, fresh: AsOf) -> Result<TufContent, TufError> {
        let active = self.catalogs.active(name, fresh).await?;
        let repository = self.repository(name, &active).await?.ok_or(TufError::Unknown)?;
        match file {
            TufFile::Root(version) => {
                let at = usize::try_from(version).ok().and_then(|version| version.checked_sub(1));
                let root = at.and_then(|at| active.roots.get(at)).ok_or(TufError::Unknown)?;
                Ok(TufContent::Stored(root.digest))
            }
            TufFile::Timestamp => self.timestamp(&active, &repository),
            TufFile::Snapshot(version) | TufFile::Targets(version) if version == repository.version => {
                repository.content(file)
            }
            TufFile::Snapshot(version) | TufFile::Targets(version) => {
                let before = self.catalogs.at(name, Selector::Previous, fresh).await?;
                let before = self.repository(name, &before).await?.filter(|before| before.version == version);
                before.ok_or(TufError::Unknown)?.content(file)
            }
        }
    }

    fn timestamp(&self, active: &ActiveCatalog, repository: &Repository) -> Result<TufContent, TufError> {
        let now = self.clock.now();
        let changed = active.found.row.promoted_at.unwrap_or(Timestamp::UNIX_EPOCH);
        let slot = Slot::at(now, changed).ok_or(TufError::ClockBehind { now, changed })?;
        let snapshot = Descriptor { digest: Digest::of(&repository.snapshot), size: repository.snapshot.len() as u64 };
        let timestamp = timestamp(slot, repository.version, snapshot).ok_or(TufError::ClockBehind { now, changed })?;
        Ok(TufContent::Made(signed(timestamp, &repository.pair, &repository.key)))
    }

    async fn repository(
        &self,
        name: &CatalogName,
        active: &ActiveCatalog,
    ) -> Result<Option<Arc<Repository>>, StoreError> {
        // The document of another catalog may have been published here.
        let fits = |(version, _): &(u64, Descriptor)| {
            *version > 0 && *version == active.document.serial && active.document.name == *name
        };
        let Some((version, targets)) = active.targets.filter(fits) else { return Ok(None) };
        let manifest = active.found.row.digest();
        let now = self.clock.now();
        if let Some(known) = self.known.get(&manifest).filter(|shown| !shown.is_over(now)) {
            return Ok(known.repository());
        }
        let Some(root) = self.catalogs.root(active).await? else { return Ok(None) };
        let shown = self.make(name, &root, active, (version, targets)).await?;
        self.known.insert(manifest, shown.clone());
        Ok(shown.repository())
    }

    async fn make(
        &self,
        name: &CatalogName,
        root: &Root,
        active: &ActiveCatalog,
        (version, targets): (u64, Descriptor),
    ) -> Result<Shown, StoreError> {
        if root.online.is_empty() {
            return Ok(Shown::Never);
        }
        // An older key signs until the author's root names the newest.
        for pair in self.pairs(name).await? {
            let own = public(&pair)?;
            if root.online.contains(&own) {
                let key = root.id_of(own);
                let snapshot = signed(snapshot(version, active.document.expires, targets), &pair, &key);
                let repository = Repository { version, targets: targets.digest, snapshot, pair, key };
                return Ok(Shown::As(Arc::new(repository)));
            }
        }
        Ok(Shown::NotBefore(self.clock.now().checked_add(UNKNOWN_FOR).unwrap_or(Timestamp::MAX)))
    }

    /// The keys of this store for a catalog, the newest first.
    async fn pairs(&self, name: &CatalogName) -> Result<Vec<Ed25519KeyPair>, StoreError> {
        let keys = self.keys.lasting(&format!("tuf:{name}")).await?;
        keys.iter().map(|key| Ed25519KeyPair::from_seed_unchecked(&key.secret).map_err(unusable)).collect()
    }
}

impl TufFile {
    /// Whether clients ask for it because a timestamp told them to.
    fn follows_a_timestamp(self) -> bool {
        matches!(self, Self::Snapshot(_) | Self::Targets(_))
    }
}

impl Repository {
    fn content(&self, file: TufFile) -> Result<TufContent, TufError> {
        match file {
            TufFile::Snapshot(_) => Ok(TufContent::Made(self.snapshot.clone())),
            TufFile::Targets(_) => Ok(TufContent::Stored(self.targets)),
            TufFile::Root(_) | TufFile::Timestamp => Err(TufError::Unknown),
        }
    }
}

fn public(pair: &Ed25519KeyPair) -> Result<PublicKey, StoreError> {
    Ok(PublicKey(pair.public_key().as_ref().try_into().map_err(unusable)?))
}

fn unusable(error: impl fmt::Display) -> StoreError {
    StoreError::new(StoreErrorKind::Internal, "a key of the ring", error.to_string())
}

fn signed(mut metadata: NewMetadata, pair: &Ed25519KeyPair, id: &str) -> Bytes {
    let signature = pair.sign(metadata.message());
    metadata.add(id, signature.as_ref());
    metadata.write().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_one_name_each() {
        for (name, file) in [
            ("1.root.json", Some(TufFile::Root(1))),
            ("timestamp.json", Some(TufFile::Timestamp)),
            ("42.snapshot.json", Some(TufFile::Snapshot(42))),
            ("7.targets.json", Some(TufFile::Targets(7))),
        ] {
            assert_eq!(TufFile::named(name), file, "{name}");
        }
        let others =
            ["root.json", "0.root.json", "01.root.json", "+1.root.json", "1.root", "1.timestamp.json", "x", ""];
        for name in others.into_iter().chain(["1.stable.json", "99999999999999999999.root.json", "1.1.root.json"]) {
            assert_eq!(TufFile::named(name), None, "{name}");
        }
    }
}
