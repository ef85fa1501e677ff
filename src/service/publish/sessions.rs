//! The sessions of a name that are open.

use super::{Publish, PublishError};
use crate::domain::{ManifestName, State, VersionRow};

/// Number of newest versions among which open sessions are sought.
const SESSIONS_SOUGHT: usize = 1000;

impl Publish {
    /// The sessions of a name that are open, oldest first, among its newest `SESSIONS_SOUGHT` versions.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn sessions(&self, name: &ManifestName) -> Result<Vec<VersionRow>, PublishError> {
        let Some(head) = self.heads.current(name).await? else { return Ok(Vec::new()) };
        let mut rows = self.heads.rows(&head, u64::MAX, SESSIONS_SOUGHT).await?;
        rows.retain(|row| row.state == State::Prepared);
        rows.reverse();
        Ok(rows)
    }
}
