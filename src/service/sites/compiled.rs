//! Sites compiled from their manifests: once for each manifest, shared by all requests.

use std::sync::Arc;

use bytes::Bytes;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use tokio::sync::Semaphore;
use tokio::time::Duration;

use crate::domain::site::{RuleFile, Rules, Site};
use crate::domain::{Digest, ManifestName, VersionRow};
use crate::protocol::Blobs;
use crate::protocol::flights::Flights;
use crate::protocol::long_work::work_on;
use crate::service::Resolve;
use crate::store::StoreError;

/// Size of all sites that are kept, in bytes. Manifests never change, so none of them becomes stale.
const REMEMBERED_BYTES: u64 = 128 << 20;
/// Maximum age of a compilation that a caller joins. What it makes is valid at any age; the limit is for those that get
/// stuck.
const PATIENCE: Duration = Duration::from_secs(60);
/// Size of the manifests that are compiled at once, in KiB; a larger one is compiled alone. Anybody can cause it by asking
/// for one version after the other, and while that goes on each takes about five times the bytes of its manifest.
const AT_ONCE: u32 = 8 << 10;
/// Memory that a site takes beside its files, in bytes.
const OVERHEAD: usize = 16 << 10;

/// The compiled sites.
#[derive(Debug)]
pub(super) struct Compiled {
    resolve: Arc<Resolve>,
    blobs: Arc<Blobs>,
    known: Cache<Digest, Arc<Site>>,
    compiling: Flights<Digest, Option<Arc<Site>>>,
    turns: Arc<Semaphore>,
}

impl Compiled {
    pub(super) fn new(resolve: Arc<Resolve>, blobs: Arc<Blobs>) -> Self {
        let weigh = |_: &Digest, site: &Arc<Site>| u32::try_from(OVERHEAD + site.files().bytes()).unwrap_or(u32::MAX);
        // Least recently used, so that a new one is always kept.
        let known =
            Cache::builder().max_capacity(REMEMBERED_BYTES).weigher(weigh).eviction_policy(EvictionPolicy::lru());
        let turns = Arc::new(Semaphore::new(AT_ONCE as usize));
        Self { resolve, blobs, known: known.build(), compiling: Flights::default(), turns }
    }

    /// Whether the site of a version is compiled.
    pub(super) fn has(&self, row: &VersionRow) -> bool {
        self.known.contains_key(&row.summary.manifest.digest)
    }

    /// The site of a version; `None` if its bytes are gone, because it was retired and collected. `id` is what metrics call
    /// the site that it is compiled for.
    pub(super) async fn site(
        &self,
        id: &str,
        name: &ManifestName,
        row: &VersionRow,
    ) -> Result<Option<Arc<Site>>, StoreError> {
        let digest = row.summary.manifest.digest;
        if let Some(site) = self.known.get(&digest) {
            return Ok(Some(site));
        }
        let compile = || {
            let (resolve, blobs, known) = (Arc::clone(&self.resolve), Arc::clone(&self.blobs), self.known.clone());
            let (id, name, row, turns) = (id.to_owned(), name.clone(), row.clone(), Arc::clone(&self.turns));
            async move {
                // The semaphore is never closed.
                let kibibytes = u32::try_from(row.summary.manifest.size >> 10).unwrap_or(u32::MAX);
                let _turn = turns.acquire_many(kibibytes.clamp(1, AT_ONCE)).await.ok();
                let site = compile(&resolve, &blobs, (&id, &name), &row).await?;
                if let Some(site) = &site {
                    known.insert(digest, Arc::clone(site));
                }
                Ok(site)
            }
        };
        self.compiling.join(&digest, PATIENCE, compile).await
    }
}

async fn compile(
    resolve: &Resolve,
    blobs: &Arc<Blobs>,
    (id, name): (&str, &ManifestName),
    row: &VersionRow,
) -> Result<Option<Arc<Site>>, StoreError> {
    let invalid = metrics::counter!("larder_site_rules_invalid_total", "site" => id.to_owned());
    let Some(loaded) = resolve.manifest_of(row).await? else { return Ok(None) };
    let manifest = loaded.manifest()?;
    let mut files: [Option<Bytes>; RuleFile::ALL.len()] = Default::default();
    for (bytes, file) in files.iter_mut().zip(RuleFile::ALL) {
        let Some(artifact) = manifest.files.iter().find(|artifact| artifact.name.as_str() == file.name()) else {
            continue;
        };
        if artifact.blob.size > file.max_size() as u64 {
            tracing::warn!(%name, version = row.number, file = file.name(), "too large to be read, so none of its rules count");
            invalid.increment(1);
            continue;
        }
        let Some(object) = blobs.open(artifact.blob.digest, None).await? else { return Ok(None) };
        *bytes = Some(object.bytes(file.max_size() as u64).await?);
    }
    let bytes = files.iter().flatten().map(Bytes::len).sum::<usize>() + loaded.bytes.len();
    let (site, problems) = work_on(bytes, || {
        let [redirects, headers] = files;
        let (rules, problems) = Rules::read(redirects.as_deref(), headers.as_deref());
        (Arc::new(Site::compile(manifest, rules)), problems)
    });
    if let Some(first) = problems.first() {
        let (version, problems) = (row.number, problems.len());
        invalid.increment(problems as u64);
        tracing::warn!(%name, version, problems, %first, "some rules of this site do not count");
    }
    Ok(Some(site))
}
