//! Changing a name: the next head is computed from the newest one and created.

use std::future::ready;
use std::sync::Arc;

use tokio::time::Instant;

use super::cached::CachedHead;
use super::{ChangeError, Changed, Heads};
use crate::domain::head::Outcome;
use crate::domain::{Author, Change, Head, LogName, Operation, Rejection};
use crate::store::{StoreError, StoreErrorKind};

/// Lost races after which a change fails. Each one means that another writer's change succeeded.
const MAX_RACES: u32 = 100;

impl Heads {
    /// Changes a name: computes the next head from the newest one and creates it, and retries when it loses the race to
    /// another writer. The change is durable when this returns.
    ///
    /// # Errors
    /// A [`ChangeError`].
    pub async fn change(
        &self,
        name: &LogName,
        change: &Change,
        by: impl Into<Author> + Send,
    ) -> Result<Changed, ChangeError> {
        self.change_if(name, change, by, |_| ready(Ok(()))).await
    }

    /// As [`Heads::change`], if a condition holds that takes more to judge than the head and the change. It is judged for
    /// the very head that the change is based on, so once more after each lost race.
    ///
    /// # Errors
    /// The error of the condition, or a [`ChangeError`].
    pub async fn change_if<E, F>(
        &self,
        name: &LogName,
        change: &Change,
        by: impl Into<Author> + Send,
        condition: impl Fn(Option<Arc<Head>>) -> F + Send + Sync,
    ) -> Result<Changed, E>
    where
        E: From<ChangeError> + Send,
        F: Future<Output = Result<(), E>> + Send,
    {
        let by = by.into();
        let id = operation_id().map_err(ChangeError::from)?;
        let operation = by.sign(Operation::new(id, change.action(), by.subject.clone()));
        for _ in 0..MAX_RACES {
            let asked = Instant::now();
            let known = self.known(name).await.map_err(ChangeError::from)?;
            condition(known.as_ref().map(|known| Arc::clone(&known.head))).await?;
            // Boxed because it holds several rows, which would otherwise enlarge every future that awaits a change.
            let attempt = Box::pin(self.attempt(name, (known, asked), change, operation.clone()));
            if let Some(changed) = attempt.await? {
                return Ok(changed);
            }
        }
        Err(ChangeError::Contended.into())
    }

    /// One attempt, based on the newest head that was known after it was `asked` for; `None` when another writer created
    /// the next head first.
    async fn attempt(
        &self,
        name: &LogName,
        (known, asked): (Option<CachedHead>, Instant),
        change: &Change,
        operation: Operation,
    ) -> Result<Option<Changed>, ChangeError> {
        let current = known.as_ref().map(|known| Arc::clone(&known.head));
        let judgement = self.judgement(name, current.as_deref(), change, operation).await?;
        match Head::next(current.as_deref(), name, change, judgement)? {
            Outcome::Unchanged(row) => {
                // Only a name that exists can be unchanged.
                let known = known.ok_or(Rejection::NoSuchVersion)?;
                let head = self.make_durable(known).await?;
                Ok(Some(Changed { head, row, unchanged: true }))
            }
            Outcome::Next { mut head, row, spill } => {
                self.clock.skew().map_or(Ok(()), |ahead| Err(ChangeError::ClockSkew(ahead)))?;
                let may_be_unlisted = known.as_ref().is_none_or(CachedHead::may_be_unlisted);
                if let Some(known) = known {
                    self.make_durable(known).await?;
                }
                self.segments.spill(&mut head, spill).await?;
                let created = self.log.create(&head).await?;
                // Even if another writer was first: the name exists.
                self.absent.remove(name);
                if !created {
                    return Ok(None);
                }
                if may_be_unlisted {
                    // After the head, so that a mark without heads proves a loss. A head without its mark, which a crash
                    // between the two leaves, is only not listed until the next change, or the next run of a collector.
                    self.add_mark(name).await?;
                }
                let head = Arc::new(*head);
                // The answer is this head, even if another writer has built on it since.
                self.keep(CachedHead { head: Arc::clone(&head), checked: asked, durable: true, listed: true });
                Ok(Some(Changed { head, row, unchanged: false }))
            }
        }
    }
}

fn operation_id() -> Result<String, StoreError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| StoreError::new(StoreErrorKind::Internal, "random numbers", error))?;
    Ok(hex::encode(random))
}
