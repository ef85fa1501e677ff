//! The OpenAPI document of the surface.

use serde_json::{Value, json};

use crate::http::openapi::{Content, Document, Failure, Field, Operation, Parameter, binary, of};

macro_rules! parameters {
    ($($constant:ident: $id:literal $place:literal $name:literal $required:literal $about:literal;)*) => {
        $(const $constant: Parameter = Parameter {
            id: $id, name: $name, place: $place, required: $required, about: $about, schema: of::<String>,
        };)*
    };
}

parameters! {
    REPOSITORY: "repository" "path" "repository" true
        "Name of a repository; slashes stay as they are. Its tags are the names below it.";
    DIGEST: "digest" "path" "digest" true "`sha256:` and 64 hex digits, or `sha512:` and 128.";
    REFERENCE: "reference" "path" "reference" true "A tag, or a digest.";
    UPLOAD: "upload" "path" "upload" true "The end of the last `Location` of the upload.";
    STATED: "stated" "query" "digest" true "The digest of the whole blob.";
    WHOLE: "whole" "query" "digest" false "The digest, if the body is the whole blob.";
    MOUNT: "mount" "query" "mount" false "The digest of a blob to take from another repository in place of an upload.";
    FROM: "from" "query" "from" false "That repository.";
    ALGORITHM: "algorithm" "query" "digest-algorithm" false "`sha256` or `sha512`: which one the digest will be stated in.";
    TAGS: "tags" "query" "tag" false "A tag that the manifest gets, too; may be repeated.";
    LIMIT: "n" "query" "n" false "Entries of a page, at most 1,000.";
    LAST: "last" "query" "last" false "The last entry of the page before.";
    ARTIFACT_TYPE: "artifactType" "query" "artifactType" false "Only what has this type.";
    CONTENT_RANGE: "contentRange" "header" "Content-Range" false
        "`FIRST-LAST`: where the chunk begins and ends in the blob. Without it, it follows what is there.";
    RANGE: "range" "header" "Range" false "One range of bytes; a request for several gets the whole.";
    IF_MATCH: "ifMatch" "header" "If-Match" false "Entity tags; 412 unless one is that of the tag's manifest.";
    IF_NONE_MATCH: "ifNoneMatch" "header" "If-None-Match" false "Entity tags; 304 if one is that of the answer.";
}

macro_rules! fields {
    ($($constant:ident: $name:literal $about:literal;)*) => {
        $(const $constant: Field = Field { name: $name, about: $about, schema: of::<String> };)*
    };
}

fields! {
    CONTENT_DIGEST: "Docker-Content-Digest" "The digest of the blob or manifest; of a tag's, that by which it was pushed.";
    ETAG: "ETag" "Its SHA-256 digest, quoted.";
    LOCATION: "Location" "A path, always without a host.";
    UPLOADED: "Range" "`0-LAST`, the bytes that the upload has; `0-0` also if it has none.";
    UPLOAD_UUID: "Docker-Upload-UUID" "Identifies the upload.";
    MIN_LENGTH: "OCI-Chunk-Min-Length" "Chunks of at least so many bytes are cheapest. Others are taken, too.";
    ACCEPT_RANGES: "Accept-Ranges" "`bytes`.";
    PLACE: "Content-Range" "Which bytes these are.";
    LINK: "Link" "The path of the next page, with `rel=\"next\"`.";
    FILTERS: "OCI-Filters-Applied" "`artifactType`, if that was asked for.";
    SUBJECT: "OCI-Subject" "The `subject` of the manifest, if it has one.";
    TAG: "OCI-Tag" "A tag that was set; may be repeated.";
    CHALLENGE: "WWW-Authenticate" "Where to get a token.";
    RETRY_AFTER: "Retry-After" "Seconds to wait before trying again.";
}

