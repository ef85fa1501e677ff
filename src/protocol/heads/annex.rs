//! What a version needs besides its manifest and the blobs that this refers to.
//!
//! A row names up to eight such blobs itself. What does not fit there is named by its annex, a document under the segment
//! key of the name, so that it stays as long as the row does: `{"format": 1, "needs": [{"digest": …, "size": …}], …}`.
//! Whoever asks what a version needs (the collector, a publisher who checks, a verification) asks here, so that none of
//! them can forget a part of it.

use std::collections::HashSet;

use serde::Deserialize;

use super::segments;
use crate::domain::manifest::Descriptor;
use crate::domain::{LogName, VersionRow};
use crate::store::{ObjectStore, StoreError};

/// Largest annex, in bytes.
const MAX_ANNEX: u64 = 1 << 20;

/// What matters here of an annex. A newer larder may have put more into it.
#[derive(Deserialize)]
struct Annex {
    #[serde(default)]
    needs: Vec<Descriptor>,
}

/// The blobs that a version of `name` needs beyond its manifest, each once: those that its row names, and those that its
/// annex names.
///
/// # Errors
/// When the store fails, or the annex is gone, damaged, larger than it may be, or of a format that only a newer larder
/// knows. Then nobody can say what the version needs.
pub(super) async fn needs(
    store: &dyn ObjectStore,
    name: &LogName,
    row: &VersionRow,
) -> Result<Vec<Descriptor>, StoreError> {
    let mut needs = row.needs.clone();
    if let Some(annex) = row.annex {
        let limit = annex.size.min(MAX_ANNEX);
        needs.extend(segments::document::<Annex>(store, name, annex.digest, limit).await?.needs);
    }
    let mut seen = HashSet::with_capacity(needs.len());
    needs.retain(|blob| seen.insert(blob.digest));
    Ok(needs)
}
