//! Why a store operation failed, in terms of what the caller can do about it.

use std::fmt;

/// What a caller can do about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// Try again later.
    Unavailable,
    /// The store refuses: permissions, credentials, a read-only file system. An operator has to act.
    Denied,
    /// No space, or a quota is used up.
    Full,
    /// What is stored is not what was written.
    Corrupt,
    /// What is stored was written by a newer larder, in a format that this one does not know. An operator has to act.
    Newer,
    /// This process may not write to the store at present, because of what the store's layout marker says, or because it
    /// is gone. Reading works.
    ReadOnly,
    /// Something lies among the objects that no Larder can have put there. Nothing that was written is affected.
    Stray,
    /// Anything else.
    Internal,
}

/// A failed store operation.
#[derive(Debug, thiserror::Error)]
pub struct StoreError {
    /// What can be done about it.
    pub kind: StoreErrorKind,
    /// The key it was about.
    pub key: String,
    #[source]
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl StoreError {
    /// An error about `key`.
    pub fn new(
        kind: StoreErrorKind,
        key: impl fmt::Display,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self { kind, key: key.to_string(), source: source.into() }
    }

    /// What a listing says of something at `place` that cannot be an object.
    pub(super) fn stray(place: impl fmt::Display) -> Self {
        Self::new(StoreErrorKind::Stray, place, "Larder did not make it; move it out of the store")
    }

    /// The error of an operating-system call, judged by its error number.
    #[must_use]
    pub fn io(key: impl fmt::Display, error: std::io::Error) -> Self {
        Self::new(kind_of(&error), key, error)
    }

    /// Whether the same call may succeed later without anybody acting.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.kind == StoreErrorKind::Unavailable
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            StoreErrorKind::Unavailable => "the store is not available",
            StoreErrorKind::Denied => "the store refuses access",
            StoreErrorKind::Full => "the store is full",
            StoreErrorKind::Corrupt => "the store holds damaged data",
            StoreErrorKind::Newer => "the store holds what a newer larder wrote",
            StoreErrorKind::ReadOnly => "the store may not be written to",
            StoreErrorKind::Stray => "the store holds something that is not Larder's",
            StoreErrorKind::Internal => "the store failed",
        };
        write!(f, "{what} ({}): {}", self.key, self.source)
    }
}

fn kind_of(error: &std::io::Error) -> StoreErrorKind {
    use rustix::io::Errno;
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOSPC | Errno::DQUOT | Errno::FBIG) => StoreErrorKind::Full,
        Some(Errno::ACCESS | Errno::PERM | Errno::ROFS) => StoreErrorKind::Denied,
        Some(
            Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN | Errno::BUSY | Errno::STALE | Errno::TIMEDOUT,
        ) => StoreErrorKind::Unavailable,
        _ => StoreErrorKind::Internal,
    }
}
