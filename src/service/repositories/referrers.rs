//! The manifests that describe another one: signatures, bills of materials and the like.

use std::collections::BTreeMap;
use std::ops::Bound;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::Repositories;
use crate::domain::manifest::oci::Description;
use crate::domain::{AnyDigest, Digest, LogName, RepositoryName, VersionRow};
use crate::store::StoreError;

/// Manifests read concurrently.
const READ_AHEAD: usize = 8;
/// Entries of a page at most.
const MAX_ENTRIES: usize = 1000;
/// Size at which a page ends, in bytes: clients read at most 4 MiB.
const MAX_BYTES: usize = 3 << 20;
/// Cost at which a page ends, whatever it has: the sizes of the manifests that were read for it, of which each counts as
/// [`READ_COST`] bytes more.
const MAX_COST: u64 = 64 << 20;
const READ_COST: u64 = 16 << 10;

/// A manifest that describes another one.
#[derive(Debug, Clone)]
pub struct Referrer {
    /// Its digest, by the algorithm by which it was pushed.
    pub digest: AnyDigest,
    /// Its size in bytes.
    pub size: u64,
    /// Its media type.
    pub media_type: Box<str>,
    /// The type of what it holds, if it states one.
    pub artifact_type: Option<String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
}

/// A page of referrers, in the order of their digests.
#[derive(Debug, Clone, Default)]
pub struct ReferrerPage {
    /// The referrers.
    pub entries: Vec<Referrer>,
    /// The digest after which the next page begins. `None` on the last page.
    pub next: Option<Digest>,
}

impl Repositories {
    /// The manifests of a repository that describe `subject` by just this digest, after `last`, of one type if `artifact_type`
    /// is given, in logs that `visible` lets the caller see. A page ends at 1000 entries or 3 MiB, or when thousands of
    /// manifests were read for it: it may be empty and not be the last one.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &AnyDigest,
        (artifact_type, last): (Option<&str>, Option<Digest>),
        visible: impl Fn(&LogName) -> bool + Send + Sync,
    ) -> Result<ReferrerPage, StoreError> {
        let mut found: BTreeMap<Digest, VersionRow> = BTreeMap::new();
        let mut members = self.members.referrers(repository, subject.index_key(), &visible).boxed();
        while let Some(member) = members.try_next().await? {
            found.insert(member.row.digest(), member.row);
        }
        drop(members);
        let after = last.map_or(Bound::Unbounded, Bound::Excluded);
        let mut described = stream::iter(found.range((after, Bound::Unbounded)))
            .map(|(digest, row)| async move { Ok::<_, StoreError>((*digest, self.describe(row).await?)) })
            .buffered(READ_AHEAD)
            .boxed();
        let (mut page, mut bytes, mut cost, mut seen) = (ReferrerPage::default(), 0, 0, last);
        while let Some((digest, referrer)) = described.try_next().await? {
            if cost > MAX_COST {
                page.next = seen;
                return Ok(page);
            }
            cost += READ_COST + found[&digest].summary.manifest.size;
            let wanted = |referrer: &Referrer| {
                artifact_type.is_none_or(|wanted| referrer.artifact_type.as_deref() == Some(wanted))
            };
            if let Some(referrer) = referrer.filter(wanted) {
                bytes += size(&referrer);
                if page.entries.len() == MAX_ENTRIES || (bytes > MAX_BYTES && !page.entries.is_empty()) {
                    page.next = seen;
                    return Ok(page);
                }
                page.entries.push(referrer);
            }
            seen = Some(digest);
        }
        Ok(page)
    }

    /// `None` if the bytes are gone: the version was retired and collected since.
    async fn describe(&self, row: &VersionRow) -> Result<Option<Referrer>, StoreError> {
        let Some(shown) = self.shown(row).await? else { return Ok(None) };
        let Some(bytes) = self.bytes(&shown).await? else { return Ok(None) };
        let Ok(Description { artifact_type, annotations, .. }) = Description::read(&bytes) else { return Ok(None) };
        let pushed_as = row.summary.pushed_as.as_deref().map(|sha512| AnyDigest::Sha512(*sha512));
        let digest = pushed_as.unwrap_or_else(|| shown.digest.into());
        let (size, media_type) = (shown.size, shown.media_type.clone());
        Ok(Some(Referrer { digest, size, media_type, artifact_type, annotations }))
    }
}

/// About the size of a referrer in JSON, in bytes.
fn size(referrer: &Referrer) -> usize {
    let texts = referrer.artifact_type.as_ref().map_or(0, String::len) + referrer.media_type.len();
    let annotations = serde_json::to_vec(&referrer.annotations).map_or(0, |json| json.len());
    200 + texts + annotations
}
