//! Which file an address leads to, in each mode of trailing slashes. Our own words and values for the cases that other
//! hosts publish as tests.

use super::super::answer::Site;
use super::super::fixture::{answer, manifest};
use super::super::rules::Rules;
use super::*;

/// What addresses lead to with these settings. `None` turns clean addresses off.
fn table(slash: Option<TrailingSlash>, files: &[&str], cases: &[(&str, &str)]) {
    let mut manifest = manifest(files);
    manifest.site.clean_urls = slash.is_some();
    manifest.site.trailing_slash = slash.unwrap_or_default();
    let site = Site::compile(&manifest, Rules::default());
    for (address, wanted) in cases {
        assert_eq!(answer(&site, address, false), *wanted, "{address} with {files:?} and {slash:?}");
    }
}

const BOTH: [&str; 2] = ["twice.html", "twice/index.html"];
const PLAIN: [&str; 2] = ["tool", "tool.html"];
const PERCENT: [&str; 2] = ["box%2F", "box/index.html"];

#[test]
fn slashes_follow_the_files_by_default() {
    let auto = Some(TrailingSlash::Auto);
    table(
        auto,
        &["index.html"],
        &[("/", "200 index.html"), ("/index", "308 /"), ("/index.html", "308 /"), ("/index/", "308 /")],
    );
    table(
        auto,
        &BOTH,
        &[
            ("/twice", "200 twice.html"),
            ("/twice.html", "308 /twice"),
            ("/twice/", "200 twice/index.html"),
            ("/twice/index.html", "308 /twice/"),
            ("/twice/index", "308 /twice/"),
        ],
    );
    table(
        auto,
        &["note.html"],
        &[
            ("/note", "200 note.html"),
            ("/note.html", "308 /note"),
            ("/note/", "308 /note"),
            ("/note/index", "308 /note"),
            ("/note/index.html", "308 /note"),
            ("/note.htm", "404"),
            ("/Note", "404"),
            ("/", "404"),
        ],
    );
}

#[test]
fn directories_have_slashes_by_default() {
    let auto = Some(TrailingSlash::Auto);
    table(
        auto,
        &["shelf/index.html"],
        &[
            ("/shelf", "308 /shelf/"),
            ("/shelf.html", "308 /shelf/"),
            ("/shelf/", "200 shelf/index.html"),
            ("/shelf/index", "308 /shelf/"),
            ("/shelf/index.html", "308 /shelf/"),
        ],
    );
}

#[test]
fn a_file_without_an_ending_stands_in_the_way_of_a_page() {
    let auto = Some(TrailingSlash::Auto);
    table(
        auto,
        &PERCENT,
        &[
            ("/box", "308 /box/"),
            ("/box.html", "308 /box/"),
            ("/box%2F", "400"),
            ("/box%252F", "200 box%2F"),
            ("/box/", "200 box/index.html"),
        ],
    );
    table(
        auto,
        &PLAIN,
        &[
            ("/tool", "200 tool"),
            ("/tool.html", "200 tool.html"),
            ("/tool/", "404"),
            ("/tool/index", "404"),
            ("/tool/index.html", "404"),
        ],
    );
}

#[test]
fn slashes_can_be_dropped() {
    let never = Some(TrailingSlash::Never);
    table(never, &["index.html"], &[("/", "200 index.html"), ("/index", "308 /"), ("/index.html", "308 /")]);
    table(
        never,
        &BOTH,
        &[
            ("/twice", "200 twice.html"),
            ("/twice.html", "308 /twice"),
            ("/twice/", "308 /twice"),
            ("/twice/index", "308 /twice"),
            ("/twice/index.html", "200 twice/index.html"),
        ],
    );
    table(
        never,
        &["note.html"],
        &[
            ("/note", "200 note.html"),
            ("/note.html", "308 /note"),
            ("/note/", "308 /note"),
            ("/note/index", "308 /note"),
            ("/note/index.html", "308 /note"),
        ],
    );
    table(
        never,
        &["shelf/index.html"],
        &[
            ("/shelf", "200 shelf/index.html"),
            ("/shelf.html", "308 /shelf"),
            ("/shelf/", "308 /shelf"),
            ("/shelf/index", "308 /shelf"),
            ("/shelf/index.html", "308 /shelf"),
        ],
    );
    table(never, &PERCENT, &[("/box", "200 box/index.html"), ("/box/", "308 /box"), ("/box%252F", "200 box%2F")]);
    table(never, &PLAIN, &[("/tool", "200 tool"), ("/tool.html", "200 tool.html"), ("/tool/", "404")]);
}

