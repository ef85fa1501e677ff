//! Shared by all surfaces: blobs as responses, bodies as blobs and documents, and the response cache. Knows no surface.

pub(super) mod bytes;
pub(super) mod download;
pub(super) mod intake;
pub(super) mod last_change;
pub(super) mod notices;
pub(super) mod origin;
mod parts;
pub(super) mod reading;
pub(super) mod rendered;
pub(super) mod rendering;
pub(super) mod response_cache;
pub(super) mod tally;
pub(super) mod waiting;
