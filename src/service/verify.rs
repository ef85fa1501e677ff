//! Verifying a store: every version that can still be read has all its blobs, and every stored blob has the
//! bytes that its key promises.
//!
//! Needs memory for one manifest and a few chunks, whatever the size of the store. The first pass follows
//! references, the second re-hashes blobs in the order of their keys, so that it can go on where it was stopped.

use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _};
use serde::Serialize;

use super::{Blobs, Heads, Manifests};
use crate::domain::manifest::Descriptor;
use crate::domain::{Hasher, Head, ManifestName, State, VersionRow};
use crate::layout::{self, LayoutKey};
use crate::store::{Key, List, ObjectStore, StoreError, StoreErrorKind};

/// Versions that are read at once from a name's history.
const ROWS: usize = 256;

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Finding {
    /// A name's log or rows cannot be read.
    UnreadableName {
        /// The name.
        name: ManifestName,
        /// Why.
        why: String,
    },
    /// A version's manifest is gone or damaged.
    DamagedManifest {
        /// The name.
        name: ManifestName,
        /// The version.
        version: u64,
        /// What is wrong with it.
        why: String,
    },
    /// A version refers to a blob that is not there, or that has another size.
    BadReference {
        /// The name.
        name: ManifestName,
        /// The version.
        version: u64,
        /// The blob.
        blob: Descriptor,
        /// The size that is stored; `None` when nothing is.
        stored: Option<u64>,
    },
    /// A blob's bytes do not have its digest, or cannot be read.
    DamagedBlob {
        /// Its key.
        key: String,
        /// What is wrong with it.
        why: String,
    },
    /// An object that this layout does not know.
    UnknownKey {
        /// Its key.
        key: String,
    },
}

/// What was looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Names.
    pub names: u64,
    /// Heads of their logs.
    pub heads: u64,
    /// Versions that can be read.
    pub versions: u64,
    /// References from them to blobs.
    pub references: u64,
    /// Blobs that were re-hashed in this run.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Findings.
    pub findings: u64,
}

/// Is told what the verification finds and how far it is.
pub trait Observer: Send {
    /// Something is wrong.
    fn finding(&mut self, finding: &Finding);

    /// All blobs up to and including this key were verified.
    fn verified(&mut self, key: &Key, totals: &Totals);
}

/// The verify service.
#[derive(Debug)]
pub struct Verify {
    store: Arc<dyn ObjectStore>,
    heads: Heads,
    blobs: Arc<Blobs>,
    manifests: Manifests,
}

/// What a pass needs at hand to report.
struct Run<'a> {
    observer: &'a mut dyn Observer,
    totals: Totals,
}

impl Run<'_> {
    fn report(&mut self, finding: &Finding) {
        self.totals.findings += 1;
        self.observer.finding(finding);
    }
}

