//! Collectors: the real one, and those made of plain calls.

use std::num::NonZeroUsize;
use std::sync::Arc;

use jiff::SignedDuration;
use larder::clock::Clock;
use larder::domain::retention::Retention;
use larder::layout::marker::LayoutError;
use larder::protocol::ChangeError;
use larder::store::{StoreError, StoreErrorKind};
use larder::upkeep::collect::{Collect, CollectError, Settings};
use tokio_util::sync::CancellationToken;

use crate::support::collecting::for_all;

use super::naive::{Flaw, Naive};
use super::process::Process;
use super::random::Random;

/// Which collectors are at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The one that ships.
    Real,
    /// One made of plain calls.
    Naive(Flaw),
}

/// How a run ended that did not do everything.
#[derive(Debug)]
pub enum End {
    /// The store failed, or others were in the way.
    Failed(String),
    /// It found what must never be there.
    Wrong(String),
}

/// How a collector is set up.
#[derive(Debug, Clone)]
pub struct Collector {
    pub kind: Kind,
    pub skew: SignedDuration,
    settings: Settings,
}

impl Collector {
    /// One that deletes whatever nobody needs, and retires what its time is up for.
    pub fn any(kind: Kind, random: &mut Random) -> Self {
        let time = |random: &mut Random| SignedDuration::from_hours(random.pick(&[0, 0, 1, 1_000_000]));
        let retention = Retention {
            keep_last: random.pick(&[0, 1, 2]),
            keep_for: time(random),
            staged_for: time(random),
            prepared_for: time(random),
        };
        let jobs = NonZeroUsize::new(random.pick(&[1, 2, 4])).expect("not zero");
        let skew = SignedDuration::from_mins(random.pick(&[0, 0, 4, 3000]));
        Self { skew, ..Self::new(kind, retention, jobs) }
    }

    /// The real one, which keeps nothing but what readers get.
    pub fn strict() -> Self {
        let none = SignedDuration::ZERO;
        let long = SignedDuration::from_hours(1);
        let retention = Retention { keep_last: 0, keep_for: none, staged_for: none, prepared_for: long };
        Self::new(Kind::Real, retention, NonZeroUsize::MIN)
    }

    /// One that deletes whatever nobody needs, and retires nothing.
    pub fn quiet(kind: Kind) -> Self {
        let long = SignedDuration::from_hours(1_000_000);
        let retention = Retention { keep_last: 1000, keep_for: long, staged_for: long, prepared_for: long };
        Self::new(kind, retention, NonZeroUsize::MIN)
    }

    fn new(kind: Kind, retention: Retention, jobs: NonZeroUsize) -> Self {
        let settings =
            Settings { policies: for_all(retention), jobs, min_age: SignedDuration::ZERO, ..Settings::default() };
        Self { kind, skew: SignedDuration::ZERO, settings }
    }

    /// One run.
    pub async fn run(&self, process: &Process) -> Result<(), End> {
        match self.kind {
            Kind::Naive(flaw) => {
                let retires =
                    self.settings.policies.current().rules()[0].keys.keep_for.is_some_and(|time| time.is_zero());
                Naive { process: process.clone(), flaw, retires }.run().await.map_err(End::from)
            }
            Kind::Real => {
                let clock: Arc<dyn Clock> = process.services.clock.clone();
                let collect = Collect::new(Arc::clone(&process.store), clock, self.settings.clone());
                let report = collect.run(&CancellationToken::new()).await?;
                if report.totals.lost > 0 { Err(End::Wrong(format!("{report:?}"))) } else { Ok(()) }
            }
        }
    }
}

impl From<StoreError> for End {
    fn from(error: StoreError) -> Self {
        match error.kind {
            StoreErrorKind::Unavailable => Self::Failed(error.to_string()),
            _ => Self::Wrong(error.to_string()),
        }
    }
}

impl From<CollectError> for End {
    fn from(error: CollectError) -> Self {
        match error {
            CollectError::Store(error)
            | CollectError::Layout(LayoutError::Store(error))
            | CollectError::Change(ChangeError::Store(error)) => error.into(),
            CollectError::Change(ChangeError::Contended) => Self::Failed(error.to_string()),
            other => Self::Wrong(other.to_string()),
        }
    }
}
