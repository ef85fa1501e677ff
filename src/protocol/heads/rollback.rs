//! The version that a rollback goes back to.

use super::Heads;
use crate::domain::head::MAX_ACTIVATIONS;
use crate::domain::{Head, VersionRow};
use crate::store::StoreError;

/// Rows read at a time when the activations in the head do not lead to the answer.
const PAGE: usize = 256;

impl Heads {
    /// The readable version that was active last among those that are not yanked and have another manifest than the
    /// active version's. If no
    /// version is active, whatever was active last. `None` if there is no such version.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn rollback_target(&self, head: &Head) -> Result<Option<VersionRow>, StoreError> {
        let active = head.active().map(VersionRow::digest);
        let other = |row: &VersionRow| row.state.is_complete() && row.yanked.is_none() && active != Some(row.digest());
        for activation in &head.activations {
            if let Some(row) = self.segments.row(head, activation.version).await?.filter(other) {
                return Ok(Some(row));
            }
        }
        // A head with fewer activations than it can record has recorded all of them.
        if head.activations.len() < MAX_ACTIVATIONS {
            return Ok(None);
        }
        let (mut before, mut last) = (u64::MAX, None::<VersionRow>);
        loop {
            let page = self.segments.newest(head, before, PAGE).await?;
            let Some(oldest) = page.last() else { return Ok(last) };
            before = oldest.number;
            for row in page.into_iter().filter(|row| row.promoted_at.is_some() && other(row)) {
                if last.as_ref().is_none_or(|last| last.promoted_at < row.promoted_at) {
                    last = Some(row);
                }
            }
        }
    }
}
