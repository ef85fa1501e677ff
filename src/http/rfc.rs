//! HTTP mechanics, as the RFCs have them. Knows no service; its errors become answers in [`super::error`].

pub(super) mod body;
pub(super) mod caching;
pub mod conditional;
pub(super) mod digests;
pub(super) mod hardening;
pub mod range;
