//! What a cached response is found by.

use std::borrow::Cow;

/// Finds where the digest ends in a path and query that are the address of a blob. Whether it is a digest does not
/// matter: there is an entry only for what a handler has answered.
pub(in crate::http) type EndOfDigest = fn(&str) -> Option<usize>;

/// The key of a cached response: the surface, the host if the surface is bound to hosts, and the part of path and query
/// that determines the bytes.
#[derive(Debug)]
pub(in crate::http) struct CacheKey<'a> {
    pub(super) surface: &'static str,
    pub(super) address: Cow<'a, str>,
    /// The whole path and query.
    pub(super) whole: &'a str,
    /// For the address of a blob, what follows the digest. It determines only how the bytes are labelled.
    pub(super) label: Option<&'a str>,
}

impl<'a> CacheKey<'a> {
    /// The key of a path and query; `bound_to` only if responses depend on the host, which it is with the class of codings
    /// that the request accepts; `blobs` if the surface has addresses of blobs.
    pub(in crate::http) fn new(
        surface: &'static str,
        bound_to: Option<(&str, char)>,
        blobs: Option<EndOfDigest>,
        whole: &'a str,
    ) -> Self {
        let (path, label) = match blobs.and_then(|end_of_digest| end_of_digest(whole)) {
            Some(end) => (&whole[..end], Some(&whole[end..])),
            None => (whole, None),
        };
        let address = bound_to.map_or(Cow::Borrowed(path), |(host, class)| format!("{class}{host}{path}").into());
        Self { surface, address, whole, label }
    }
}

/// Where a digest ends that begins at `start` in an address, and is followed by nothing or one of `ends`.
pub(in crate::http) fn end_of_digest(address: &str, start: usize, ends: &[char]) -> Option<usize> {
    /// Algorithms, and the lengths of digests with them.
    const DIGESTS: [(&str, usize); 2] = [("sha256:", 71), ("sha512:", 135)];
    let digest = address.get(start..)?;
    let end = start + DIGESTS.into_iter().find(|(algorithm, _)| digest.starts_with(algorithm))?.1;
    let is_end = |rest: &str| rest.is_empty() || rest.starts_with(ends);
    is_end(address.get(end..)?).then_some(end)
}
