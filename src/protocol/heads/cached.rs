//! A head that a process remembers, and what it knows about it.

use std::sync::Arc;

use tokio::time::Instant;

use crate::domain::Head;

/// A cached head.
#[derive(Debug, Clone)]
pub(super) struct CachedHead {
    pub(super) head: Arc<Head>,
    /// When the store was last asked whether this head is the newest.
    pub(super) checked: Instant,
    /// Whether the head is known to be durable. One that another process created may be visible a moment before it is,
    /// and a log must not contain a durable head after one that is not.
    pub(super) durable: bool,
    /// Whether this process made sure that the name has its mark.
    pub(super) listed: bool,
}

impl CachedHead {
    /// Whether the writer of the first head may have died before it created the mark. A version becomes active only
    /// after that.
    pub(super) fn may_be_unlisted(&self) -> bool {
        !self.listed && self.head.activations.is_empty()
    }

    /// The newer of two. Of one generation, with the later check, and durable if either is.
    pub(super) fn newer(self, other: Self) -> Self {
        let (newest, other) = if self.head.generation >= other.head.generation { (self, other) } else { (other, self) };
        let same = newest.head.generation == other.head.generation;
        let checked = if same { newest.checked.max(other.checked) } else { newest.checked };
        Self {
            durable: newest.durable || (same && other.durable),
            listed: newest.listed || other.listed,
            checked,
            head: newest.head,
        }
    }
}
