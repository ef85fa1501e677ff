//! Which module may use which: the direction of dependencies in `src/`.

use std::fmt::Write as _;

use super::rust_files;

/// For each module what it may use of the others: a module, or one path of it.
///
/// `domain` ← `wire` ← `client`; `store` ← `layout` ← `protocol` ← {`service`, `upkeep`} ← `http` ← `server` ← `cli`, where
/// `store` does not know `domain`, and `service` and `upkeep` do not know each other.
const MAY_USE: [(&str, &[&str]); 18] = [
    // Values and rules; can be tested without anything else.
    ("domain", &[]),
    ("clock", &[]),
    ("lifecycle", &[]),
    ("shares", &[]),
    // Keys and bytes; never what they mean.
    ("store", &["shares"]),
    // Name patterns occur in settings.
    ("config", &["domain"]),
    ("telemetry", &["config", "domain"]),
    ("access", &["clock", "config", "domain"]),
    // Spells and parses the keys of domain values.
    ("layout", &["domain", "shares::Owner", "store"]),
    ("protocol", &["clock", "domain", "layout", "shares", "store"]),
    ("service", &["clock", "domain", "layout", "protocol", "shares", "store"]),
    ("upkeep", &["clock", "domain", "layout", "protocol", "store"]),
    // Handlers call services. Of the store they see what services hand through: bytes of a blob, a range of them, and
    // the kinds of failure that become a status. Telemetry prints metrics.
    (
        "http",
        &[
            "access",
            // The date of responses.
            "clock",
            "config",
            "domain",
            "protocol",
            "service",
            "shares",
            "store::ByteRange",
            "store::Created",
            "store::FileSlice",
            "store::files_allowed",
            "store::has_name",
            "store::PresignOptions",
            "store::Object",
            "store::StoreError",
            "store::StoreErrorKind",
            "store::has_name",
            "telemetry::render_metrics",
            "upkeep",
            "wire",
        ],
    ),
    // Talks to a server over the wire only, so that other programs can use it as it is.
    ("wire", &["domain"]),
    ("client", &["clock", "domain", "wire"]),
    (
        "server",
        &[
            "access",
            // To fetch the keys of issuers with the one TLS library.
            "client::http_client_builder",
            "clock",
            "config",
            "domain",
            "http",
            "layout",
            "lifecycle",
            "protocol",
            "service",
            "shares",
            "store",
            "telemetry",
            "upkeep",
        ],
    ),
    (
        "cli",
        &[
            "access",
            "client",
            "clock",
            "config",
            "domain",
            "layout",
            "lifecycle",
            "server",
            "protocol",
            "service",
            "store",
            "telemetry",
            "upkeep",
            "wire",
        ],
    ),
    ("main", &["cli"]),
];

/// The crates that belong to one place: HTTP types stay out of services, system calls out of handlers.
const BELONGS_TO: [(&str, &[&str]); 10] = [
    ("axum", &["http", "server"]),
    ("clap", &["cli", "main"]),
    // The mechanics of bodies name its frames only.
    ("hyper", &["server", "http"]),
    ("hyper_util", &["server"]),
    ("maud", &["http"]),
    ("sigstore_verify", &["domain"]),
    // The configuration uses its type of addresses only.
    ("reqwest", &["client", "cli", "config", "server"]),
    // The protocol lowers the priority of threads that work for long.
    ("rustix", &["cli", "client", "protocol", "server", "store"]),
    ("schemars", &["http", "wire"]),
    ("tower_http", &["http"]),
];

/// The top module that a file is part of, and how many levels below the crate it lies.
fn module(path: &str) -> (String, usize) {
    // Steps of `migrations/` are included by `layout/migrate.rs`.
    let Some(path) = path.strip_prefix("src/") else { return ("layout".to_owned(), 3) };
    let path = path.trim_end_matches(".rs");
    (path.split('/').next().unwrap().to_owned(), path.split('/').count())
}

/// The text without its line comments.
fn code(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).fold(String::new(), |mut all, line| {
        let _ = writeln!(all, "{line}");
        all
    })
}

/// The paths that `text`, which follows a `crate::`, names: one, or those of a braced list.
fn paths(text: &str) -> Vec<String> {
    let Some(list) = text.strip_prefix('{') else {
        let end = text.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').unwrap_or(text.len());
        let (path, rest) = (&text[..end], &text[end..]);
        return match rest.strip_prefix('{') {
            Some(_) if path.ends_with("::") => paths(rest).into_iter().map(|tail| format!("{path}{tail}")).collect(),
            _ => vec![path.trim_end_matches(':').to_owned()],
        };
    };
    let (mut depth, mut start, mut found) = (0, 0, Vec::new());
    for (at, letter) in list.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                let item = list[start..at].trim();
                if !item.is_empty() {
                    found.extend(paths(item));
                }
                start = at + 1;
                if letter == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    found
}

/// What a file uses of its own crate, as paths below the crate.
fn uses(text: &str) -> Vec<String> {
    let code = code(text);
    let starts = code.match_indices("crate::").filter(|(at, _)| !code[..*at].ends_with('$'));
    starts.flat_map(|(at, found)| paths(&code[at + found.len()..])).collect()
}

fn allowed(module: &str, path: &str) -> bool {
    let (_, may) = MAY_USE.iter().find(|(name, _)| *name == module).unwrap_or_else(|| panic!("no rule for {module}"));
    path.split("::").next() == Some(module)
        || may.iter().any(|may| path == *may || path.starts_with(&format!("{may}::")))
}

#[test]
fn modules_use_only_what_lies_below_them() {
    let mut wrong = Vec::new();
    for (path, text) in rust_files("src").into_iter().chain(rust_files("migrations")) {
        let (module, _) = module(&path);
        if module == "lib" {
            continue;
        }
        for used in uses(&text) {
            if !allowed(&module, &used) {
                wrong.push(format!("{path}: {module} must not use {used}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_module_reaches_its_neighbours_through_super() {
    for (path, text) in rust_files("src").into_iter().chain(rust_files("migrations")) {
        let (_, depth) = module(&path);
        let chain = "super::".repeat(depth);
        // Tests inside a file lie one level deeper.
        let body = code(&text);
        let body = body.split("mod tests {").next().unwrap();
        assert!(
            !body.contains(&chain),
            "{path}: write crate:: for other modules, so that the direction can be checked"
        );
    }
}

#[test]
fn libraries_stay_where_they_belong() {
    for (path, text) in rust_files("src").into_iter().chain(rust_files("migrations")) {
        let (module, _) = module(&path);
        let code = code(&text);
        for (library, places) in BELONGS_TO {
            let found = code
                .match_indices(&format!("{library}::"))
                .any(|(at, _)| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':'));
            assert!(!found || places.contains(&module.as_str()), "{path}: {library} belongs to {places:?}");
        }
    }
}

#[test]
fn the_reader_of_paths_sees_what_there_is() {
    let text = "use crate::domain::{Digest, head::{Change, Outcome}};\nuse crate::store::{\n    Key,\n};\n\
                // use crate::nothing;\nfn f(key: &crate::layout::Key, x: $crate::y) { crate::a::b(); }";
    let found =
        ["domain::Digest", "domain::head::Change", "domain::head::Outcome", "store::Key", "layout::Key", "a::b"];
    assert_eq!(uses(text), found);
    assert!(!allowed("domain", "store::Key") && !allowed("http", "store::Key") && !allowed("store", "domain::Digest"));
    assert!(
        allowed("layout", "store::Key") && allowed("http", "http::x") && allowed("protocol", "layout::marker::open")
    );
}
