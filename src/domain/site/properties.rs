//! Properties of every site, path and file of rules. Cases come from a seeded generator.

use proptest::prelude::*;

use crate::domain::manifest::{Coding, TrailingSlash};

use super::answer::{Outcome, RequestKind, Site};
use super::files::Files;
use super::fixture::{add_variant, lines, manifest, ruled};
use super::host::{HostName, normalised_host};
use super::label::PreviewLabel;
use super::path::SitePath;
use super::rules::Rules;
use super::{by_name, is_hashed, is_ignored, with_charset};

/// The addresses by which people ask for the files of [`FILE_SETS`].
const ADDRESSES: [&str; 12] = [
    "/file",
    "/file/",
    "/file.html",
    "/file/index.html",
    "/folder",
    "/folder/",
    "/folder.html",
    "/folder/index.html",
    "/both",
    "/both/",
    "/both.html",
    "/both/index.html",
];

/// A file, a folder, both, and what stands in the way of clean addresses.
const FILE_SETS: [&[&str]; 8] = [
    &["file.html", "folder/index.html", "both.html", "both/index.html"],
    &["file.html"],
    &["folder/index.html"],
    &["both.html", "both/index.html"],
    &["file", "file.html", "folder/index.html", "folder.html"],
    &["both", "both.html=x", "folder.html=x", "folder/index.html=x"],
    &["file.html.html", "file.html", "folder/index.html/index.html", "both/index.html.html"],
    &["index.html", "index/index.html", "file/index/index.html", "both.html/index.html"],
];

fn sites(files: &[&str]) -> Vec<Site> {
    let modes = [TrailingSlash::Auto, TrailingSlash::Always, TrailingSlash::Never];
    let settings = modes.into_iter().flat_map(|slash| [(slash, true), (slash, false)]);
    let site = |(slash, clean)| {
        let mut manifest = manifest(files);
        (manifest.site.trailing_slash, manifest.site.clean_urls) = (slash, clean);
        Site::compile(&manifest, Rules::default())
    };
    settings.map(site).collect()
}

fn look(site: &Site, path: &str) -> Outcome {
    SitePath::parse(path).map_or(Outcome::Nothing, |path| site.look(&path, None, RequestKind::default()))
}

/// Checks that a path leads to a file, to nothing, or to one redirect to a file with the same bytes as each other one.
fn assert_one_redirect(site: &Site, path: &str) {
    let Outcome::Redirect(redirect) = look(site, path) else { return };
    assert_stays(&redirect.location);
    let target = look(site, &redirect.location);
    assert!(
        matches!(&target, Outcome::Page(page) if page.status == 200),
        "{path} -> {} -> {target:?}",
        redirect.location
    );
}

/// Checks that a location is legal in a header field and leads to the same host.
fn assert_stays(location: &str) {
    let lower = location.to_ascii_lowercase();
    let leaves = ["//", "/\\", "/%2f", "/%5c", "/%09"].iter().any(|start| lower.starts_with(start));
    assert!(location.starts_with('/') && !leaves, "{location}");
    assert!(location.bytes().all(|byte| byte.is_ascii_graphic()), "{location}");
}

#[test]
fn no_address_leads_further_than_one_redirect() {
    for files in FILE_SETS {
        for site in sites(files) {
            for address in ADDRESSES {
                for spelling in [address.to_owned(), format!("/{address}"), address.replace('f', "%66")] {
                    assert_one_redirect(&site, &spelling);
                }
            }
        }
    }
}

