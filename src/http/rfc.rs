//! HTTP mechanics, as the RFCs have them. Knows no service.

pub(super) mod body;
pub(super) mod caching;
pub mod conditional;
pub(super) mod digests;
pub mod range;
