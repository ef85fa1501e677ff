//! The OpenAPI document of the surface.

use serde_json::{Value, json};

use crate::http::openapi::{Content, Document, Failure, Field, Operation, Parameter, binary, either, of};
use crate::wire::{ProblemDetails, Receipt, StoredAsset};

const PATH: Parameter = Parameter {
    id: "path",
    name: "path",
    place: "path",
    required: true,
    about: "`PREFIX/CHANNEL/FILE` or `PREFIX/FILE`, as `[assets]` in the configuration says; slashes stay as they are.",
    schema: of::<String>,
};
const RANGE: Parameter = Parameter {
    id: "range",
    name: "Range",
    place: "header",
    required: false,
    about: "Ranges of bytes of a file, at most 1,000, which must not overlap.",
    schema: of::<String>,
};
const IF_NONE_MATCH: Parameter = Parameter {
    id: "ifNoneMatch",
    name: "If-None-Match",
    place: "header",
    required: false,
    about: "Entity tags; 304 if one is that of the answer.",
    schema: of::<String>,
};

const ETAG: Field = Field { name: "ETag", about: "The digest of the bytes, quoted.", schema: of::<String> };
const LAST_MODIFIED: Field =
    Field { name: "Last-Modified", about: "When the version became active.", schema: of::<String> };
const LINK: Field =
    Field { name: "Link", about: "`successor-version`: the same for clients that know more.", schema: of::<String> };
const DEPRECATION: Field =
    Field { name: "Deprecation", about: "Since when the address is deprecated (RFC 9745).", schema: of::<String> };
const SUNSET: Field = Field { name: "Sunset", about: "When the address is to end (RFC 8594).", schema: of::<String> };
const VERSION: Field = Field { name: "Larder-Version", about: "Number of the version.", schema: of::<u64> };
const RETRY_AFTER: Field =
    Field { name: "Retry-After", about: "Seconds to wait before trying again.", schema: of::<u64> };
const WWW_AUTHENTICATE: Field = Field { name: "WWW-Authenticate", about: "`Bearer`.", schema: of::<String> };

const FIELDS: &[&Field] = &[&ETAG, &LAST_MODIFIED, &LINK, &DEPRECATION, &SUNSET, &VERSION];

macro_rules! failures {
    ($($status:literal $id:literal [$($field:ident),*], $about:literal;)*) => {
        const FAILURES: &[Failure] = &[
            $(Failure { status: $status, id: $id, about: $about, fields: &[$(&$field),*] }),*
        ];
    };
}

failures! {
    400 "BadRequest" [], "NAME_INVALID, DIGEST_INVALID, SIZE_INVALID, PRECONDITION_INVALID, MANIFEST_INVALID; REQUEST_INVALID: the \
        form cannot be read, or has not exactly one part.";
    401 "Unauthorized" [WWW_AUTHENTICATE], "UNAUTHORIZED: no token where one is needed, or one that is not known.";
    403 "Forbidden" [WWW_AUTHENTICATE], "DENIED: the token does not grant this.";
    404 "NotFound" [], "NOT_FOUND, MANIFEST_UNKNOWN, FILE_UNKNOWN. Never 410.";
    408 "TooSlow" [], "TIMEOUT: the body paused or trickled for too long.";
    409 "Conflict" [], "DIGEST_INVALID, with `expected` and `actual`: a `.sha256` is not that of the file. MANIFEST_BLOB_UNKNOWN, \
        with `absent` and `differ`: what `version.json` lists was not sent.";
    412 "PreconditionFailed" [], "PRECONDITION_FAILED.";
    413 "TooLarge" [], "SIZE_INVALID, with `limit`.";
    415 "UnsupportedCoding" [], "UNSUPPORTED: bodies are stored as they are, without a content coding.";
    416 "RangeNotSatisfiable" [], "RANGE_INVALID: the range begins behind the end.";
    422 "Invalid" [], "MANIFEST_INVALID, with all `problems`.";
    428 "PreconditionRequired" [], "PRECONDITION_REQUIRED: the name cannot be published to at this address.";
    500 "Internal" [], "INTERNAL, STORE_DENIED, STORE_CORRUPT.";
    503 "Unavailable" [RETRY_AFTER], "UNAVAILABLE: try again.";
    507 "Full" [], "STORE_FULL: nothing was stored.";
}

/// Builds the OpenAPI document.
pub(super) fn describe() -> Value {
    let info = json!({
        "title": "Larder: flat paths",
        "version": env!("CARGO_PKG_VERSION"),
        "summary": "Files of the active version of a name, for clients that know nothing of manifests.",
        "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    });
    let problem = Content("application/problem+json", of::<ProblemDetails>);
    let mut document = Document::new(info, FAILURES, problem);
    document.tag("assets", "Flat paths.");
    let read = Operation::new("get", "getAsset", "A file, its `.sha256`, or `version.json`")
        .about("Sent in place. What is not stored under the two latter names is made of the manifest.")
        .by_policy()
        .takes(&[&RANGE, &IF_NONE_MATCH])
        .answers(200, "All of it.", FIELDS, [binary("*/*")])
        .answers(206, "What `Range` asks for.", FIELDS, [binary("*/*")])
        .empty(304, "The client has it already.", FIELDS)
        .empty(307, "Where the store has the bytes, if the configuration says so.", &[])
        .fails(&[401, 403, 404, 412, 416, 500, 503]);
    let head = Operation::new("head", "headAsset", "The same without the bytes")
        .by_policy()
        .takes(&[&IF_NONE_MATCH])
        .empty(200, "It is there.", FIELDS)
        .empty(304, "The client has it already.", FIELDS)
        .fails(&[401, 403, 404, 412, 500, 503]);
    let put = send("put", "putAsset");
    document.path("/assets/{path}", &[&PATH], [read, head, put, send("post", "postAsset")]);
    document.finish()
}

fn send(method: &'static str, id: &'static str) -> Operation {
    Operation::new(method, id, "Send a file, its `.sha256`, or `version.json`")
        .by_token(
            "The body is the file, or a form (`multipart/form-data`) whose only part it is. Files are seen once `version.json` \
             has been sent, which publishes what it lists in one step; a `.sha256` is compared and not stored. Needs \
             `publish`.",
        )
        .body(binary("*/*"))
        .answers(200, "It was there already, or is as it should be.", &[], [either::<StoredAsset, Receipt>()])
        .answers(201, "It was stored, or published.", &[], [either::<StoredAsset, Receipt>()])
        .fails(&[400, 401, 403, 404, 408, 409, 413, 415, 422, 428, 500, 503, 507])
}
