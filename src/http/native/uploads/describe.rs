//! OpenAPI description of resumable uploads.

use super::super::parameters as p;
use crate::http::openapi::{Document, Operation, binary, json_of};
use crate::wire::StoredBlob;

/// The permission needed to continue an upload.
const OWNER: &str = "For the token that began it, or one that grants `admin`.";

pub(in crate::http::native) fn describe(document: &mut Document) {
    document.tag("uploads", "Blobs that arrive over several requests.");
    document.path("/uploads", &[], [create(), limits("uploadLimits")]);
    let show = Operation::new("head", "showUpload", "How far an upload is")
        .by_token(OWNER)
        .empty(
            204,
            "Where to continue. `Location` is the blob once it is stored.",
            &[
                &p::UPLOAD_OFFSET,
                &p::UPLOAD_COMPLETE,
                &p::UPLOAD_LIMIT,
                &p::UPLOAD_LENGTH,
                &p::LOCATION,
                &p::ETAG,
                &p::CACHE_CONTROL,
            ],
        )
        .fails(&[401, 403, 404, 410, 500, 503, 507]);
    let cancel = Operation::new("delete", "cancelUpload", "Give an upload up")
        .by_token("A blob that was stored stays. For the token that began it, or one that grants `admin`.")
        .empty(204, "Nothing is left of it.", &[])
        .fails(&[401, 403, 404, 410, 500, 503, 507]);
    document.path("/uploads/{upload}", &[&p::UPLOAD], [show, append(), cancel, limits("uploadLimitsOfOne")]);
}

fn create() -> Operation {
    Operation::new("post", "createUpload", "Begin a resumable upload")
        .by_token(
            "As in draft-ietf-httpbis-resumable-upload; the digest of the whole blob has to be stated, in the address or in \
             `Repr-Digest`. A body may bring the first bytes, or all of them, but is only safe once it is answered: interim \
             responses (104) are not sent. Needs `upload` or `publish`.",
        )
        .takes(&[&p::UPLOAD_DIGEST, &p::STATED_DIGEST, &p::BODY_COMPLETE, &p::BODY_LENGTH])
        .optional_body(binary("application/octet-stream"))
        .answers(
            200,
            "The blob is there already; there is no upload, and nothing has to be sent.",
            &[&p::LOCATION, &p::ETAG, &p::UPLOAD_COMPLETE],
            [json_of::<StoredBlob>()],
        )
        .empty(
            201,
            "The upload, to which more can be appended; or, with `Upload-Complete: ?1`, the blob that was stored.",
            &[&p::LOCATION, &p::UPLOAD_OFFSET, &p::UPLOAD_COMPLETE, &p::UPLOAD_LIMIT],
        )
        .fails(&[400, 401, 403, 408, 409, 410, 413, 415, 500, 503, 507])
}

fn append() -> Operation {
    Operation::new("patch", "appendUpload", "Append bytes, and complete the upload")
        .by_token(
            "When the connection breaks, what filled parts is kept: ask with HEAD where to continue. An append that does not \
             complete the upload must be a multiple of the part size, `min-append-size` in `Upload-Limit`. For the token \
             that began it, or one that grants `admin`.",
        )
        .takes(&[&p::BODY_OFFSET, &p::BODY_COMPLETE, &p::BODY_LENGTH])
        .body(binary("application/partial-upload"))
        .answers(
            200,
            "The upload is complete; the blob was there already.",
            &[&p::LOCATION, &p::ETAG, &p::UPLOAD_COMPLETE],
            [json_of::<StoredBlob>()],
        )
        .answers(
            201,
            "The upload is complete; the blob was stored.",
            &[&p::LOCATION, &p::ETAG, &p::UPLOAD_COMPLETE],
            [json_of::<StoredBlob>()],
        )
        .empty(
            204,
            "The bytes are kept.",
            &[&p::LOCATION, &p::UPLOAD_OFFSET, &p::UPLOAD_COMPLETE, &p::UPLOAD_LIMIT],
        )
        .fails(&[400, 401, 403, 404, 408, 409, 410, 413, 415, 500, 503, 507])
}

fn limits(id: &'static str) -> Operation {
    Operation::new("options", id, "What uploads have to keep to").empty(
        204,
        "The limits, and the methods in `Allow`.",
        &[&p::UPLOAD_LIMIT],
    )
}
