//! Which versions are past their retention (C0).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::mark::Expiry;
use super::{Collect, CollectError, RunContext};
use crate::domain::manifest::oci;
use crate::domain::retention::{Verdict, since};
use crate::domain::{AnyDigest, Digest, Head, LogName, NamePolicy, RepositoryName, Selector, VersionRow};
use crate::layout::LayoutKey;
use crate::protocol::{AsOf, HostLog, Membership};
use crate::store::{StoreError, StoreErrorKind};

impl Collect {
    /// The verdict on each root of a log. Rows whose own times say that they are due, or lie in the future, are judged
    /// by the store's time stamp of the head that put them in that state: hosts' clocks may be wrong.
    pub(super) async fn judge(
        &self,
        run: &RunContext,
        expiry: Expiry,
        head: &Head,
        rows: &[VersionRow],
    ) -> Result<Vec<Verdict>, CollectError> {
        let rules = Rules { policy: &run.policies.of_log(&head.name), is_hidden: head.name.visible().is_none() };
        let mut attached = HashSet::new();
        if expiry == Expiry::Leave || !run.may_expire() {
            return Ok(rules.judge(rows, |_| SignedDuration::MIN, &attached));
        }
        let recorded = |row: &VersionRow| {
            let age = run.now.duration_since(since(row));
            if age.is_negative() { SignedDuration::MAX } else { age }
        };
        let suspects: Vec<Verdict> = rules.judge(rows, recorded, &attached);
        let mut ages = HashMap::new();
        for (row, verdict) in rows.iter().zip(suspects).filter(|(_, verdict)| verdict.is_over()) {
            let stamp = self.stamp(&head.name, row.generation).await?;
            // The head may have been created after the run began, so the age is clamped to zero.
            ages.insert(row.number, run.now.duration_since(stamp).max(SignedDuration::ZERO));
            if verdict == Verdict::UntaggedExpired && self.is_attached(run, &head.name, row).await? {
                attached.insert(row.number);
            }
        }
        let age = |row: &VersionRow| ages.get(&row.number).copied().unwrap_or_else(|| recorded(row));
        let mut verdicts = rules.judge(rows, age, &attached);
        if verdicts.iter().any(|verdict| verdict.is_over()) {
            self.keep_served(run, &head.name, rows, &mut verdicts).await?;
        }
        Ok(verdicts)
    }

    /// Keeps the versions that hosts were pointed at. Only decides when a version ends, as a pin does: a host that is
    /// pointed at one while this is read may find it retired, and says so.
    async fn keep_served(
        &self,
        run: &RunContext,
        log: &LogName,
        rows: &[VersionRow],
        verdicts: &mut [Verdict],
    ) -> Result<(), CollectError> {
        let Some(name) = log.visible() else { return Ok(()) };
        let read = || async {
            HostLog::new(Arc::clone(&self.store) as _, Arc::clone(&self.clock), Duration::ZERO).now().await
        };
        let attached = run.hosts.get_or_try_init(read).await?;
        let configured = self.settings.hosts.current();
        let pointed: Vec<_> = attached.hosts.pointed_at(&name).chain(configured.pointed_at(&name)).collect();
        for (row, verdict) in rows.iter().zip(verdicts).filter(|(_, verdict)| verdict.is_over()) {
            if row.state.is_complete() && pointed.iter().any(|selector| identifies(selector, row)) {
                *verdict = Verdict::Served;
            }
        }
        Ok(())
    }

    /// Whether the repository of a log has the manifest that a version describes. Only decides when the version ends, so an
    /// answer that is a moment old costs no more than a retention that is a moment shorter.
    async fn is_attached(&self, run: &RunContext, log: &LogName, row: &VersionRow) -> Result<bool, CollectError> {
        let (Some(repository), Some(subject)) = (RepositoryName::of(log), row.summary.subject) else {
            return Ok(false);
        };
        let is_there = async |subject| {
            let members = Membership::new(Arc::clone(&self.heads));
            let found = members.find(&repository, subject, AsOf::Now, |_: &LogName| true).await?;
            Ok::<_, CollectError>(found.is_some() || self.is_held(run, &repository, subject).await?)
        };
        if is_there(subject).await? {
            return Ok(true);
        }
        match self.aliased_subject(row).await? {
            Some(subject) => is_there(subject).await,
            None => Ok(false),
        }
    }

    /// What the subject of a version stands for, if its manifest names that by SHA-512: the row only has a digest of that
    /// name. The subject may have come after the version.
    async fn aliased_subject(&self, row: &VersionRow) -> Result<Option<Digest>, StoreError> {
        let (manifest, media_type) = (row.summary.manifest, row.summary.media_type.as_deref());
        let Some(loaded) = self.manifests.load_alone(manifest, media_type).await? else { return Ok(None) };
        match oci::subject(&loaded.bytes) {
            Some(AnyDigest::Sha512(subject)) => self.blobs.aliases().resolve(&subject).await,
            _ => Ok(None),
        }
    }

    /// The store's time stamp of a head.
    async fn stamp(&self, name: &LogName, generation: u64) -> Result<Timestamp, StoreError> {
        let key = LayoutKey::Head(name.clone(), generation).key();
        let meta = self.store.head(&key).await?;
        let lost = || StoreError::new(StoreErrorKind::Corrupt, &key, "this head must exist, but does not");
        meta.map(|meta| meta.modified).ok_or_else(lost)
    }
}

/// Whether a selector names this version itself, rather than whatever it is at a time.
fn identifies(selector: &Selector, row: &VersionRow) -> bool {
    match selector {
        Selector::Number(number) => *number == row.number,
        Selector::Manifest(digest) => *digest == row.digest(),
        Selector::Label(label) => row.summary.label.as_deref() == Some(label.as_str()),
        _ => false,
    }
}

/// What the versions of a log are judged by.
struct Rules<'a> {
    policy: &'a NamePolicy,
    /// Whether the log keeps what is untagged.
    is_hidden: bool,
}

impl Rules<'_> {
    fn judge(
        &self,
        rows: &[VersionRow],
        age: impl Fn(&VersionRow) -> SignedDuration,
        attached: &HashSet<u64>,
    ) -> Vec<Verdict> {
        if self.is_hidden {
            return self.policy.judge_untagged(rows, age, |row| attached.contains(&row.number));
        }
        self.policy.judge(rows, age)
    }
}
