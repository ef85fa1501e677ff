//! The blobs that a version needs besides its manifest and those that the manifest refers to.
//!
//! A row names up to eight such blobs itself. The rest is named by its annex, a document under the segment key of the
//! name, so that it is kept as long as the row: `{"format": 1, "needs": [{"digest": …, "size": …}], …}`. The collector,
//! publishers and `verify` all determine a version's needs here, so that none of them can miss a part.

use std::collections::HashSet;

use serde::Deserialize;

use super::segments;
use crate::domain::manifest::Descriptor;
use crate::domain::{LogName, VersionRow};
use crate::store::{ObjectStore, StoreError};

/// Largest annex, in bytes.
const MAX_ANNEX: u64 = 1 << 20;

/// The members of an annex that matter here. A newer binary may have added others.
#[derive(Deserialize)]
struct Annex {
    #[serde(default)]
    needs: Vec<Descriptor>,
}

/// The blobs that a version of `name` needs beyond its manifest, without duplicates: those named by its row, and those
/// named by its annex.
///
/// # Errors
/// When the store fails, or the annex is missing, damaged, larger than [`MAX_ANNEX`], or of a format that only a newer
/// binary knows. The needs of the version are unknown in that case.
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
