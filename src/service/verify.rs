//! Verifying a store: every version that can still be read has all its blobs, and every stored blob has the
//! bytes that its key promises.
//!
//! Needs memory for one manifest and a few chunks, whatever the size of the store. The first pass follows
//! references, the second looks at every object in the order of the keys and re-hashes the blobs, so that it can go on
//! where it was stopped.

use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _};
use serde::Serialize;

use super::{Blobs, Heads, Manifests};
use crate::domain::manifest::Descriptor;
use crate::domain::{Digest, Hasher, Head, ManifestName, Selector, VersionRow};
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
    /// A head of a name's log is gone or damaged: what was active then cannot be said any more.
    DamagedHead {
        /// The name.
        name: ManifestName,
        /// The head.
        generation: u64,
        /// What is wrong with it.
        why: String,
    },
    /// A name has a log but is not listed.
    UnlistedName {
        /// The name.
        name: ManifestName,
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

    /// All objects up to and including this key were verified.
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

    /// Verifies everything; of the objects those whose keys come after `after`. Re-hashes `jobs` blobs at once.
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
        self.objects(after, jobs, &mut run).await?;
        Ok(run.totals)
    }

    async fn references(&self, run: &mut Run<'_>) -> Result<(), StoreError> {
        let prefix = layout::names("").expect("the prefix of all names is legal");
        let mut names = self.store.list(&prefix, List::default());
        while let Some(meta) = names.try_next().await? {
            // What is not the mark of a name is found in the second pass.
            let Some(LayoutKey::Name(name)) = LayoutKey::parse(&meta.key) else { continue };
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
        for generation in 1..newest.generation {
            let why = match self.heads.read(name, generation).await {
                Ok(Some(_)) => {
                    run.totals.heads += 1;
                    continue;
                }
                Ok(None) => "it is gone".to_owned(),
                Err(error) if error.is_retryable() => return Err(error),
                Err(error) => error.to_string(),
            };
            run.report(&Finding::DamagedHead { name: name.clone(), generation, why });
        }
        run.totals.heads += 1;
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
                let findings = self.version(&head.name, row, run).await?;
                // Beside a running server the version may have been retired, and its bytes collected, since its row was
                // read.
                if !findings.is_empty() && self.is_still_complete(&head.name, row.number).await? {
                    for finding in &findings {
                        run.report(finding);
                    }
                }
            }
        }
    }

    async fn is_still_complete(&self, name: &ManifestName, number: u64) -> Result<bool, StoreError> {
        let Some(head) = self.heads.current(name).await? else { return Ok(false) };
        let row = self.heads.select(&head, Selector::Number(number)).await?;
        Ok(row.is_some_and(|row| row.state.is_complete()))
    }

    /// What is wrong with one version.
    async fn version(
        &self,
        name: &ManifestName,
        row: &VersionRow,
        run: &mut Run<'_>,
    ) -> Result<Vec<Finding>, StoreError> {
        let version = row.number;
        let damaged = |why: String| Ok(vec![Finding::DamagedManifest { name: name.clone(), version, why }]);
        let loaded = match self.manifests.load(row.summary.manifest).await {
            Ok(Some(loaded)) => loaded,
            Ok(None) => return damaged("its bytes are gone".into()),
            Err(error) if error.is_retryable() => return Err(error),
            Err(error) => return damaged(error.to_string()),
        };
        let mut findings = Vec::new();
        for blob in loaded.manifest.blobs() {
            run.totals.references += 1;
            let stored = self.blobs.stat(blob.digest).await?.map(|meta| meta.size);
            if stored != Some(blob.size) {
                findings.push(Finding::BadReference { name: name.clone(), version, blob, stored });
            }
        }
        Ok(findings)
    }

    /// Looks at every object by its key, and re-hashes those that are blobs.
    async fn objects(&self, after: Option<Key>, jobs: usize, run: &mut Run<'_>) -> Result<(), StoreError> {
        let everything = "".parse().expect("the empty prefix is legal");
        let listing = self.store.list(&everything, List { start_after: after, ..List::default() });
        let checks = listing.map_ok(|meta| {
            let store = Arc::clone(&self.store);
            async move {
                let key = meta.key.clone();
                let check = tokio::spawn(async move { check_object(&*store, &meta.key).await }).await;
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

async fn check_object(store: &dyn ObjectStore, key: &Key) -> Result<Checked, StoreError> {
    match LayoutKey::parse(key) {
        Some(LayoutKey::Blob(digest, _)) => check_blob(store, key, digest).await,
        // The oldest head of a name: the name must be listed, or nobody would find what it refers to.
        Some(LayoutKey::Head(name, 1)) => {
            let mark = LayoutKey::Name(name.clone()).key();
            let listed = store.head(&mark).await?.is_some();
            Ok(if listed { Checked::NoBlob } else { Checked::Bad(Finding::UnlistedName { name }) })
        }
        Some(_) => Ok(Checked::NoBlob),
        None => Ok(Checked::Bad(Finding::UnknownKey { key: key.to_string() })),
    }
}

async fn check_blob(store: &dyn ObjectStore, key: &Key, digest: Digest) -> Result<Checked, StoreError> {
    let why = match hash(store, key).await {
        Ok(None) => return Ok(Checked::NoBlob),
        Ok(Some((actual, size))) if actual == digest => return Ok(Checked::Sound(size)),
        Ok(Some((actual, _))) => format!("its bytes have the digest {actual}"),
        Err(error) if error.is_retryable() => return Err(error),
        // It may have been deleted while it was read.
        Err(_) if store.head(key).await?.is_none() => return Ok(Checked::NoBlob),
        Err(error) => error.to_string(),
    };
    Ok(Checked::Bad(Finding::DamagedBlob { key: key.to_string(), why }))
}

async fn hash(store: &dyn ObjectStore, key: &Key) -> Result<Option<(Digest, u64)>, StoreError> {
    let Some(mut object) = store.get(key, None).await? else { return Ok(None) };
    let mut hasher = Hasher::new();
    while let Some(chunk) = object.body.try_next().await? {
        hasher.update(&chunk);
    }
    Ok(Some((hasher.finish(), object.meta.size)))
}
