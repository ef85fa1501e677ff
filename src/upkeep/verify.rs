//! Verifying a store: every readable version has all its blobs, and every stored blob has the bytes that its key
//! promises. Lost or damaged blobs can be healed on the way.
//!
//! Memory use is one manifest and a few chunks, whatever the size of the store, plus a record for each blob that cannot
//! be healed. One pass follows references; the other visits every object in key order and re-hashes the blobs, so that
//! it can be resumed. References come first, because that pass is quick; but last when healing, because an object
//! discarded on the way may be one that a version needs.

mod finding;
mod heads_seen;
mod heal;
mod reading;
mod references;

use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _};
use jiff::SignedDuration;

pub use finding::{Finding, HealMethod, Observer, Outcome, Totals};
pub use heal::{HealOptions, Source, SourceError};

pub(super) use self::heal::{HealTarget, Healer};
use self::reading::{Checked, check_object};
pub(super) use self::reading::{Reading, hash, read_blob};
use crate::clock::Clock;
use crate::domain::manifest::Format;
use crate::domain::{Head, LogName, Selector, VersionRow};
use crate::layout::{self, LayoutKey};
use crate::protocol::{Blobs, Heads, Manifests, listing};
use crate::store::{Key, List, ObjectStore, StoreError, StoreErrorKind};

/// Versions read at a time from a name's history.
const ROWS: usize = 256;

/// The verify service.
#[derive(Debug)]
pub struct Verify {
    store: Arc<dyn ObjectStore>,
    heads: Heads,
    blobs: Arc<Blobs>,
    manifests: Arc<Manifests>,
    remedy: HealOptions,
}

/// An observer that stores the findings.
struct Collected(Vec<Finding>);

impl Observer for Collected {
    fn finding(&mut self, finding: &Finding, _: &Outcome) {
        self.0.push(finding.clone());
    }

    fn verified(&mut self, _: &Key, _: &Totals) {}
}

/// What a pass uses to report and to heal.
struct VerifyRun<'a> {
    observer: &'a mut dyn Observer,
    totals: Totals,
    healer: Option<Healer<'a>>,
}

impl VerifyRun<'_> {
    fn report(&mut self, finding: &Finding, outcome: &Outcome) {
        self.totals.findings += 1;
        self.totals.healed += u64::from(matches!(outcome, Outcome::Healed(_)));
        self.observer.finding(finding, outcome);
    }

    /// Reports a finding that is not about a blob, so that there is nothing to heal.
    fn report_only(&mut self, finding: &Finding) {
        let why = self.healer.as_ref().map(|_| "only blobs can be healed; restore it from a backup".to_owned());
        self.report(finding, &Outcome::Left(why));
    }

    /// Heals if requested, then reports.
    async fn treat(&mut self, finding: &Finding, patient: HealTarget) -> Result<Outcome, StoreError> {
        let outcome = match &mut self.healer {
            Some(healer) => healer.heal(patient).await?,
            None => Outcome::Left(None),
        };
        self.report(finding, &outcome);
        Ok(outcome)
    }
}

