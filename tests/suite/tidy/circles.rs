//! No circle of files anywhere in `src/`, and the directions inside `http`.

use super::graph::Crate;
use super::rust_files;

/// What surfaces share, as the files and directories below `src/http`. Everything else there is a surface.
const SHARED: [&str; 13] = [
    "app",
    "completion",
    "direct",
    "error",
    "expectation",
    "extract",
    "layers",
    "meters",
    "openapi",
    "request_id",
    "serving",
    "state",
    "surface",
];
/// What the mechanics of HTTP may know beside themselves: values, names of headers, and the range of an object.
const RFC_MAY_USE: [&str; 3] = ["src/domain", "src/wire", "src/store.rs"];

fn larder() -> Crate {
    let files: Vec<_> = rust_files("src").into_iter().chain(rust_files("migrations")).collect();
    Crate::read(&files, "src/lib.rs")
}

/// The part of `http` that a file belongs to; `None` for files elsewhere and for `http.rs`.
fn part(file: &str) -> Option<&str> {
    let path = file.strip_prefix("src/http/")?;
    path.split('/').next().map(|part| part.trim_end_matches(".rs"))
}

/// Why a file must not use another one, if it must not.
fn objection(from: &str, to: &str) -> Option<&'static str> {
    let is_surface = |part: &str| part != "rfc" && !SHARED.contains(&part);
    match (part(from)?, part(to)) {
        ("rfc", Some("rfc")) => None,
        ("rfc", None) if RFC_MAY_USE.iter().any(|may| to.starts_with(may)) => None,
        ("rfc", _) => Some("mechanics of HTTP know neither what surfaces share nor services"),
        (from, Some(to)) if is_surface(to) && is_surface(from) && from != to => Some("surfaces do not know each other"),
        (from, Some(to)) if is_surface(to) && from != to => Some("what surfaces share knows none of them"),
        _ => None,
    }
}

#[test]
fn no_files_use_each_other_in_a_circle() {
    let graph = larder();
    let circles: Vec<_> = graph.circles().iter().map(|circle| circle.join(" -> ")).collect();
    assert!(circles.is_empty(), "{} circles: {circles:#?}", circles.len());
}

#[test]
fn inside_http_mechanics_come_first_then_what_is_shared_then_surfaces_which_do_not_know_each_other() {
    let graph = larder();
    let mut wrong = Vec::new();
    for (from, uses) in graph.uses() {
        let objections = uses.iter().filter_map(|to| Some((to, objection(from, to)?)));
        wrong.extend(objections.map(|(to, why)| format!("{from} must not use {to}: {why}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_rules_of_http_are_what_they_say() {
    for (from, to) in [
        ("src/http/rfc/range.rs", "src/http/error.rs"),
        ("src/http/rfc/range.rs", "src/http/native/blobs.rs"),
        ("src/http/rfc/range.rs", "src/service/publish.rs"),
        ("src/http/serving/bytes.rs", "src/http/native/blobs.rs"),
        ("src/http/error.rs", "src/http/oci.rs"),
        ("src/http/native/blobs.rs", "src/http/oci/tags.rs"),
    ] {
        assert!(objection(from, to).is_some(), "{from} -> {to}");
    }
    for (from, to) in [
        ("src/http.rs", "src/http/oci.rs"),
        ("src/http/oci/tags.rs", "src/http/oci.rs"),
        ("src/http/oci.rs", "src/http/error.rs"),
        ("src/http/native/blobs.rs", "src/http/rfc/range.rs"),
        ("src/http/serving/bytes.rs", "src/http/rfc/range.rs"),
        ("src/http/rfc/digests.rs", "src/wire/headers.rs"),
        ("src/http/native/blobs.rs", "src/service/publish.rs"),
        ("src/server.rs", "src/http/native.rs"),
    ] {
        assert_eq!(objection(from, to), None, "{from} -> {to}");
    }
}
