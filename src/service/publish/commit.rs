//! Step P3: completing a version.

use std::sync::Arc;

use super::immutable::Comparison;
use super::{Publish, PublishError, PublishOptions, Receipt};
use crate::domain::head::Change;
use crate::domain::manifest::Kind;
use crate::domain::{Author, Expect, LogName, Rejection, Selector};
use crate::protocol::ChangeError;
use crate::service::sites::Sites;
use crate::store::StoreError;

/// Limit on judging a catalog again because another document became active meanwhile.
const MAX_JUDGED: u32 = 8;

impl Publish {
    /// Has sites that visitors use compiled before their next version becomes active.
    #[must_use]
    pub fn with_sites(self, sites: Arc<Sites>) -> Self {
        Self { sites: Some(sites), ..self }
    }

    pub(super) async fn commit_head(
        &self,
        name: &LogName,
        number: u64,
        options: PublishOptions,
        by: &Author,
    ) -> Result<Receipt, PublishError> {
        let PublishOptions { activate, expect: stated } = options;
        if activate && let Err(error) = self.compile(name, number).await {
            tracing::debug!(%error, "a site will be compiled when it is asked for");
        }
        let comparison = Comparison::new(self, name, number);
        let mut attempt = 1;
        loop {
            let judged = if activate { self.judged(name, number, &stated, by).await? } else { None };
            let expect = judged.clone().unwrap_or_else(|| stated.clone());
            let change = Change::Commit { number, activate, expect };
            let changed = self.heads.change_if(name, &change, by, |head| comparison.judge(head));
            match Box::pin(changed).await {
                // Not what the client stated, but what was judged does not hold any more.
                Err(PublishError::Change(ChangeError::Rejected(Rejection::Precondition { current })))
                    if judged.is_some() && stated.holds(current) && attempt < MAX_JUDGED =>
                {
                    attempt += 1;
                }
                changed => return Ok(Receipt::new(changed?)),
            }
        }
    }

    /// Compiles a site before its version becomes active, if the active one is compiled: all its visitors would have to wait
    /// for that.
    async fn compile(&self, log: &LogName, number: u64) -> Result<(), StoreError> {
        let (Some(sites), Some(name)) = (&self.sites, log.visible()) else { return Ok(()) };
        // This process has just made the version, or visitors keep asking.
        let Some(head) = self.heads.recent(log) else { return Ok(()) };
        let row = head.rows.iter().find(|row| row.number == number && row.summary.kind == Kind::Static);
        let (Some(active), Some(row)) = (head.active(), row) else { return Ok(()) };
        sites.compile_next(&name, active, row).await
    }

    /// As [`Publish::check_catalog`], for a version by its number.
    async fn judged(
        &self,
        name: &LogName,
        number: u64,
        expect: &Expect,
        by: &Author,
    ) -> Result<Option<Expect>, PublishError> {
        if !self.heads.policy(name).catalog {
            return Ok(None);
        }
        let head = self.heads.current(name).await?;
        let row = match head {
            Some(head) => self.heads.select(&head, Selector::Number(number)).await?,
            None => None,
        };
        match row {
            Some(row) => Box::pin(self.check_catalog(name, &row, expect, by)).await,
            None => Ok(None),
        }
    }
}