const BLOB_FIELDS: &[&Field] = &[&CONTENT_DIGEST, &ETAG, &ACCEPT_RANGES];
const MANIFEST_FIELDS: &[&Field] = &[&CONTENT_DIGEST, &ETAG];
const STORED_FIELDS: &[&Field] = &[&LOCATION, &CONTENT_DIGEST];
const UPLOAD_FIELDS: &[&Field] = &[&LOCATION, &UPLOADED, &UPLOAD_UUID, &MIN_LENGTH];

macro_rules! failures {
    ($($status:literal $id:literal [$($field:ident),*], $about:literal;)*) => {
        const FAILURES: &[Failure] = &[
            $(Failure { status: $status, id: $id, about: $about, fields: &[$(&$field),*] }),*
        ];
    };
}

failures! {
    400 "BadRequest" [], "NAME_INVALID, DIGEST_INVALID, SIZE_INVALID, MANIFEST_INVALID, BLOB_UPLOAD_INVALID; \
        MANIFEST_BLOB_UNKNOWN: what the manifest names is not there.";
    401 "Unauthorized" [CHALLENGE], "UNAUTHORIZED: no token where one is needed, or one that is not known.";
    403 "Forbidden" [CHALLENGE], "DENIED: the token does not grant this, or a policy forbids it.";
    404 "NotFound" [], "NAME_UNKNOWN, MANIFEST_UNKNOWN, BLOB_UNKNOWN, BLOB_UPLOAD_UNKNOWN.";
    405 "NotAllowed" [], "DENIED: others need the manifest, or it is pinned.";
    408 "TooSlow" [], "The body paused or trickled. What came of a chunk is kept.";
    412 "PreconditionFailed" [], "DENIED: the precondition does not hold.";
    413 "TooLarge" [], "SIZE_INVALID, with `limit`.";
    414 "TooManyTags" [], "Too many tags in one request.";
    415 "UnsupportedCoding" [], "UNSUPPORTED: bodies are stored as they are, without a content coding.";
    416 "RangeNotSatisfiable" [UPLOADED, LOCATION], "BLOB_UPLOAD_INVALID: the range of a blob begins behind its end; or a \
        chunk does not follow what is there, and the upload can be continued where the answer says.";
    500 "Internal" [], "UNKNOWN.";
    503 "Unavailable" [RETRY_AFTER], "UNAVAILABLE: try again.";
    507 "Full" [], "DENIED: nothing was stored.";
}

/// The body of every failure.
const ERRORS: Content = Content("application/json", |_| {
    let one = json!({
        "type": "object",
        "required": ["code", "message"],
        "properties": {"code": {"type": "string"}, "message": {"type": "string"}, "detail": {}},
    });
    json!({"type": "object", "required": ["errors"], "properties": {"errors": {"type": "array", "items": one}}})
});

/// An object with a list of texts.
const TAG_LIST: Content = Content("application/json", |_| {
    json!({"type": "object", "required": ["name", "tags"], "properties": {
        "name": {"type": "string"}, "tags": {"type": "array", "items": {"type": "string"}},
    }})
});
const CATALOG: Content = Content("application/json", |_| {
    json!({"type": "object", "required": ["repositories"], "properties": {
        "repositories": {"type": "array", "items": {"type": "string"}},
    }})
});
const TOKEN: Content = Content("application/json", |_| {
    let (text, number) = (json!({"type": "string"}), json!({"type": "integer"}));
    json!({"type": "object", "required": ["token", "access_token", "expires_in", "issued_at"], "properties": {
        "token": text, "access_token": text, "expires_in": number, "issued_at": text,
    }})
});
const EMPTY: Content = Content("application/json", |_| json!({"type": "object"}));
const INDEX: Content = Content("application/vnd.oci.image.index.v1+json", |_| json!({"type": "object"}));