impl Verify {
    /// A service on `store`.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>, clock: Arc<dyn Clock>) -> Self {
        let blobs = Arc::new(Blobs::new(Arc::clone(&store), Arc::clone(&clock), SignedDuration::MAX));
        Self {
            heads: Heads::new(Arc::clone(&store), clock),
            manifests: Arc::new(Manifests::new(Arc::clone(&blobs))),
            store,
            blobs,
            remedy: HealOptions::default(),
        }
    }

    /// Sets the manifest formats of the store; see [`Manifests::with_formats`].
    #[must_use]
    pub fn with_formats(self, formats: &'static [Format]) -> Self {
        Self { manifests: Arc::new(Manifests::with_formats(Arc::clone(&self.blobs), formats)), ..self }
    }

    /// Enables healing of lost or damaged blobs by these means. Safe concurrently with servers, collectors and other
    /// verifications: sound bytes are never deleted, and damaged ones only as `remedy` allows.
    #[must_use]
    pub fn healing(self, remedy: HealOptions) -> Self {
        Self { remedy, ..self }
    }

    /// Verifies all references, and the objects whose keys sort after `after`. Re-hashes `jobs` blobs concurrently.
    ///
    /// # Errors
    /// When the store cannot be listed or is not available. Problems with single objects are findings, not errors.
    pub async fn run(
        &self,
        after: Option<Key>,
        jobs: usize,
        observer: &mut dyn Observer,
    ) -> Result<Totals, StoreError> {
        let healer = self.remedy.is_some().then(|| Healer::new(&*self.store, &self.blobs, &self.remedy));
        let mut run = VerifyRun { observer, totals: Totals::default(), healer };
        if run.healer.is_some() {
            self.objects(after, jobs, &mut run).await?;
            self.references(&mut run).await?;
        } else {
            self.references(&mut run).await?;
            self.objects(after, jobs, &mut run).await?;
        }
        Ok(run.totals)
    }

    /// Follows the references of all readable versions of one name. Reads neither old heads nor blobs other than
    /// manifests.
    ///
    /// # Errors
    /// When the store is not available.
    pub async fn follow(&self, name: &LogName) -> Result<Vec<Finding>, StoreError> {
        let mut collected = Collected(Vec::new());
        let mut run = VerifyRun { observer: &mut collected, totals: Totals::default(), healer: None };
        let followed = match self.heads.current(name).await {
            Ok(Some(newest)) => self.versions(&newest, &mut run).await,
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        match followed {
            Err(error) if error.is_retryable() => Err(error),
            Err(error) => Ok(vec![Finding::UnreadableName { name: name.clone(), why: error.to_string() }]),
            Ok(()) => Ok(collected.0),
        }
    }

    async fn references(&self, run: &mut VerifyRun<'_>) -> Result<(), StoreError> {
        let prefix = layout::names("").expect("the prefix of all names is legal");
        // Objects that are not the mark of a name are reported by the pass over all objects.
        let name_of = |key| if let LayoutKey::Name(name) = key { Some(name) } else { None };
        let mut names = listing::known(&*self.store, &prefix, List::default(), name_of);
        while let Some((name, _)) = names.try_next().await? {
            run.totals.names += 1;
            if let Err(error) = self.name(&name, run).await {
                if error.is_retryable() {
                    return Err(error);
                }
                run.report_only(&Finding::UnreadableName { name, why: error.to_string() });
            }
        }
        self.heads_seen(run).await
    }

    async fn name(&self, name: &LogName, run: &mut VerifyRun<'_>) -> Result<(), StoreError> {
        let Some(newest) = self.heads.current(name).await? else {
            // The mark is created after the first head, so that head was lost.
            run.report_only(&Finding::NoHeads { name: name.clone() });
            return Ok(());
        };
        for generation in 1..newest.generation {
            let why = match self.heads.read(name, generation).await {
                Ok(Some(_)) => {
                    run.totals.heads += 1;
                    continue;
                }
                Ok(None) => "it is gone".to_owned(),
                Err(error) if error.is_retryable() => return Err(error),
                Err(error) => error.to_string(),
            };
            run.report_only(&Finding::DamagedHead { name: name.clone(), generation, why });
        }
        run.totals.heads += 1;
        self.versions(&newest, run).await
    }

    async fn versions(&self, head: &Head, run: &mut VerifyRun<'_>) -> Result<(), StoreError> {
        let mut before = u64::MAX;
        loop {
            let page = self.heads.rows(head, before, ROWS).await?;
            let Some(last) = page.last() else { return Ok(()) };
            before = last.number;
            for row in page.iter().filter(|row| row.state.is_complete()) {
                run.totals.versions += 1;
                // The references of a lost manifest can be followed once it is healed.
                if self.version(&head.name, row, run).await? {
                    self.version(&head.name, row, run).await?;
                }
            }
        }
    }

    async fn is_still_complete(&self, name: &LogName, number: u64) -> Result<bool, StoreError> {
        let Some(head) = self.heads.current(name).await? else { return Ok(false) };
        let row = self.heads.select(&head, Selector::Number(number)).await?;
        Ok(row.is_some_and(|row| row.state.is_complete()))
    }

    /// Verifies one version. Returns whether its manifest was healed, so that its references must still be followed.
    async fn version(&self, name: &LogName, row: &VersionRow, run: &mut VerifyRun<'_>) -> Result<bool, StoreError> {
        let found = self.wrong_with(name, row, run).await?;
        // With a running collector the version may have been retired, and its bytes deleted, since its row was read.
        if found.is_empty() || !self.is_still_complete(name, row.number).await? {
            return Ok(false);
        }
        let mut healed_manifest = false;
        for (finding, blob) in found {
            let Some(blob) = blob else {
                run.report_only(&finding);
                continue;
            };
            let outcome = run.treat(&finding, HealTarget::Needed(blob)).await?;
            healed_manifest |= matches!((&finding, outcome), (Finding::DamagedManifest { .. }, Outcome::Healed(_)));
        }
        Ok(healed_manifest)
    }

    /// Visits every object by its key, and re-hashes the blobs.
    async fn objects(&self, after: Option<Key>, jobs: usize, run: &mut VerifyRun<'_>) -> Result<(), StoreError> {
        let everything = "".parse().expect("the empty prefix is legal");
        let listing = self.store.list(&everything, List { start_after: after, past_strays: true, ..List::default() });
        let mut last_log = None;
        let checks = listing.map_ok(|meta| {
            let store = Arc::clone(&self.store);
            let begins_log = match LayoutKey::parse(&meta.key) {
                Some(LayoutKey::Head(name, _)) => last_log.replace(name.clone()) != Some(name),
                _ => false,
            };
            async move {
                let key = meta.key.clone();
                let check = tokio::spawn(async move { check_object(&*store, &meta.key, begins_log).await }).await;
                let failed = |error| StoreError::new(StoreErrorKind::Internal, &key, error);
                Ok((key.clone(), check.map_err(failed)??))
            }
        });
        let mut checks = checks.try_buffered(jobs.max(1)).boxed();
        while let Some(looked_at) = checks.next().await {
            let (key, checked) = match looked_at {
                Err(StoreError { kind: StoreErrorKind::Stray, key, .. }) => {
                    run.report_only(&Finding::UnknownKey { key });
                    continue;
                }
                looked_at => looked_at?,
            };
            match checked {
                Checked::Sound(bytes) => {
                    run.totals.blobs += 1;
                    run.totals.bytes += bytes;
                }
                Checked::NoBlob => {}
                Checked::Damaged(digest, generation, why) => {
                    let finding = Finding::DamagedBlob { key: key.to_string(), why };
                    run.treat(&finding, HealTarget::Copy(digest, generation)).await?;
                }
                Checked::Bad(finding) => run.report_only(&finding),
            }
            run.observer.verified(&key, &run.totals);
        }
        Ok(())
    }
}
