//! Formats of manifests: what was published stays readable whatever the rules become, manifests that name manifests are
//! followed, and what only a newer binary can read is left alone.

mod indexes;
mod newer;
mod older;
mod trees;

use std::sync::Arc;

use larder::clock::SystemClock;
use larder::domain::manifest::{FORMATS, Format};
use larder::upkeep::Verify;
use larder::upkeep::verify::{Finding, Observer, Outcome, Totals};

use crate::support::store::Store;

/// An observer that remembers.
#[derive(Default)]
struct Findings(Vec<(Finding, Outcome)>);

impl Observer for Findings {
    fn finding(&mut self, finding: &Finding, outcome: &Outcome) {
        self.0.push((finding.clone(), outcome.clone()));
    }

    fn verified(&mut self, _: &larder::store::Key, _: &Totals) {}
}

/// Everything that is wrong with a store whose manifests have these formats.
async fn findings_in(store: &Store, formats: &'static [Format]) -> Vec<Finding> {
    let mut findings = Findings::default();
    let verify = Verify::new(Arc::clone(store) as _, Arc::new(SystemClock)).with_formats(formats);
    verify.run(None, 1, &mut findings).await.expect("the store can be read");
    findings.0.into_iter().map(|(finding, _)| finding).collect()
}

/// Everything that is wrong with a store.
async fn findings(store: &Store) -> Vec<Finding> {
    findings_in(store, FORMATS).await
}
