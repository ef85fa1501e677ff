//! Compares the store with the lists of heads that collector runs saw. A store that lost a head looks sound: nothing
//! else in it shows what is missing.

use std::collections::HashSet;

use super::{Finding, Verify, VerifyRun};
use crate::domain::LogName;
use crate::store::{Key, StoreError};
use crate::upkeep::seen::{self, SeenHead, SeenHeads};

impl Verify {
    /// Checks that every head that some run of the collector saw still exists.
    ///
    /// # Errors
    /// When the store is not available.
    pub(super) async fn heads_seen(&self, run: &mut VerifyRun<'_>) -> Result<(), StoreError> {
        let (mut done, mut reported) = (HashSet::new(), HashSet::new());
        // A concurrent collector replaces lists, so they are listed again after each one. Objects among them that are
        // not lists are reported by the pass over all objects.
        while let Ok(lists) = seen::lists(&*self.store).await? {
            let Some(key) = lists.into_iter().find(|key| !done.contains(key)) else { break };
            match self.list(&key, &mut reported, run).await {
                Err(error) if error.is_retryable() => return Err(error),
                Err(error) => run.report_only(&Finding::DamagedList { key: key.to_string(), why: error.to_string() }),
                Ok(()) => {}
            }
            done.insert(key);
        }
        Ok(())
    }

    async fn list(
        &self,
        key: &Key,
        reported: &mut HashSet<(LogName, u64)>,
        run: &mut VerifyRun<'_>,
    ) -> Result<(), StoreError> {
        let Some(mut list) = SeenHeads::open(&*self.store, key).await? else { return Ok(()) };
        while let Some((name, head)) = list.next().await? {
            let Some(finding) = self.loss(&name, head).await? else { continue };
            if reported.insert((name, head.generation)) {
                run.report_only(&finding);
            }
        }
        Ok(())
    }

    async fn loss(&self, name: &LogName, seen: SeenHead) -> Result<Option<Finding>, StoreError> {
        let found = async {
            let newest = self.heads.current(name).await?.map(|head| head.generation);
            seen.loss(&self.heads, name, newest).await
        };
        match found.await {
            Err(error) if error.is_retryable() => Err(error),
            // An unreadable head is reported as another finding.
            Err(_) => Ok(None),
            Ok(loss) => Ok(loss.map(|loss| Finding::LostHead {
                name: name.clone(),
                generation: seen.generation,
                why: loss.to_string(),
            })),
        }
    }
}
