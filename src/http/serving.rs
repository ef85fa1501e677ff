//! What all surfaces share: bytes as answers, bodies as blobs and documents, and the response cache. Knows no surface.

pub(super) mod bytes;
pub(super) mod intake;
pub(super) mod response_cache;
