//! What an archive may have at most, and what may be wrong with it.

use std::io;

/// Maximum length of a path in an archive, in bytes.
pub(super) const MAX_PATH: usize = 4096;

/// What the archive may have at most, so that reading it is bounded in time and memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScanLimits {
    /// Bytes of the archive once it is decompressed.
    pub bytes: u64,
    /// Entries, and directories that no entry describes.
    pub entries: usize,
    /// Memory for the names of all of them, in bytes.
    pub memory: usize,
    /// Bytes for each byte that is compressed.
    pub ratio: u64,
}

impl ScanLimits {
    /// The limits for archives of at most `bytes` bytes once decompressed: a million entries, 256 MiB for their names,
    /// compressed to no less than a thousandth.
    #[must_use]
    pub const fn new(bytes: u64) -> Self {
        Self { bytes, entries: 1_000_000, memory: 256 << 20, ratio: 1000 }
    }
}

/// Why no identifier can be computed.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// The bytes cannot be read.
    #[error("{0}")]
    Read(io::Error),
    /// It is compressed in another way than gzip.
    #[error("it is compressed with {0}; only plain tars and gzip can be read here")]
    Compression(&'static str),
    /// It is no tar, or a damaged or ambiguous one.
    #[error("it is no sound tar: {0}")]
    Invalid(String),
    /// It has an entry that cannot be judged here.
    #[error("{0:?} is a sparse file, which cannot be read here")]
    Sparse(String),
    /// It has more than the [`ScanLimits`] allow.
    #[error("it has more than {0}")]
    TooLarge(String),
}

impl ScanError {
    pub(super) fn invalid(why: impl Into<String>) -> Self {
        Self::Invalid(why.into())
    }
}

/// A path as it is quoted in errors: readable, and short.
pub(super) fn quote(path: &[u8]) -> String {
    String::from_utf8_lossy(path).chars().take(64).collect()
}