impl Verify {
    /// A service on `store`.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>, clock: Arc<dyn crate::clock::Clock>) -> Self {
        let blobs = Arc::new(Blobs::new(Arc::clone(&store), Arc::clone(&clock), jiff::SignedDuration::MAX));
        Self {
            heads: Heads::new(Arc::clone(&store), clock),
            manifests: Manifests::new(Arc::clone(&blobs)),
            store,
            blobs,
        }
    }

    /// Verifies everything; of the blobs those whose keys come after `after`. Re-hashes `jobs` blobs at once.
    ///
    /// # Errors
    /// When the store cannot be listed. What is wrong with single objects is a finding, not an error.
    pub async fn run(
        &self,
        after: Option<Key>,
        jobs: usize,
        observer: &mut dyn Observer,
    ) -> Result<Totals, StoreError> {
        let mut run = Run { observer, totals: Totals::default() };
        self.references(&mut run).await?;
        self.bytes(after, jobs, &mut run).await?;
        Ok(run.totals)
    }

    async fn references(&self, run: &mut Run<'_>) -> Result<(), StoreError> {
        let prefix = layout::names("").expect("the prefix of all names is legal");
        let mut names = self.store.list(&prefix, List::default());
        while let Some(meta) = names.try_next().await? {
            let Some(LayoutKey::Name(name)) = LayoutKey::parse(&meta.key) else {
                run.report(&Finding::UnknownKey { key: meta.key.to_string() });
                continue;
            };
            run.totals.names += 1;
            if let Err(error) = self.name(&name, run).await {
                if error.is_retryable() {
                    return Err(error);
                }
                run.report(&Finding::UnreadableName { name, why: error.to_string() });
            }
        }
        Ok(())
    }

    async fn name(&self, name: &ManifestName, run: &mut Run<'_>) -> Result<(), StoreError> {
        // A name whose first head was never created is what a writer leaves behind that died between the two.
        let Some(newest) = self.heads.current(name).await? else { return Ok(()) };
        for generation in 1..=newest.generation {
            let gap = || StoreError::new(StoreErrorKind::Corrupt, name, format!("head {generation} is gone"));
            self.heads.read(name, generation).await?.ok_or_else(gap)?;
            run.totals.heads += 1;
        }
        self.versions(&newest, run).await
    }

    async fn versions(&self, head: &Head, run: &mut Run<'_>) -> Result<(), StoreError> {
        let mut before = u64::MAX;
        loop {
            let page = self.heads.rows(head, before, ROWS).await?;
            let Some(last) = page.last() else { return Ok(()) };
            before = last.number;
            for row in page.iter().filter(|row| row.state.is_complete()) {
                run.totals.versions += 1;
                self.version(&head.name, row, run).await?;
            }
        }
    }

    async fn version(&self, name: &ManifestName, row: &VersionRow, run: &mut Run<'_>) -> Result<(), StoreError> {
        debug_assert_ne!(row.state, State::Prepared);
        let damaged = |why: String| Finding::DamagedManifest { name: name.clone(), version: row.number, why };
        let loaded = match self.manifests.load(row.summary.manifest).await {
            Ok(Some(loaded)) => loaded,
            Ok(None) => {
                run.report(&damaged("its bytes are gone".into()));
                return Ok(());
            }
            Err(error) if error.is_retryable() => return Err(error),
            Err(error) => {
                run.report(&damaged(error.to_string()));
                return Ok(());
            }
        };
        for blob in loaded.manifest.blobs() {
            run.totals.references += 1;
            let stored = self.blobs.stat(blob.digest).await?.map(|meta| meta.size);
            if stored != Some(blob.size) {
                run.report(&Finding::BadReference { name: name.clone(), version: row.number, blob, stored });
            }
        }
        Ok(())
    }

    async fn bytes(&self, after: Option<Key>, jobs: usize, run: &mut Run<'_>) -> Result<(), StoreError> {
        let listing = self.store.list(&layout::blobs(), List { start_after: after, limit: None });
        let checks = listing.map_ok(|meta| {
            let store = Arc::clone(&self.store);
            async move {
                let key = meta.key.clone();
                let check = tokio::spawn(async move { check_blob(&*store, &meta.key).await }).await;
                let failed = |error| StoreError::new(StoreErrorKind::Internal, &key, error);
                Ok((key.clone(), check.map_err(failed)??))
            }
        });
        let mut checks = checks.try_buffered(jobs.max(1)).boxed();
        while let Some((key, checked)) = checks.try_next().await? {
            match checked {
                Checked::Sound(bytes) => {
                    run.totals.blobs += 1;
                    run.totals.bytes += bytes;
                }
                Checked::NoBlob => {}
                Checked::Bad(finding) => run.report(&finding),
            }
            run.observer.verified(&key, &run.totals);
        }
        Ok(())
    }
}

enum Checked {
    /// A blob with the right bytes, so many.
    Sound(u64),
    /// A tombstone or hint, or a blob that was deleted since it was listed.
    NoBlob,
    Bad(Finding),
}

async fn check_blob(store: &dyn ObjectStore, key: &Key) -> Result<Checked, StoreError> {
    let digest = match LayoutKey::parse(key) {
        Some(LayoutKey::Blob(digest, _)) => digest,
        Some(LayoutKey::Condemned(..) | LayoutKey::Seen(..)) => return Ok(Checked::NoBlob),
        _ => return Ok(Checked::Bad(Finding::UnknownKey { key: key.to_string() })),
    };
    let bad = |why: String| Checked::Bad(Finding::DamagedBlob { key: key.to_string(), why });
    let mut object = match store.get(key, None).await {
        Ok(Some(object)) => object,
        Ok(None) => return Ok(Checked::NoBlob),
        Err(error) if error.is_retryable() => return Err(error),
        Err(error) => return Ok(bad(error.to_string())),
    };
    let mut hasher = Hasher::new();
    loop {
        match object.body.try_next().await {
            Ok(Some(chunk)) => hasher.update(&chunk),
            Ok(None) => break,
            Err(error) => return Ok(bad(error.to_string())),
        }
    }
    let actual = hasher.finish();
    Ok(if actual == digest {
        Checked::Sound(object.meta.size)
    } else {
        bad(format!("its bytes have the digest {actual}"))
    })
}
