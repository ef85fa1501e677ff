//! Waiting for a name to change.
//!
//! A name that somebody waits for has one task that looks at its newest head every `max_staleness`, however many wait. It
//! begins with the first waiter and ends with the last one. What this server changes itself, or learns by the way, is
//! passed on at once.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::watch;
use tokio::time::{Duration, Instant};
use tokio_util::task::AbortOnDropHandle;

use super::{AsOf, Heads};
use crate::domain::LogName;

/// Shortest time between two looks for one name, whatever `max_staleness` is.
const LEAST: Duration = Duration::from_millis(100);
/// Time between two looks for a name that does not exist, each of which is a listing, or while the store fails.
const SELDOM: Duration = Duration::from_secs(1);

/// The generation of a name's newest head as far as it is known: 0 if the name does not exist, `None` before the first
/// look.
type Newest = watch::Sender<Option<u64>>;

/// The names that somebody waits for.
#[derive(Default)]
pub(super) struct Watches(Arc<Mutex<HashMap<LogName, Weak<Watched>>>>);

impl fmt::Debug for Watches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watches").finish_non_exhaustive()
    }
}

/// A name that somebody waits for; its waiters keep it.
struct Watched {
    all: Watches,
    name: LogName,
    newest: Arc<Newest>,
    _looking: AbortOnDropHandle<()>,
}

impl Drop for Watched {
    fn drop(&mut self) {
        let mut all = self.all.lock();
        // Another waiter may have begun anew in the meantime.
        if all.get(&self.name).is_some_and(|watched| watched.strong_count() == 0) {
            all.remove(&self.name);
        }
    }
}

impl Watches {
    fn lock(&self) -> MutexGuard<'_, HashMap<LogName, Weak<Watched>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells those who wait for `name` of a head.
    pub(super) fn raise(&self, name: &LogName, generation: u64) {
        let watched = self.lock().get(name).and_then(Weak::upgrade);
        // Dropped after the lock is released: the last one takes it.
        if let Some(watched) = watched {
            raise(&watched.newest, generation);
        }
    }

    fn join(&self, name: &LogName, look: impl FnOnce(Arc<Newest>) -> AbortOnDropHandle<()>) -> Arc<Watched> {
        let mut all = self.lock();
        if let Some(watched) = all.get(name).and_then(Weak::upgrade) {
            return watched;
        }
        let newest = Arc::new(Newest::new(None));
        let looking = look(Arc::clone(&newest));
        let watched = Watched { all: Self(Arc::clone(&self.0)), name: name.clone(), newest, _looking: looking };
        let watched = Arc::new(watched);
        all.insert(name.clone(), Arc::downgrade(&watched));
        watched
    }
}

fn raise(newest: &Newest, generation: u64) {
    newest.send_if_modified(|known| {
        let is_newer = known.is_none_or(|known| known < generation);
        if is_newer {
            *known = Some(generation);
        }
        is_newer
    });
}

/// A wait for a name; as long as it lives, the server looks for newer heads of the name.
pub struct HeadWatch {
    newest: watch::Receiver<Option<u64>>,
    _watched: Arc<Watched>,
}

impl fmt::Debug for HeadWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeadWatch").field("newest", &self.newest).finish_non_exhaustive()
    }
}

impl HeadWatch {
    /// Completes when the name has a head of a later generation than `after`. A name that does not exist has
    /// generation 0.
    pub async fn passed(&mut self, after: u64) {
        let passed = |newest: &Option<u64>| newest.is_some_and(|newest| newest > after);
        let is_over = self.newest.wait_for(passed).await.is_err();
        if is_over {
            // The sender lives as long as this does.
            std::future::pending::<()>().await;
        }
    }

    /// Waits for the first look at the name, unless there was one. Returns whether it has a later generation than `after`.
    pub async fn looked(&mut self, after: u64) -> bool {
        let newest = self.newest.wait_for(Option::is_some).await.ok().and_then(|newest| *newest);
        newest.is_some_and(|newest| newest > after)
    }

    /// The newest generation that is known, 0 if the name does not exist; `None` if the store could not be asked yet.
    #[must_use]
    pub fn newest(&self) -> Option<u64> {
        *self.newest.borrow()
    }
}

impl Heads {
    /// Begins to wait for a name.
    #[must_use]
    pub fn watch(self: &Arc<Self>, name: &LogName) -> HeadWatch {
        let watched = self.watches.join(name, |newest| {
            let (heads, name) = (Arc::clone(self), name.clone());
            AbortOnDropHandle::new(tokio::spawn(async move { heads.look_out(&name, &newest).await }))
        });
        HeadWatch { newest: watched.newest.subscribe(), _watched: watched }
    }

    /// Looks at the newest head of a name again and again, never more often than readers would.
    async fn look_out(self: &Arc<Self>, name: &LogName, newest: &Newest) {
        loop {
            let pause = match self.look(name, AsOf::Recent).await {
                Ok(Some(head)) => {
                    raise(newest, head.generation);
                    self.known_for(name)
                }
                Ok(None) => {
                    raise(newest, 0);
                    self.max_staleness.max(SELDOM)
                }
                Err(error) => {
                    tracing::debug!(%error, %name, "a name that is waited for could not be looked at");
                    self.max_staleness.max(SELDOM)
                }
            };
            tokio::time::sleep(pause.max(LEAST)).await;
        }
    }

    /// How long the cached head of a name still answers readers.
    fn known_for(&self, name: &LogName) -> Duration {
        let until = self.newest.get(name).map(|known| known.checked + self.max_staleness);
        until.map_or(self.max_staleness, |until| until.saturating_duration_since(Instant::now()))
    }
}
