//! Limits of the API that are independent of the configuration.

/// Maximum number of digests in one [`MissingQuestion`](super::MissingQuestion).
pub const MISSING_DIGESTS: usize = 10_000;
/// Default number of names per page.
pub const NAMES: usize = 100;
/// Maximum number of names per page.
pub const MAX_NAMES: usize = 1000;
/// Default number of version rows per page.
pub const ROWS: usize = 50;
/// Maximum number of version rows per page.
pub const MAX_ROWS: usize = 1000;
/// Default number of changes per page of a history.
pub const CHANGES: usize = 50;
/// Maximum number of changes per page of a history.
pub const MAX_CHANGES: usize = 200;
/// Default number of holders of a manifest per page.
pub const HOLDERS: usize = 100;
/// Maximum number of holders of a manifest per page.
pub const MAX_HOLDERS: usize = 1000;
/// Default number of collector runs per page.
pub const RUNS: usize = 20;
/// Maximum number of collector runs per page.
pub const MAX_RUNS: usize = 200;
/// Maximum length of the reason of a change, in bytes.
pub const REASON: usize = crate::domain::version::MAX_REASON;
/// Maximum length of the address of an origin, in bytes.
pub const ORIGIN_URL: usize = 1024;
/// Maximum number of entries of each list on a page of differences between versions.
pub const DIFFERENCES: usize = 1000;
