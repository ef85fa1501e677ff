//! From when on a head is certain to be the last one within a second.

use jiff::Timestamp;
use tokio::time::Duration;

use super::Heads;

/// Time after which a head has been the newest for a second on all servers, with some tolerance for their clocks.
const SETTLED_AFTER: Duration = Duration::from_secs(2);

impl Heads {
    /// How long it still takes until a head made at this moment is certain to be the last one within a second: `None` if
    /// that is so already. Until then a head that is read here may be replaced by another one less than a second younger,
    /// or may have been, on another server.
    #[must_use]
    pub fn unsettled_for(&self, changed: Timestamp) -> Option<Duration> {
        let wait = SETTLED_AFTER.max(self.max_staleness + Duration::from_secs(1));
        let passed = self.clock.now().duration_since(changed);
        // A moment in the future is as uncertain as the present one.
        let passed = Duration::try_from(passed).unwrap_or_default();
        wait.checked_sub(passed).filter(|left| !left.is_zero())
    }
}
