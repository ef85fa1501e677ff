//! Why a store operation failed, in terms of what the caller can do about it.

use std::fmt;
use std::path::PathBuf;

use rustix::io::Errno;

/// What a caller can do about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// Temporary: retry later.
    Unavailable,
    /// The store refuses access: permissions, credentials. Needs an operator.
    Denied,
    /// Out of space or over quota.
    Full,
    /// The stored data is not what was written.
    Corrupt,
    /// The stored data was written by a newer Larder in a format that this version does not know. Needs an operator.
    Newer,
    /// This process may not write to the store at present: because of the store's layout marker, because the marker is
    /// missing, or because the file system is read-only. Reads still work.
    ReadOnly,
    /// An entry among the objects that Larder cannot have created. No stored data is affected.
    Stray,
    /// This one object is there, but its bytes cannot be read: the file's own permissions, or a fault of the disk.
    /// Others are not affected.
    Unreadable,
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

    /// The operating system's reason in plain words, without paths; `None` if it gave none that is worth telling.
    #[must_use]
    pub fn reason(&self) -> Option<&'static str> {
        let error = self.source.downcast_ref::<std::io::Error>()?;
        Some(match Errno::from_raw_os_error(error.raw_os_error()?) {
            Errno::NOSPC => "no space or no inodes are left on its disk",
            Errno::DQUOT => "its disk quota is used up",
            Errno::FBIG => "the file is larger than its file system allows",
            Errno::ROFS => "its file system is mounted read-only",
            Errno::ACCESS | Errno::PERM => "the server lacks the permission",
            Errno::MFILE | Errno::NFILE => "too many files are open",
            Errno::IO => "its disk reports an input or output error",
            Errno::NOMEM => "the system is out of memory",
            _ => return None,
        })
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
            StoreErrorKind::Unreadable => "the store holds something that cannot be read",
            StoreErrorKind::Internal => "the store failed",
        };
        write!(f, "{what} ({}): {}", self.key, self.source)
    }
}

/// What a backend knows about a failure beyond the operating system's error number.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileFault {
    /// Something that is not an object occupies this path.
    #[error("{} is not a regular file in a directory of the store; move it out of the store", .0.display())]
    Foreign(PathBuf),
    /// A regular file whose bytes cannot be read.
    #[error("the file cannot be read: {0}")]
    Unreadable(std::io::Error),
}

impl From<FileFault> for std::io::Error {
    fn from(fault: FileFault) -> Self {
        Self::other(fault)
    }
}

fn kind_of(error: &std::io::Error) -> StoreErrorKind {
    match error.get_ref().and_then(|source| source.downcast_ref()) {
        Some(FileFault::Foreign(_)) => return StoreErrorKind::Stray,
        Some(FileFault::Unreadable(_)) => return StoreErrorKind::Unreadable,
        None => {}
    }
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOSPC | Errno::DQUOT | Errno::FBIG) => StoreErrorKind::Full,
        Some(Errno::ACCESS | Errno::PERM) => StoreErrorKind::Denied,
        Some(Errno::ROFS) => StoreErrorKind::ReadOnly,
        Some(
            Errno::MFILE
            | Errno::NFILE
            | Errno::NOMEM
            | Errno::AGAIN
            | Errno::BUSY
            | Errno::STALE
            | Errno::TIMEDOUT
            | Errno::IO,
        ) => StoreErrorKind::Unavailable,
        _ => StoreErrorKind::Internal,
    }
}
