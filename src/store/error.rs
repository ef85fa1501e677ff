//! Why a store operation failed, in terms of what the caller can do about it.

use std::fmt;

/// What a caller can do about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// Temporary: retry later.
    Unavailable,
    /// The store refuses access: permissions, credentials, a read-only file system. Needs an operator.
    Denied,
    /// Out of space or over quota.
    Full,
    /// The stored data is not what was written.
    Corrupt,
    /// The stored data was written by a newer Larder in a format that this version does not know. Needs an operator.
    Newer,
    /// This process may not write to the store at present, because of the store's layout marker or because the marker
    /// is missing. Reads still work.
    ReadOnly,
    /// An entry among the objects that Larder cannot have created. No stored data is affected.
    Stray,
    /// Any other failure.
    Internal,
}

/// A failed store operation.
#[derive(Debug, thiserror::Error)]
pub struct StoreError {
    /// How the caller can react.
    pub kind: StoreErrorKind,
    /// The key, prefix or other subject of the operation, for the message.
    pub key: String,
    #[source]
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl StoreError {
    /// Creates an error about `key`.
    pub fn new(
        kind: StoreErrorKind,
        key: impl fmt::Display,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self { kind, key: key.to_string(), source: source.into() }
    }

    /// The error that a listing yields for something at `place` that cannot be an object.
    pub(super) fn stray(place: impl fmt::Display) -> Self {
        Self::new(StoreErrorKind::Stray, place, "Larder did not make it; move it out of the store")
    }

    /// Classifies an operating-system error by its error number.
    #[must_use]
    pub fn io(key: impl fmt::Display, error: std::io::Error) -> Self {
        Self::new(kind_of(&error), key, error)
    }

    /// Whether retrying the same call may succeed without anyone's intervention.
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