/// Every set of these: what can be at an address, beside it and below it, with the same bytes as its neighbour and with
/// others.
#[test]
fn whatever_files_there_are_no_address_leads_further_than_one_redirect() {
    let names = [
        "file.html",
        "file/index.html=file.html",
        "file",
        "file.html/index.html",
        "file/index.html.html",
        "index.html",
        "index.html.html=index.html",
        "index/index.html",
    ];
    let addresses = [
        "/",
        "/index",
        "/index/",
        "/index.html",
        "/index.html/",
        "/index/index",
        "/index/index.html",
        "/index.html.html",
        "/file",
        "/file/",
        "/file.html",
        "/file.html/",
        "/file.html/index",
        "/file/index",
        "/file/index/",
        "/file/index.html",
        "/file/index.html/",
        "/file/index.html.html",
    ];
    for chosen in 0..1_u32 << names.len() {
        let is_chosen = |(at, name): (usize, &&'static str)| (chosen & 1 << at != 0).then_some(*name);
        let files: Vec<&str> = names.iter().enumerate().filter_map(is_chosen).collect();
        for site in sites(&files) {
            for address in addresses {
                assert_one_redirect(&site, address);
            }
        }
    }
}

#[test]
fn what_attackers_write_leads_nowhere_else() {
    let site = ruled(
        &["index.html", "example.net/index.html", "public/x.html", "old/index.html"],
        "/old/* /:splat\n/deep/* /a/:splat/b 302\n/name/:x /:x 307",
        "",
    );
    for tail in [
        "/example.net",
        "//example.net",
        "/\\example.net",
        "%5Cexample.net",
        "%2Fexample.net",
        "%2f%2fexample.net",
        "%09/example.net",
        "../example.net",
        "..%2Fexample.net",
        "%2e%2e/example.net",
        "..%2F%5cexample.net%2F%3f%2F..%2F..",
        "%0d%0aSet-Cookie:x",
        "%00",
        "%252e%252e/x",
        "%",
        "a//b",
        ".",
        "@example.net",
        ":80",
        "?x",
        "%3f%23",
        "%F0%9F",
    ] {
        for head in ["/", "//", "/old/", "/old//", "/deep/", "/name/", "/public/"] {
            match look(&site, &format!("{head}{tail}")) {
                Outcome::Redirect(redirect) => assert_stays(&redirect.location),
                Outcome::Page(_) | Outcome::Nothing => {}
            }
        }
    }
}

/// Segments that meet each other, and what is odd in paths.
fn path() -> impl Strategy<Value = String> {
    let segment = prop_oneof![
        4 => "(a|b|index|404|file)(\\.html|\\.js|)",
        1 => "[a-c%/.\\\\:*?#é\u{301} ~_-]{0,6}",
        1 => "(%[0-9A-Fa-f]{2}){1,3}",
        1 => Just(String::new()),
    ];
    (prop::collection::vec(segment, 0..5), "/?").prop_map(|(segments, end)| format!("/{}{end}", segments.join("/")))
}

fn files() -> impl Strategy<Value = Vec<String>> {
    let name = "((a|b|index)/){0,2}(a|b|index|404)(\\.html|\\.js|)(=[xy])?";
    prop::collection::vec(name, 0..8)
}

fn rule_line() -> impl Strategy<Value = String> {
    let (from, to) = (
        "(/(a|b|:x|:y|\\*|index|a\\.html)){0,3}/?",
        "(https://e\\.example)?(/(a|b|:x|:splat|index|a\\.html)){0,3}/?(\\?q=:x)?(#:splat)?",
    );
    let status = "(301|302|307|308|200|404|410|451|999)!?";
    prop_oneof![6 => (from, to, status).prop_map(|(from, to, status)| format!("{from} {to} {status}")), 1 => "\\PC{0,20}"]
}

fn header_line() -> impl Strategy<Value = String> {
    prop_oneof!["(/(a|b|:x|\\*|\\*\\.js)){0,2}", "(! )?[A-C](: [x-z]{1,2})?", "\\PC{0,20}"]
}

proptest! {
    #[test]
    fn any_path_of_any_site_is_answered(names in files(), path in path(), navigation: bool) {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        for site in sites(&names) {
            assert_one_redirect(&site, &path);
            let Ok(path) = SitePath::parse(&path) else { continue };
            let again = SitePath::parse(path.encoded()).unwrap();
            prop_assert_eq!(again.as_str(), path.as_str());
            for page in [site.fallback(&path, RequestKind { navigation }), site.not_found(&path)].into_iter().flatten() {
                prop_assert!(site.file_of(page.file).name.base() == "404.html");
            }
        }
    }

    #[test]
    fn any_rules_are_read_and_lead_where_they_may(
        redirects in prop::collection::vec(rule_line(), 0..6),
        headers in prop::collection::vec(header_line(), 0..8),
        names in files(),
        path in path(),
    ) {
        let (redirects, headers) = (redirects.join("\n"), headers.join("\n"));
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let site = ruled(&names, &redirects, &headers);
        let checked = Rules::parse(Some(redirects.as_bytes()), Some(headers.as_bytes()), &manifest(&names));
        // What a name stands for may close a circle that no example shows.
        let may_circle = checked.is_err() || redirects.contains([':', '*']);
        let mut next = Some(path);
        for hop in 0..20 {
            let Some(path) = next.take() else { break };
            prop_assert!(hop < 10 || may_circle, "{redirects} does not end");
            match look(&site, &path) {
                Outcome::Redirect(redirect) if redirect.location.starts_with("https://e.example/") => {
                    prop_assert!(redirect.location.bytes().all(|byte| byte.is_ascii_graphic()));
                }
                Outcome::Redirect(redirect) => {
                    assert_stays(&redirect.location);
                    next = redirect.location.split(['?', '#']).next().map(str::to_owned);
                }
                Outcome::Page(page) => drop(site.headers(&page)),
                Outcome::Nothing => {}
            }
        }
    }

    #[test]
    fn any_text_is_judged(text in "\\PC{0,40}", bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let _ = (SitePath::parse(&text), PreviewLabel::decode(&text), is_hashed(&text), is_ignored(&text));
        let _ = (by_name(&text), with_charset(&text, true));
        if let Ok(host) = text.parse::<HostName>() {
            let again = normalised_host(host.as_str());
            prop_assert_eq!(again.as_deref(), Ok(host.as_str()));
            let is_plain = |b: u8| !b.is_ascii_uppercase() && (b.is_ascii_alphanumeric() || b"-_.:[]".contains(&b));
            prop_assert!(host.as_str().bytes().all(is_plain), "{}", host);
        }
        let _ = Rules::read(Some(&bytes), Some(&bytes));
        let site = ruled(&["a.js"], "", "");
        let chosen = site.choose(site.files().find("a.js").unwrap(), Some(&text), false);
        prop_assert_eq!(chosen.coding, None);
    }
}

#[test]
fn hostile_lengths_take_linear_time() {
    let deep: String = "/a".repeat(32_000);
    let patterns = lines(200, |n| format!("/:a{n}/x{n}/* /y 302\n"));
    let names: Vec<String> = (0..20_000).map(|n| format!("{}404.html", "a/".repeat(n % 200))).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let site = ruled(&names, &patterns, "");
    for path in [deep.clone(), format!("{deep}/"), "/".repeat(64_000), format!("/{}", "%C3%A9".repeat(10_000))] {
        let path = SitePath::parse(&path).unwrap();
        assert_eq!(site.look(&path, None, RequestKind::default()), Outcome::Nothing);
        assert!(site.not_found(&path).is_some());
    }
}

#[test]
fn a_large_site_takes_little() {
    let names: Vec<String> = (0..30_000).map(|n| format!("docs/{}/page-{n}.html", n % 100)).collect();
    let mut manifest = manifest(&names.iter().map(String::as_str).collect::<Vec<_>>());
    for name in names.iter().take(1000) {
        add_variant(&mut manifest, name, Coding::Br, 1);
    }
    let files = Files::new(&manifest);
    assert!(names.iter().all(|name| files.find(name).is_some()));
    // So that 100,000 files take some 15 megabytes, names and all.
    assert!(files.bytes() < 31_000 * 150, "{}", files.bytes());
}
