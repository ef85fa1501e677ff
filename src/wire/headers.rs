//! Names of header fields that HTTP itself does not define, in lower case.

/// Number of the version that was served, decimal.
pub const VERSION: &str = "larder-version";
/// Label of the version that was served. Left out where it holds other characters than visible ASCII.
pub const LABEL: &str = "larder-label";
/// `NAME@N`: the version that was served under a name that follows others.
pub const RESOLVED: &str = "larder-resolved";
/// Generation of the head that the response is based on, decimal.
pub const GENERATION: &str = "larder-generation";
/// Serial of the document of a catalog, decimal.
pub const SERIAL: &str = "larder-catalog-serial";
/// Warning against the version that was served: an item of RFC 9651; see [`YankNotice`](super::YankNotice).
pub const YANKED: &str = "larder-yanked";
/// The lowest version of the name that clients should run: its label, or its number.
pub const MINIMUM_VERSION: &str = "larder-minimum-version";
/// A minisign signature of the manifest that is published: `:BASE64:` (RFC 9651).
pub const SIGNATURE: &str = "larder-signature";
/// What a platform link leads to instead of what was asked for, such as `arch=universal`.
pub const FALLBACK: &str = "larder-fallback";
/// `?1` where the file is of a version that was active before, because the active one has none of that name.
pub const EARLIER: &str = "larder-earlier";
/// Id of the request, in requests and responses.
pub const REQUEST_ID: &str = "x-request-id";
/// Digest of the whole representation (RFC 9530 section 3).
pub const REPR_DIGEST: &str = "repr-digest";
/// The same digest for clients that know only RFC 3230: `SHA-256=` and base64.
pub const DIGEST: &str = "digest";
/// Digest of the body as sent (RFC 9530 section 2).
pub const CONTENT_DIGEST: &str = "content-digest";
/// Number of bytes received so far (draft-ietf-httpbis-resumable-upload).
pub const UPLOAD_OFFSET: &str = "upload-offset";
/// Whether the upload is complete: `?1` or `?0` (draft-ietf-httpbis-resumable-upload).
pub const UPLOAD_COMPLETE: &str = "upload-complete";
/// Length of the whole upload in bytes (draft-ietf-httpbis-resumable-upload).
pub const UPLOAD_LENGTH: &str = "upload-length";
/// The server's limits for uploads, as a structured dictionary (draft-ietf-httpbis-resumable-upload).
pub const UPLOAD_LIMIT: &str = "upload-limit";
/// Media types that PATCH accepts (RFC 5789 section 3.1).
pub const ACCEPT_PATCH: &str = "accept-patch";
/// Media type of the body when appending to an upload (draft-ietf-httpbis-resumable-upload).
pub const PARTIAL_UPLOAD: &str = "application/partial-upload";
/// The structured boolean true (RFC 9651).
pub const TRUE: &str = "?1";
/// The structured boolean false (RFC 9651).
pub const FALSE: &str = "?0";
