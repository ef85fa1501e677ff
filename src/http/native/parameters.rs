//! Parameters, headers and failures that several operations of the native surface share, for the OpenAPI description.

use serde_json::json;

use crate::http::openapi::{Failure, Field, Parameter, of};
use crate::wire::{limits, schema};

/// Declares constants of one kind, each with its name, description and schema.
macro_rules! parameters {
    ($($id:ident = $place:literal $spelling:literal $name:literal $required:literal, $about:literal, $schema:expr;)*) => {
        $(pub(super) const $id: Parameter = Parameter {
            id: $spelling, name: $name, place: $place, required: $required, about: $about, schema: $schema,
        };)*
    };
}

parameters! {
    DIGEST = "path" "digest" "digest" true, "The digest of the bytes.", of::<schema::Digest>;
    UPLOAD = "path" "upload" "upload" true, "The id of the upload, as the `Location` of its creation says.", of::<String>;
    TARGET = "path" "target" "target" true, "`NAME` or `NAME@SELECTOR`; slashes of the name stay as they are. The selector \
        is a version number, `active`, `previous`, a label such as `v1.4.0`, a line such as `v1` or `v1.4`, a range such as \
        `^1.4` or `~1.4.2`, `stable`, `newest`, `next`, `sha256:HEX` of a manifest, or a moment such as \
        `2026-05-14T18:20:00Z`. Without one: the active version.", of::<String>;
    TARGET_EXPLICIT = "path" "targetExplicit" "target" true, "`NAME@SELECTOR`. The selector is a version number, `active`, \
        `previous`, a label such as `v1.4.0`, a line such as `v1` or `v1.4`, a range such as `^1.4` or `~1.4.2`, `stable`, \
        `newest`, `next`, `sha256:HEX` of a manifest, or a moment such as `2026-05-14T18:20:00Z`.", of::<String>;
    TARGET_ACTIVE = "path" "targetActive" "target" true, "`NAME@active`.", of::<String>;
    SESSION = "path" "session" "session" true, "`NAME` to begin, then `NAME@NUMBER` as the `Location` of the session \
        says.", of::<String>;
    PART = "path" "part" "part" true, "The part of the release.", |_| json!({"type": "string", "maxLength": 64});
    FILE = "path" "file" "file" true, "Name of an artifact of the manifest.",
        |_| json!({"type": "string", "maxLength": 1024});
    CATALOG = "path" "catalog" "catalog" true, "The catalog's name; slashes stay as they are.", of::<String>;
    RELEASE = "path" "release" "release" true, "The release's name in the catalog.", |_| json!({"type": "string", "maxLength": 128});
    TUF_FILE = "path" "tufFile" "file" true, "`timestamp.json`, or with a number `N.root.json`, `N.snapshot.json`, \
        `N.targets.json`.", of::<String>;
    TUF_TARGET = "path" "tufTarget" "target" true, "`DIR/HEX.FILE`: the path of the target, its last segment after the SHA-256 of \
        the file.", of::<String>;
    ITEM = "path" "item" "item" true, "The item's name.", |_| json!({"type": "string", "maxLength": 128});
    WARE_FIRST = "path" "wareFirst" "first" true, "The first three characters of the hash.", |_| json!({"type": "string", "minLength": 3, "maxLength": 3});
    WARE_SECOND = "path" "wareSecond" "second" true, "The next three.", |_| json!({"type": "string", "minLength": 3, "maxLength": 3});
    WARE_HASH = "path" "wareHash" "hash" true, "The hash of the ware, without its type.", of::<String>;
    RUN = "path" "run" "run" true, "The run of the collector.", of::<schema::Run>;
    UPLOAD_DIGEST = "query" "uploadDigest" "digest" false, "The digest of the whole blob.", of::<schema::Digest>;
    DOWNLOAD_FILE = "path" "downloadFile" "file" true, "Name to save the file as: one segment, which is not looked up.",
        |_| json!({"type": "string", "maxLength": 255});
    DOWNLOAD_NAME = "query" "downloadName" "name" false, "Name to save the file as, if the path has none.", of::<String>;
    DOWNLOAD_TYPE = "query" "downloadType" "type" false, "Media type to send it as, without parameters. Without one it is \
        guessed from the name.", |_| json!({"type": "string", "maxLength": 255});
    PREFIX = "query" "prefix" "prefix" false, "Only names that begin with this.", of::<String>;
    AFTER = "query" "after" "after" false, "Only names behind this one: the `next` of the page before.", of::<schema::Name>;
    LIMIT_NAMES = "query" "limitNames" "limit" false, "Names on a page.",
        |_| page(limits::NAMES, limits::MAX_NAMES);
    HOST = "path" "host" "host" true, "The host, without a port.", |_| json!({"type": "string", "maxLength": 253});
    NAME_OF_HOSTS = "query" "nameOfHosts" "name" false, "Only hosts that serve or are claimed for this name; the answer also says \
        where its versions are previewed.", of::<String>;
    AFTER_HOST = "query" "afterHost" "after" false, "Only hosts behind this one: the `next` of the page before.",
        of::<String>;
    LIMIT_HOSTS = "query" "limitHosts" "limit" false, "Hosts on a page. One that is not the last may have fewer.",
        |_| page(limits::NAMES, limits::MAX_NAMES);
    IF_MATCH_HOST = "header" "ifMatchHost" "If-Match" false, "Change the host only if it has one of these entity tags; `*` if \
        it is attached or claimed. Not together with `If-None-Match`.", of::<String>;
    IF_NONE_MATCH_HOST = "header" "ifNoneMatchHost" "If-None-Match" false, "`*`: only if nobody has or claims the host. Else: \
        only if it has none of these entity tags.", of::<String>;
    WAIT = "query" "wait" "wait" false, "Answer when the name has changed, at the latest after this time, such as `30s`; no \
        longer than the server lets anybody wait. Needs `after`.", of::<String>;
    AFTER_GENERATION = "query" "afterGeneration" "after" false, "With `wait`: the `Larder-Generation` of the answer that the client \
        has. 0 also waits for a name that does not exist yet.", of::<u64>;
    BEFORE = "query" "before" "before" false, "Only versions with lower numbers: the `next` of the page before.", of::<u64>;
    LIMIT_ROWS = "query" "limitRows" "limit" false, "Rows on a page.", |_| page(limits::ROWS, limits::MAX_ROWS);
    BEFORE_GENERATION = "query" "beforeGeneration" "before" false, "Only changes that made lower generations: the `next` of \
        the page before.", of::<u64>;
    LIMIT_CHANGES = "query" "limitChanges" "limit" false, "Changes on a page.",
        |_| page(limits::CHANGES, limits::MAX_CHANGES);
    ALL_STEPS = "query" "allSteps" "all" false, "`true` also shows the steps of a publish before its end, and publishes that \
        were given up.", |_| json!({"type": "boolean", "default": false});
    AFTER_HOLDER = "query" "afterHolder" "after" false, "With `wait`: the `Larder-Generation` of the answer that the client has, or \
        0, which also waits for a name that does not exist yet. With a digest: only versions behind this `NAME@NUMBER`, the `next` \
        of the page before.", of::<String>;
    LIMIT_HOLDERS = "query" "limitHolders" "limit" false, "With a digest: versions on a page.",
        |_| page(limits::HOLDERS, limits::MAX_HOLDERS);
    ROLL_BACK = "query" "rollBack" "rollback" false, "`true`: if the version is active, go back to the content before in the \
        same step. Without it, the active version cannot be yanked (409).", |_| json!({"type": "boolean", "default": false});
    PAGE = "query" "page" "page" false, "Page of the files of a version, or of the differences of two; from 1. Lists of \
        files are for browsers only.", |_| json!({"type": "integer", "minimum": 1, "default": 1});
    TO = "query" "to" "to" false, "Selector of the version to compare with, such as its number; `active` by default.",
        of::<String>;
    YANKED = "query" "yanked" "yanked" false, "`true` includes releases that were yanked, each with the reason.",
        |_| json!({"type": "boolean", "default": false});
    SINCE = "query" "since" "since" false, "Label or number of a version: the notes of all releases after it.", of::<String>;
    BEFORE_RUN = "query" "beforeRun" "before" false, "Only runs before this one.", of::<schema::Run>;
    LIMIT_RUNS = "query" "limitRuns" "limit" false, "Runs on a page.", |_| page(limits::RUNS, limits::MAX_RUNS);
    ACTIVATE = "query" "activate" "activate" false, "`false` stages the version: it is complete, but readers do not get it \
        until it is promoted.", |_| json!({"type": "boolean", "default": true});
    FROM_URL = "query" "fromUrl" "from_url" false, "For an import: address of the release that it is made from, without \
        user, query and fragment; kept with the version.",
        |_| json!({"type": "string", "format": "uri", "maxLength": limits::ORIGIN_URL});
    FROM_PUBLISHED_AT = "query" "fromPublishedAt" "from_published_at" false, "For an import: when that release was \
        published; kept with the version.", of::<schema::Time>;
    OWNER = "query" "owner" "owner" false, "On whose behalf: `user`, or `catalog:NAME` for a catalog that lists the version.",
        |_| json!({"type": "string", "default": "user"});
    FORCE = "query" "force" "force" false, "`true`: also the pin of a catalog; needs `reason`.",
        |_| json!({"type": "boolean", "default": false});
    ABOUT_FILE = "query" "aboutFile" "file" false, "Name of the file that it is about; without it, the manifest.", of::<String>;
    ATTACHMENT = "path" "attachment" "attachment" true, "The digest of the attachment.", of::<schema::Digest>;
    LARDER_SIGNATURE = "header" "larderSignature" "Larder-Signature" false, "`:BASE64:`, a signature file of minisign over the \
        bytes of the manifest, which is attached to the version before it becomes active.", of::<String>;
    REASON = "query" "reason" "reason" false, "Why, in at most 500 bytes; kept in the history.", |_| json!({"type": "string", "maxLength": limits::REASON});
    SUM_FORMAT = "query" "sumFormat" "format" false, "For checksums: `gnu` as `sha256sum` writes them, `bsd` as `shasum --tag` \
        does, `hex` for the digests alone, or `json`.", |_| json!({"enum": ["gnu", "bsd", "hex", "json"], "default": "gnu"});
    OS = "query" "os" "os" false, "Operating system: `linux`, `darwin`, `windows` and others.", of::<String>;
    ARCH = "query" "arch" "arch" false, "Architecture: `amd64`, `arm64`, `386`, `armv7` and others.", of::<String>;
    LIBC = "query" "libc" "libc" false, "C library or ABI: `gnu`, `musl`, `static`, `msvc`.", of::<String>;
    FORMAT = "query" "format" "format" false, "File format by its extension: `tar.gz`, `zip`, `deb` and others; `binary` for \
        programs without one.", of::<String>;
    KIND = "query" "kind" "kind" false, "`installer`, `archive`, `binary`, or what the manifest states.", of::<String>;
    TRIPLE = "query" "triple" "target" false, "A target triple such as `x86_64-unknown-linux-musl`; parameters beside it \
        count more.", of::<String>;
    RANGE = "header" "range" "Range" false, "Ranges of bytes, at most 1,000, which must not overlap.", of::<String>;
    IF_RANGE = "header" "ifRange" "If-Range" false, "`Range` counts only if this is the entity tag; a date is not.", of::<String>;
    IF_MATCH = "header" "ifMatch" "If-Match" false, "Entity tags, or `*`; 412 if none is that of the answer.", of::<String>;
    IF_NONE_MATCH = "header" "ifNoneMatch" "If-None-Match" false, "Entity tags, or `*`; 304 if one is that of the answer.",
        of::<String>;
    IF_MODIFIED_SINCE = "header" "ifModifiedSince" "If-Modified-Since" false, "304 if `Last-Modified` is no later. Does not \
        count beside `If-None-Match`.", of::<String>;
    IF_UNMODIFIED_SINCE = "header" "ifUnmodifiedSince" "If-Unmodified-Since" false, "412 if `Last-Modified` is later. Does \
        not count beside `If-Match`.", of::<String>;
    IF_MATCH_CHANGE = "header" "ifMatchChange" "If-Match" false, "Change the name only if its active manifest has one of \
        these entity tags; `*` if it has any. Not together with `If-None-Match`.", of::<String>;
    IF_NONE_MATCH_CHANGE = "header" "ifNoneMatchChange" "If-None-Match" false, "`*`: change the name only if nothing is \
        active. Else: only if the active manifest has none of these entity tags.", of::<String>;
    CONTENT_DIGEST = "header" "contentDigest" "Content-Digest" false, "RFC 9530. A `sha-256` in it must be that of the \
        address.", of::<String>;
    STATED_DIGEST = "header" "reprDigest" "Repr-Digest" false, "RFC 9530. A `sha-256` in it must be that of the address.",
        of::<String>;
    BODY_COMPLETE = "header" "uploadComplete" "Upload-Complete" true, "`?1` if the body brings the last bytes, else `?0`.",
        |_| json!({"enum": ["?0", "?1"]});
    BODY_LENGTH = "header" "uploadLength" "Upload-Length" false, "How many bytes the whole blob has. Best stated at the \
        creation.", of::<u64>;
    BODY_OFFSET = "header" "uploadOffset" "Upload-Offset" true, "How many bytes the upload has; another number is answered \
        409.", of::<u64>;
}