/// Builds the OpenAPI document.
pub(super) fn describe() -> Value {
    let info = json!({
        "title": "Larder: OCI registry",
        "version": env!("CARGO_PKG_VERSION"),
        "summary": "The OCI distribution specification 1.1, for container clients. The tag `R:T` is the name `R/T`.",
        "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    });
    let mut document = Document::new(info, FAILURES, ERRORS);
    log_in(&mut document);
    lists(&mut document);
    manifests(&mut document);
    blobs(&mut document);
    uploads(&mut document);
    document.finish()
}

fn log_in(document: &mut Document) {
    document.tag("login", "Logging in.");
    let ping = |id| {
        Operation::new("get", id, "Whether the client may go on")
            .by_policy()
            .answers(200, "It may.", &[], [EMPTY])
            .fails(&[401, 503])
    };
    document.path("/v2", &[], [ping("pingRegistryShort")]);
    document.path("/v2/", &[], [ping("pingRegistry")]);
    let token = Operation::new("get", "getRegistryToken", "The token that a password is, or one for everybody")
        .about("With `Authorization: Basic`, any user, and a token of the server as the password. Scopes are ignored.")
        .answers(200, "To be sent with everything else.", &[], [TOKEN])
        .fails(&[401, 503]);
    document.path("/v2/token", &[], [token]);
}

fn lists(document: &mut Document) {
    document.tag("lists", "What there is.");
    let catalog = Operation::new("get", "listRepositories", "The repositories, sorted bytewise")
        .by_policy()
        .takes(&[&LIMIT, &LAST])
        .answers(200, "A page.", &[&LINK], [CATALOG])
        .fails(&[400, 401, 500, 503]);
    document.path("/v2/_catalog", &[], [catalog]);
    let tags = Operation::new("get", "listTags", "The tags of a repository, sorted bytewise")
        .by_policy()
        .takes(&[&LIMIT, &LAST])
        .answers(200, "A page.", &[&LINK], [TAG_LIST])
        .fails(&[400, 401, 403, 404, 500, 503]);
    document.path("/v2/{repository}/tags/list", &[&REPOSITORY], [tags]);
    let referrers = Operation::new("get", "listReferrers", "The manifests whose subject this is")
        .by_policy()
        .takes(&[&ARTIFACT_TYPE, &LAST])
        .answers(200, "An index of them, even if there are none.", &[&LINK, &FILTERS], [INDEX])
        .fails(&[400, 401, 403, 500, 503]);
    document.path("/v2/{repository}/referrers/{digest}", &[&REPOSITORY, &DIGEST], [referrers]);
}

fn manifests(document: &mut Document) {
    document.tag("manifests", "Images, indexes and artifacts, and the tags that lead to them.");
    let read = |method, id, summary| {
        Operation::new(method, id, summary).by_policy().takes(&[&IF_NONE_MATCH]).empty(
            304,
            "The client has it already.",
            &[],
        )
    };
    let get = read("get", "getRegistryManifest", "A manifest, as it was pushed")
        .answers(200, "Its bytes, with the type that they state.", MANIFEST_FIELDS, [binary("*/*")])
        .fails(&[400, 401, 403, 404, 412, 500, 503]);
    let head = read("head", "headRegistryManifest", "The same without the bytes")
        .empty(200, "It is there.", MANIFEST_FIELDS)
        .fails(&[400, 401, 403, 404, 412, 500, 503]);
    let put = Operation::new("put", "putRegistryManifest", "Push a manifest")
        .by_token("Everything that it names, but for its `subject`, has to be there. Needs `publish`.")
        .takes(&[&TAGS, &IF_MATCH])
        .body(binary("*/*"))
        .empty(201, "It is published.", &[&LOCATION, &CONTENT_DIGEST, &SUBJECT, &TAG])
        .fails(&[400, 401, 403, 404, 408, 412, 413, 414, 415, 500, 503, 507]);
    let delete = Operation::new("delete", "deleteRegistryManifest", "Delete a tag, or a manifest with all its tags")
        .by_token("What a tag led to stays for its retention. Needs `retire`.")
        .takes(&[&IF_MATCH])
        .empty(202, "It is gone.", &[])
        .fails(&[400, 401, 403, 404, 405, 412, 500, 503, 507]);
    document.path("/v2/{repository}/manifests/{reference}", &[&REPOSITORY, &REFERENCE], [get, head, put, delete]);
}

fn blobs(document: &mut Document) {
    document.tag("blobs", "Layers and configurations: the same bytes as at `/blobs/{digest}`.");
    let get = Operation::new("get", "getLayer", "The bytes of a blob")
        .by_policy()
        .takes(&[&RANGE, &IF_NONE_MATCH])
        .answers(200, "All of them.", BLOB_FIELDS, [binary("application/octet-stream")])
        .answers(
            206,
            "What `Range` asks for.",
            &[&CONTENT_DIGEST, &ETAG, &ACCEPT_RANGES, &PLACE],
            [binary("application/octet-stream")],
        )
        .empty(304, "The client has it already.", &[])
        .empty(307, "Where the store has the bytes, if that is how this server delivers them.", &[])
        .fails(&[400, 401, 403, 404, 412, 416, 500, 503]);
    let head = Operation::new("head", "headLayer", "Whether a blob is there, and its size")
        .about(
            "Who may upload to the repository is told whether the blob has to be sent: bytes that the collector is about to \
             delete do not count.",
        )
        .by_policy()
        .takes(&[&IF_NONE_MATCH])
        .empty(200, "It is there.", BLOB_FIELDS)
        .empty(304, "The client has it already.", &[])
        .fails(&[400, 401, 403, 404, 412, 500, 503]);
    document.path("/v2/{repository}/blobs/{digest}", &[&REPOSITORY, &DIGEST], [get, head]);
}

fn uploads(document: &mut Document) {
    document.tag("uploads", "Sending blobs, whole or in chunks.");
    let begin = Operation::new("post", "beginLayer", "Begin an upload, send a blob at once, or mount one")
        .by_token("Needs `upload` or `publish` for some tag of the repository.")
        .takes(&[&WHOLE, &MOUNT, &FROM, &ALGORITHM])
        .optional_body(binary("application/octet-stream"))
        .empty(201, "The blob is stored, or was mounted.", STORED_FIELDS)
        .empty(202, "An upload began. Also where a blob cannot be mounted.", UPLOAD_FIELDS)
        .fails(&[400, 401, 403, 408, 413, 415, 500, 503, 507]);
    document.path("/v2/{repository}/blobs/uploads/", &[&REPOSITORY], [begin]);
    let state = Operation::new("get", "getLayerUpload", "How many bytes an upload has")
        .by_token("Only for the token that began it.")
        .empty(204, "The upload can be continued.", UPLOAD_FIELDS)
        .fails(&[401, 403, 404, 500, 503]);
    let append = Operation::new("patch", "appendToUpload", "Append a chunk")
        .by_token("Of any length. What has come of a body that breaks off is kept.")
        .takes(&[&CONTENT_RANGE])
        .body(binary("application/octet-stream"))
        .empty(202, "It is stored.", UPLOAD_FIELDS)
        .fails(&[400, 401, 403, 404, 408, 413, 415, 416, 500, 503, 507]);
    let close = Operation::new("put", "closeUpload", "Append the last chunk, if there is one, and store the blob")
        .by_token("Answered once the bytes are the blob, whose digest is compared. May be repeated.")
        .takes(&[&STATED, &CONTENT_RANGE])
        .optional_body(binary("application/octet-stream"))
        .empty(201, "The blob is stored.", STORED_FIELDS)
        .fails(&[400, 401, 403, 404, 408, 413, 415, 416, 500, 503, 507]);
    let cancel = Operation::new("delete", "cancelLayerUpload", "Give an upload up")
        .by_token("Others end by themselves.")
        .empty(204, "What was stored of it is deleted.", &[])
        .fails(&[401, 403, 404, 500, 503]);
    document.path("/v2/{repository}/blobs/uploads/{upload}", &[&REPOSITORY, &UPLOAD], [state, append, close, cancel]);
}
