//! Limits of the interface that do not depend on the configuration.

/// Most digests in one [`MissingQuestion`](super::MissingQuestion).
pub const MISSING_DIGESTS: usize = 10_000;
/// Names on a page, unless asked otherwise.
pub const NAMES: usize = 100;
/// Most names on a page.
pub const MAX_NAMES: usize = 1000;
/// Version rows on a page, unless asked otherwise.
pub const ROWS: usize = 50;
/// Most version rows on a page.
pub const MAX_ROWS: usize = 1000;
/// Runs of the collector on a page, unless asked otherwise.
pub const RUNS: usize = 20;
/// Most runs of the collector on a page.
pub const MAX_RUNS: usize = 200;
/// Longest reason of a deletion or retirement, in bytes.
pub const REASON: usize = crate::domain::version::MAX_REASON;