fn page(default: usize, most: usize) -> serde_json::Value {
    json!({"type": "integer", "minimum": 1, "maximum": most, "default": default})
}

macro_rules! fields {
    ($($id:ident = $name:literal, $about:literal, $schema:expr;)*) => {
        $(pub(super) const $id: Field = Field { name: $name, about: $about, schema: $schema };)*
    };
}

fields! {
    ETAG = "ETag", "`\"sha256:HEX\"`, the digest of the bytes. Strong.", of::<String>;
    REPR_DIGEST = "Repr-Digest", "`sha-256=:BASE64:`, the digest as a structured field (RFC 9530).", of::<String>;
    DIGEST_FIELD = "Digest", "`SHA-256=BASE64`, the same for clients that know only RFC 3230: those that download in segments \
        compare it.", of::<String>;
    LAST_MODIFIED = "Last-Modified", "When the name became as it is; a rollback is newer than what it takes back. Left out \
        in the first two seconds, and where the selector is not `active` or `previous`.", of::<String>;
    CACHE_CONTROL = "Cache-Control", "`immutable` where the address determines the answer, else `no-cache`, or 10 seconds for \
        timestamps of TUF; `private` where a token is needed; `no-store` for what is never kept.", of::<String>;
    ACCEPT_RANGES = "Accept-Ranges", "`bytes`.", of::<String>;
    CONTENT_DISPOSITION = "Content-Disposition", "`attachment`, with the name in the address.", of::<String>;
    CONTENT_RANGE = "Content-Range", "Which part of how many bytes.", of::<String>;
    LARDER_VERSION = "Larder-Version", "Number of the version. Left out where the version is one of a followed name.", of::<u64>;
    LARDER_LABEL = "Larder-Label", "Label of the version. Left out where it has other characters than visible ASCII.",
        of::<String>;
    LARDER_RESOLVED = "Larder-Resolved", "`NAME@N`, the version that was served, where the name follows others.",
        of::<String>;
    CONTENT_LOCATION = "Content-Location", "Where the selector can select another version later: the same by the number of the \
        version.", of::<String>;
    LARDER_FALLBACK = "Larder-Fallback", "What was taken because nothing was there of what was asked for: `arch=universal`, \
        `libc=static` or `libc=unstated`.", of::<String>;
    LARDER_EARLIER = "Larder-Earlier", "`?1` if the file is of an earlier version, which `Larder-Version` names, because the \
        active one has none of that name.", of::<String>;
    LARDER_GENERATION = "Larder-Generation", "How often the name has changed.", of::<u64>;
    LARDER_SERIAL = "Larder-Catalog-Serial", "Serial of the catalog's document.", of::<u64>;
    LARDER_YANKED = "Larder-Yanked", "Only where the version is yanked: the reason as an RFC 9651 item, `\"REASON\"` or, if it \
        is not all ASCII, the display string `%\"REASON\"`; `;instead=N` names the version to use instead.", of::<String>;
    LARDER_MINIMUM_VERSION = "Larder-Minimum-Version", "Only where the name has a floor: the label of the lowest version that \
        clients should run, or its number.", of::<String>;
    LINK = "Link", "Related addresses: `next`, `version-history`, `describedby`.", of::<String>;
    LOCATION = "Location", "The address of what this is about.", of::<String>;
    UPLOAD_OFFSET = "Upload-Offset", "How many bytes are kept.", of::<u64>;
    UPLOAD_COMPLETE = "Upload-Complete", "`?1` once the blob is stored, else `?0`.", |_| json!({"enum": ["?0", "?1"]});
    UPLOAD_LENGTH = "Upload-Length", "How many bytes the whole blob has, if that was said.", of::<u64>;
    UPLOAD_LIMIT = "Upload-Limit", "`max-size`, `min-append-size` (bytes of a part) and `max-age` (seconds without an \
        append).", of::<String>;
    RETRY_AFTER = "Retry-After", "Seconds to wait before trying again.", of::<u64>;
    WWW_AUTHENTICATE = "WWW-Authenticate", "`Bearer`, with `invalid_token` or `insufficient_scope` where a token was sent.",
        of::<String>;
    ACCEPT_ENCODING = "Accept-Encoding", "`identity`.", of::<String>;
}

