//! Names of the header fields that HTTP itself does not define, in lower case.

/// Number of the version that was served, decimal.
pub const VERSION: &str = "larder-version";
/// Generation of the name's head that was asked, decimal.
pub const GENERATION: &str = "larder-generation";
/// Id of a request, in both directions.
pub const REQUEST_ID: &str = "x-request-id";
/// Digest of the whole representation (RFC 9530 section 3).
pub const REPR_DIGEST: &str = "repr-digest";
/// Digest of the body as sent (RFC 9530 section 2).
pub const CONTENT_DIGEST: &str = "content-digest";
/// Bytes that the server has (draft-ietf-httpbis-resumable-upload).
pub const UPLOAD_OFFSET: &str = "upload-offset";
/// Whether these are all bytes: `?1` or `?0` (draft-ietf-httpbis-resumable-upload).
pub const UPLOAD_COMPLETE: &str = "upload-complete";
/// Bytes of the whole upload (draft-ietf-httpbis-resumable-upload).
pub const UPLOAD_LENGTH: &str = "upload-length";
/// What the server asks of uploads, a structured dictionary (draft-ietf-httpbis-resumable-upload).
pub const UPLOAD_LIMIT: &str = "upload-limit";
/// Media types that PATCH takes (RFC 5789 section 3.1).
pub const ACCEPT_PATCH: &str = "accept-patch";
/// Media type of bytes that are appended to an upload (draft-ietf-httpbis-resumable-upload).
pub const PARTIAL_UPLOAD: &str = "application/partial-upload";
/// The structured boolean true (RFC 9651).
pub const TRUE: &str = "?1";
/// The structured boolean false (RFC 9651).
pub const FALSE: &str = "?0";
