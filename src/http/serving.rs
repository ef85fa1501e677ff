//! Bytes as answers, and answers that are given again.

pub(super) mod response_cache;
