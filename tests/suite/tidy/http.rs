//! The rooms of `src/http`: mechanics ← serving ← surfaces ← the list of surfaces.

use super::layers::uses;
use super::rust_files;

/// The modules that are surfaces. They never use each other, and only `src/http.rs` uses them.
const SURFACES: [&str; 1] = ["native"];

/// The room of a file of `src/http/`: `rfc`, `serving`, a surface, or the name of a file that all share.
fn room(path: &str) -> Option<&str> {
    path.strip_prefix("src/http/")?.split(['/', '.']).next()
}

/// Why a file of one room must not use a path of the crate.
fn forbidden(room: &str, path: &str) -> Option<&'static str> {
    // `pub(in crate::http)` uses nothing.
    if path == "http" {
        return None;
    }
    let used = path.strip_prefix("http::").map(|path| path.split("::").next().unwrap_or_default());
    match (room, used) {
        (_, Some(other)) if SURFACES.contains(&other) && other != room => Some("only http.rs knows surfaces"),
        ("rfc", Some("rfc")) => None,
        ("rfc", Some(_)) => Some("mechanics know nothing of the application"),
        ("rfc", None) if !["domain", "wire", "store::ByteRange"].iter().any(|may| path.starts_with(may)) => {
            Some("mechanics know no service")
        }
        _ => None,
    }
}

#[test]
fn rooms_use_only_what_lies_below_them() {
    let mut wrong = Vec::new();
    for (path, text) in rust_files("src/http") {
        let Some(room) = room(&path) else { continue };
        for used in uses(&text) {
            wrong.extend(forbidden(room, &used).map(|why| format!("{path} must not use {used}: {why}")));
        }
        let below = ["super::error", "super::native", "super::serving", "super::state"];
        let reached =
            below.iter().filter(|neighbour| room == "rfc" && text.contains(*neighbour) && path != "src/http/rfc.rs");
        wrong.extend(reached.map(|neighbour| format!("{path} must not use {neighbour}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_surface_is_in_the_list() {
    let list = super::read("src/http.rs");
    for surface in SURFACES {
        assert!(list.contains(&format!("{surface}::surface(")), "{surface}");
    }
    assert_eq!(list.matches("::surface(").count(), SURFACES.len(), "list new surfaces here, too");
    assert!(forbidden("rfc", "service::Publish").is_some() && forbidden("rfc", "http::error::ApiError").is_some());
    assert!(
        forbidden("serving", "http::native::pages").is_some() && forbidden("native", "http::native::pages").is_none()
    );
}
