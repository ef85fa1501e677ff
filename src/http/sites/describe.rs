//! The OpenAPI documents of sites and previews.

use serde_json::{Value, json};

use crate::http::openapi::{Document, Failure, Field, Operation, Parameter, binary, of, text};

const PATH: Parameter = Parameter {
    id: "path",
    name: "path",
    place: "path",
    required: true,
    about: "The path of a page or a file; slashes stay as they are.",
    schema: of::<String>,
};
const ETAG: Field =
    Field { name: "ETag", about: "The digest of the bytes that are sent, quoted. Strong.", schema: of::<String> };
const CACHE_CONTROL: Field = Field {
    name: "Cache-Control",
    about: "`immutable` for paths that never change, else `no-cache`; `private` where a password is needed.",
    schema: of::<String>,
};
const VARY: Field = Field {
    name: "Vary",
    about: "`Accept-Encoding` where there is more than one representation.",
    schema: of::<String>,
};
const LOCATION: Field =
    Field { name: "Location", about: "The path to ask for, with the query of the request.", schema: of::<String> };
const VERSION: Field =
    Field { name: "Larder-Version", about: "Number of the version, if it is an earlier one.", schema: of::<u64> };
const WWW_AUTHENTICATE: Field =
    Field { name: "WWW-Authenticate", about: "`Basic`; the password is a token.", schema: of::<String> };
const RETRY_AFTER: Field =
    Field { name: "Retry-After", about: "Seconds to wait before trying again.", schema: of::<u64> };

const FAILURES: &[Failure] = &[
    Failure { status: 400, id: "BadRequest", about: "The path is not one.", fields: &[] },
    Failure {
        status: 401,
        id: "Unauthorized",
        about: "A preview that needs a password.",
        fields: &[&WWW_AUTHENTICATE],
    },
    Failure {
        status: 404,
        id: "NotFound",
        about: "The nearest `404.html` of the release, or a page of ours.",
        fields: &[],
    },
    Failure { status: 410, id: "Gone", about: "The release was taken away.", fields: &[] },
    Failure { status: 421, id: "Misdirected", about: "The host is not served here.", fields: &[] },
    Failure { status: 503, id: "Unavailable", about: "The store is out of reach.", fields: &[&RETRY_AFTER] },
];

/// The document of sites.
pub(super) fn sites() -> Value {
    document("Sites", ["sitePage", "siteRoot"])
}

/// The document of previews.
pub(super) fn previews() -> Value {
    document("Previews", ["previewPage", "previewRoot"])
}

fn document(title: &'static str, [page, root]: [&'static str; 2]) -> Value {
    let info = json!({
        "title": title,
        "version": env!("CARGO_PKG_VERSION"),
        "description": "Releases of the kind `static` under hosts of their own, as `[[sites]]` in the configuration says.",
    });
    let mut document = Document::new(info, FAILURES, text("text/html"));
    let read = |id| {
        Operation::new("get", id, "A page or a file of the release")
            .answers(200, "The bytes.", &[&ETAG, &CACHE_CONTROL, &VARY, &VERSION], [binary("*/*")])
            .empty(308, "Another spelling of the path, or a rule of the release.", &[&LOCATION])
            .fails(&[400, 401, 404, 410, 421, 503])
    };
    document.path("/", &[], [read(root)]);
    document.path("/{path}", &[&PATH], [read(page)]);
    document.finish()
}
