//! HTTP mechanics as the RFCs define them. Knows no service; `http/error.rs` turns its errors into responses.

pub(super) mod accept;
pub(super) mod body;
pub(super) mod caching;
pub(super) mod codings;
pub mod conditional;
pub(super) mod digests;
pub mod forwarded;
pub(super) mod framing;
pub(super) mod hardening;
pub(super) mod multipart;
pub(super) mod path;
pub mod range;
pub(super) mod unread;
