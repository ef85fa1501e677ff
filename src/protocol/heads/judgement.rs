//! The rows that a change is judged by, besides the newest head.

use super::Heads;
use crate::domain::head::Judgement;
use crate::domain::{Change, Head, Operation};
use crate::store::StoreError;

impl Heads {
    /// Reads what [`Head::next`] needs to judge a change to `head`.
    pub(super) async fn judgement(
        &self,
        head: Option<&Head>,
        change: &Change,
        operation: Operation,
    ) -> Result<Judgement, StoreError> {
        let mut judgement = Judgement::new(operation, self.clock.now());
        let Some(head) = head else { return Ok(judgement) };
        match change {
            Change::Delete { .. } => judgement.everything = self.segments.everything(head).await?,
            Change::Expire { due } => {
                for due in due {
                    judgement.everything.extend(self.segments.row(head, due.number).await?);
                }
            }
            Change::Rollback { .. } => judgement.row = self.rollback_target(head).await?,
            Change::Yank { rollback: true, .. } => judgement.instead = self.rollback_target(head).await?,
            _ => {}
        }
        if let Some(selector) = change.selector() {
            judgement.row = self.select(head, selector).await?;
        }
        Ok(judgement)
    }
}