macro_rules! failures {
    ($($status:literal $id:literal [$($field:ident),*], $about:literal;)*) => {
        /// Failures by status.
        pub(super) const FAILURES: &[Failure] = &[
            $(Failure { status: $status, id: $id, about: $about, fields: &[$(&$field),*] }),*
        ];
    };
}

failures! {
    400 "BadRequest" [], "Something in the request is malformed: DIGEST_INVALID, SIZE_INVALID, NAME_INVALID, \
        SELECTOR_INVALID, QUERY_INVALID, RANGE_INVALID, PRECONDITION_INVALID, MANIFEST_INVALID, CATALOG_NAME, UPLOAD_INVALID, \
        UPLOAD_COMPLETE, HOST_INVALID. REQUEST_INVALID: the head is ambiguous, such as one without a Host or with two, or the body is no \
        exchange of a token.";
    401 "Unauthorized" [WWW_AUTHENTICATE], "UNAUTHORIZED: no token where one is needed, or one that is not known.";
    403 "Forbidden" [WWW_AUTHENTICATE], "DENIED: the token does not grant this. For an identity token that no rule grants \
        anything, with `rules`: what is in the way of the nearest.";
    404 "NotFound" [], "It has never existed: BLOB_UNKNOWN, MANIFEST_UNKNOWN, VERSION_UNKNOWN (for a selector by labels with \
        `labels`, the highest that there are), FILE_UNKNOWN, ATTACHMENT_UNKNOWN, RUN_UNKNOWN, UPLOAD_UNKNOWN, PART_UNKNOWN with `parts`, \
        NAME_UNKNOWN (a repository), CATALOG_DOCUMENT (what is published there is no catalog), RELEASE_UNKNOWN, ITEM_UNKNOWN, \
        TUF_UNKNOWN, HOST_UNKNOWN, NOT_FOUND.";
    408 "TooSlow" [], "TIMEOUT: the body paused or trickled for too long.";
    409 "Conflict" [], "MANIFEST_BLOB_UNKNOWN with `missing` and `wrong_size`; SIZE_INVALID, with `wrong_size` alone; \
        LABEL_TAKEN, with `version` and `label`; ATTACHMENTS_FULL, with `version`; SIGNATURES_MISSING, with `version`, `need`, the \
        keys and identities that it has (`have`), and the signatures that do not count (`refused`: `digest`, `why`); SERIAL_BEHIND, with `version`, \
        `serial`, `active` and `active_serial`; IMMUTABLE_CHANGED, with the `files` (`name`, `version`) of a site, at most 1,000 \
        of `count`; TAG_IMMUTABLE, with `version` and `current`; VERSION_STATE; VERSION_PINNED; VERSION_YANKED; PARTS_MISSING, with \
        `missing_parts`; LISTED_IN_CATALOG, with `version` and `catalog`; CATALOG_ROLLS_FORWARD; CATALOG_SERIAL, CATALOG_SIGNATURES, \
        RELEASE_CHANGED and RELEASE_REMOVED, with all `problems` (`code`, `place`, `detail`); PARTS_CONFLICT, with the `parts` and the `file` or `member` that they disagree about; \
        UPLOAD_OFFSET, with `expected-offset` where it is known; \
        HOST_TAKEN: the host is the configuration's or another name's; HOST_LIMIT.";
    410 "Gone" [], "It existed: VERSION_RETIRED, MANIFEST_DELETED, UPLOAD_UNKNOWN.";
    412 "PreconditionFailed" [], "PRECONDITION_FAILED, with `current_etag`.";
    413 "TooLarge" [], "SIZE_INVALID, with `limit`.";
    415 "UnsupportedCoding" [ACCEPT_ENCODING], "UNSUPPORTED: bodies are stored as they are, without a content coding; \
        appends have the type `application/partial-upload`.";
    416 "RangeNotSatisfiable" [CONTENT_RANGE], "RANGE_INVALID: the range begins behind the end.";
    421 "Misdirected" [], "MISDIRECTED: the host is none of those that this server is configured for.";
    422 "Invalid" [], "MANIFEST_INVALID, with all `problems`. ATTACHMENT_INVALID. Of a catalog, with all `problems` (`code`, `place`, `detail`), the \
        first of them: CATALOG_DOCUMENT, CATALOG_NAME, RELEASE_NAME, ITEM_NAME, ITEM_FILE, WARE_ID, METADATA, CATALOG_TARGETS.";
    428 "PreconditionRequired" [], "PRECONDITION_REQUIRED: the policy of the name wants `If-Match` or `If-None-Match`.";
    500 "Internal" [], "INTERNAL, STORE_DENIED, STORE_CORRUPT. The reason is in the log, under the id in `instance`.";
    503 "Unavailable" [RETRY_AFTER], "UNAVAILABLE: try again. STORE_READ_ONLY, CLOCK_SKEW: nothing was changed, reading works but for the timestamps of TUF. STORE_TOO_NEW: \
        the store needs a newer server.";
    507 "Full" [], "STORE_FULL: nothing was stored.";
}
