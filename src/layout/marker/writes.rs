//! Whether the store takes writes at present, as the last ones show.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::store::{Result, StoreError, StoreErrorKind};

/// What became of the last writes. A success costs one load, unless the one before it failed.
#[derive(Debug, Default)]
pub(super) struct Writes {
    failing: AtomicBool,
    why: Mutex<Option<String>>,
}

impl Writes {
    /// Why the store does not take writes; `None` if it does.
    pub(super) fn failure(&self) -> Option<String> {
        if self.failing.load(Ordering::Relaxed) { self.why().clone() } else { None }
    }

    /// Records the result of a write. A store that is busy for a moment still takes writes, and a success proves
    /// something only if `needed_space`: a full disk may still take empty files.
    pub(super) fn note<T>(&self, result: &Result<T>, needed_space: bool) {
        match result {
            Ok(_) if needed_space => self.set(None),
            Err(error) if lasts(error.kind) => self.set(Some(error)),
            Ok(_) | Err(_) => {}
        }
    }

    /// Records that the store takes writes, or why not.
    pub(super) fn set(&self, failure: Option<&StoreError>) {
        if failure.is_none() && !self.failing.load(Ordering::Relaxed) {
            return;
        }
        let mut why = self.why();
        match (failure, why.is_some()) {
            (Some(error), false) => tracing::error!(%error, "the store takes no writes; reads are served as before"),
            (None, true) => tracing::info!("the store takes writes again"),
            _ => {}
        }
        *why = failure.map(describe);
        self.failing.store(why.is_some(), Ordering::Relaxed);
        metrics::gauge!("larder_store_writable").set(if why.is_some() { 0.0 } else { 1.0 });
    }

    fn why(&self) -> MutexGuard<'_, Option<String>> {
        self.why.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a failed write says that the next ones will fail too.
fn lasts(kind: StoreErrorKind) -> bool {
    matches!(kind, StoreErrorKind::Full | StoreErrorKind::Denied | StoreErrorKind::ReadOnly)
}

/// The failure for people, without keys and paths.
fn describe(error: &StoreError) -> String {
    let what = match error.kind {
        StoreErrorKind::Full => "the store is full",
        StoreErrorKind::Denied => "the store refuses access",
        StoreErrorKind::ReadOnly => "the store is read-only",
        _ => "the store cannot be written to",
    };
    error.reason().map_or_else(|| what.to_owned(), |reason| format!("{what}: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gauge_shows_whether_it_takes_writes() {
        let (recorder, writes) =
            (metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder(), Writes::default());
        let shows = |value| recorder.handle().render().contains(&format!("\nlarder_store_writable {value}\n"));
        let failed = |kind| Err::<(), _>(StoreError::new(kind, "key", "why"));
        metrics::with_local_recorder(&recorder, || {
            writes.note(&failed(StoreErrorKind::Full), true);
            assert!(shows(0));
            writes.note(&Ok(()), false);
            assert!(shows(0), "an empty file may still find room");
            writes.note(&Ok(()), true);
            assert!(shows(1));
            writes.note(&failed(StoreErrorKind::Unavailable), true);
            assert!(shows(1), "it is only busy");
        });
    }
}