#[test]
fn slashes_can_be_required() {
    let always = Some(TrailingSlash::Always);
    table(always, &["index.html"], &[("/", "200 index.html"), ("/index", "308 /"), ("/index.html", "308 /")]);
    table(
        always,
        &BOTH,
        &[
            ("/twice", "308 /twice/"),
            ("/twice.html", "200 twice.html"),
            ("/twice/", "200 twice/index.html"),
            ("/twice/index", "308 /twice/"),
            ("/twice/index.html", "308 /twice/"),
        ],
    );
    table(
        always,
        &["note.html"],
        &[
            ("/note", "308 /note/"),
            ("/note.html", "308 /note/"),
            ("/note/", "200 note.html"),
            ("/note/index", "308 /note/"),
            ("/note/index.html", "308 /note/"),
        ],
    );
    table(always, &["shelf/index.html"], &[("/shelf", "308 /shelf/"), ("/shelf.html", "308 /shelf/")]);
    table(always, &PERCENT, &[("/box", "308 /box/"), ("/box/index", "308 /box/"), ("/box%252F", "200 box%2F")]);
    table(
        always,
        &PLAIN,
        &[
            ("/tool", "200 tool"),
            ("/tool.html", "308 /tool/"),
            ("/tool/", "200 tool.html"),
            ("/tool/index", "308 /tool/"),
            ("/tool/index.html", "308 /tool/"),
        ],
    );
}

#[test]
fn clean_addresses_can_be_turned_off() {
    table(
        None,
        &["index.html", "twice.html", "twice/index.html", "note.html", "shelf/index.html"],
        &[
            ("/", "200 index.html"),
            ("/index", "404"),
            ("/index.html", "200 index.html"),
            ("/twice", "308 /twice/"),
            ("/twice.html", "200 twice.html"),
            ("/twice/", "200 twice/index.html"),
            ("/twice/index.html", "200 twice/index.html"),
            ("/note", "404"),
            ("/note/", "404"),
            ("/note/index.html", "404"),
            ("/shelf", "308 /shelf/"),
            ("/shelf.html", "404"),
            ("/shelf/index", "404"),
        ],
    );
}

#[test]
fn addresses_are_escaped_where_they_must_be() {
    let auto = Some(TrailingSlash::Auto);
    table(
        auto,
        &[
            "[slug].html",
            "%5Bslug%5D.html",
            "a/[b\u{f2}x].html",
            "what?now.html",
            "caf\u{e9}/index.html",
            "a b+%\u{e9}.txt",
        ],
        &[
            ("/[slug]", "200 [slug].html"),
            ("/%5Bslug%5D", "200 [slug].html"),
            ("/[slug].html", "308 /%5Bslug%5D"),
            ("/%5bslug%5d/?x=[1]", "308 /%5Bslug%5D?x=[1]"),
            ("/%255Bslug%255D", "200 %5Bslug%5D.html"),
            ("/%255Bslug%255D.html", "308 /%255Bslug%255D"),
            ("/a/[b%C3%B2x]/", "308 /a/%5Bb%C3%B2x%5D"),
            ("/what?now", "404"),
            ("/what%3Fnow", "200 what?now.html"),
            ("/what%3Fnow/", "308 /what%3Fnow"),
            ("/caf%C3%A9", "308 /caf%C3%A9/"),
            ("/cafe%CC%81/?q", "308 /caf%C3%A9/?q"),
            ("/cafe%CC%81", "308 /caf%C3%A9/"),
            ("/a%20b+%25%C3%A9.txt", "200 a b+%\u{e9}.txt"),
            ("/a%20b%20%25%C3%A9.txt", "404"),
            ("/a%2520b+%25%C3%A9.txt", "404"),
        ],
    );
}

#[test]
fn the_start_page_is_the_one_that_the_release_names() {
    let mut manifest = manifest(&["home.html", "index.html", "docs/index.html"]);
    manifest.entrypoint = Some("docs/index.html".parse().unwrap());
    let site = Site::compile(&manifest, Rules::default());
    for (address, wanted) in [
        ("/", "200 docs/index.html"),
        ("/docs/", "200 docs/index.html"),
        ("/docs", "308 /docs/"),
        // `/` shows something else, so nothing leads there.
        ("/index.html", "200 index.html"),
        ("/index", "404"),
    ] {
        assert_eq!(answer(&site, address, false), wanted, "{address}");
    }
}

#[test]
fn redirects_lead_to_the_same_bytes_only() {
    table(
        Some(TrailingSlash::Auto),
        &["page=one", "page.html=one", "other=1", "other.html=2", "deep.html.html", "deep.html", ".html", "x/.html"],
        &[
            ("/page.html", "308 /page"),
            ("/page/", "308 /page"),
            ("/other.html", "200 other.html"),
            ("/deep", "200 deep.html"),
            ("/deep.html", "308 /deep"),
            ("/deep.html.html", "200 deep.html.html"),
            ("/.html", "200 .html"),
            ("/x/.html", "200 x/.html"),
            ("/x/", "404"),
            ("/x", "404"),
        ],
    );
}
