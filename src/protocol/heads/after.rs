//! Looks at a name that are newer than a request, for answers that say that something is not there.

use std::sync::Arc;

use tokio::time::{Duration, Instant, sleep_until};

use super::{CachedHead, Heads, StoreError};
use crate::domain::{Head, LogName};

/// Least time between the beginnings of two looks at one name that cost a request or a wait for the disk. Whoever asks
/// again and again for what is not there makes the server ask the store ten times a second.
const PAUSE: Duration = Duration::from_millis(100);

/// When the store was asked for the newest head of a name, and what it is.
pub(super) type LaterLook = (Instant, Option<CachedHead>);

impl Heads {
    /// Whether the head of this generation is certainly the newest now, as far as that can be told without waiting.
    /// `false` is inconclusive.
    #[must_use]
    pub fn is_certainly_newest(&self, name: &LogName, generation: u64) -> bool {
        self.log.certainly_ends_at(name, generation)
    }

    /// The newest head, by a look that began after `moment`.
    pub(super) async fn look_after(
        self: &Arc<Self>,
        name: &LogName,
        moment: Instant,
    ) -> Result<Option<Arc<Head>>, StoreError> {
        loop {
            if let Some(known) = self.newest.get(name) {
                if known.checked >= moment {
                    return Ok(Some(known.head));
                }
                let checked = Instant::now();
                if self.log.certainly_ends_at(name, known.head.generation) {
                    return Ok(Some(self.keep(CachedHead { checked, ..known }).head));
                }
            }
            let ask = || {
                let (heads, name) = (Arc::clone(self), name.clone());
                async move { heads.look_in_turn(&name).await }
            };
            // A look in flight at any age is joined: until its turn comes it is as good as one that begins now.
            let (asked, found) = self.later_looks.join(name, Duration::MAX, ask).await?;
            if asked >= moment {
                return Ok(found.map(|known| self.keep(known).head));
            }
        }
    }

    async fn look_in_turn(&self, name: &LogName) -> Result<LaterLook, StoreError> {
        let last = self.newest.get(name).map(|known| known.checked);
        let last = last.or_else(|| self.absent.holds(name, PAUSE).then(Instant::now));
        if let Some(last) = last {
            sleep_until(last + PAUSE).await;
        }
        let asked = Instant::now();
        Ok((asked, self.find(name).await?))
    }
}
