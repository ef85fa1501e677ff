//! Answers of whole sites: files, rules, fallbacks, header fields.

use super::super::fixture::{answer, manifest, ruled, site};
use super::*;

fn look(site: &Site, path: &str, navigation: bool) -> Outcome {
    site.look(&SitePath::parse(path).unwrap(), None, RequestKind { navigation })
}

fn page(site: &Site, path: &str, navigation: bool) -> Page {
    let path = SitePath::parse(path).unwrap();
    match site.look(&path, None, RequestKind { navigation }) {
        Outcome::Page(page) => page,
        _ => site.fallback(&path, RequestKind { navigation }).or_else(|| site.not_found(&path)).unwrap(),
    }
}

/// A site with a fallback.
fn application() -> Site {
    let mut manifest = manifest(&["index.html", "assets/a-CjL4fkWS.js", "404.html", "docs/404.html"]);
    manifest.site.fallback = Some("index.html".parse().unwrap());
    Site::compile(&manifest, Rules::default())
}

#[test]
fn a_fallback_answers_navigations_and_nothing_else() {
    let site = application();
    for (path, navigation, wanted) in [
        ("/", true, "200 index.html"),
        ("/app/api/1.0", true, "[200 index.html]"),
        ("/app", false, "[404 404.html]"),
        ("/.env", false, "[404 404.html]"),
        ("/assets/x-DEADBEE1.js", false, "[404 404.html]"),
        ("/docs/x", false, "[404 docs/404.html]"),
        ("/docs/x", true, "[200 index.html]"),
        ("//app", true, "[404 404.html]"),
        ("/_headers", false, "[404 404.html]"),
        ("/_headers", true, "[404 404.html]"),
        ("/_redirects", true, "[404 404.html]"),
    ] {
        assert_eq!(answer(&site, path, navigation), wanted, "{path}");
    }
    let shell = page(&site, "/route", true);
    assert_eq!((shell.caching, shell.origin), (Caching::Revalidate, Origin::Fallback));
    let nothing = page(&site, "/route", false);
    assert_eq!((nothing.caching, nothing.origin), (Caching::NoStore, Origin::NotFound));
    let without = self::site(&["index.html", "404.html"]);
    assert_eq!(answer(&without, "/route", true), "[404 404.html]", "nothing is implied by the files");
    assert_eq!(answer(&self::site(&["index.html"]), "/route", true), "404");
}

#[test]
fn navigations_are_told_by_what_the_client_sends() {
    for (mode, accept, navigation) in [
        (Some("navigate"), None, true),
        (Some("no-cors"), Some("text/html"), false),
        (Some("cors"), None, false),
        (None, Some("text/html,application/xhtml+xml,*/*;q=0.8"), true),
        (None, Some("image/png, Text/HTML ;q=0.1"), true),
        (None, Some("*/*"), false),
        (None, Some("text/*"), false),
        (None, None, false),
    ] {
        assert_eq!(RequestKind::of(mode, accept), RequestKind { navigation }, "{mode:?} {accept:?}");
    }
}

#[test]
fn only_a_file_at_its_own_path_is_immutable() {
    let site = ruled(&["index.html", "assets/a-CjL4fkWS.js", "plain.js"], "/app.js /assets/a-CjL4fkWS.js 200", "");
    for (path, caching) in [
        ("/assets/a-CjL4fkWS.js", Caching::Immutable),
        ("/app.js", Caching::Revalidate),
        ("/plain.js", Caching::Revalidate),
        ("/", Caching::Revalidate),
    ] {
        assert_eq!(page(&site, path, false).caching, caching, "{path}");
    }
    let mut manifest = manifest(&["page.html"]);
    manifest.site.immutable = vec!["**".parse().unwrap()];
    let site = Site::compile(&manifest, Rules::default());
    assert_eq!(page(&site, "/page", false).caching, Caching::Revalidate, "another file may be at /page one day");
}

#[test]
fn rules_come_behind_files_unless_they_are_forced() {
    let files = ["index.html", "about.html", "404.html", "gone.html", "old/x.html", "new/y.html", "data.json"];
    let rules = "
        /about /other
        /contact /about 302
        /forced/* /:splat 307!
        /old/x /new/y 308!
        /posts/:year/:title /articles/:year-:title
        /one /new/y 200
        /two /new/y.html 200
        /gone /gone 410
        /secret /gone.html 451
        /lost /404.html 404
        /a/* https://example.org/:splat 301
        /rewrite/* /new/:splat 200
        /rewrite/* /old/:splat 200
    ";
    let site = ruled(&files, rules, "");
    for (address, wanted) in [
        ("/about", "200 about.html"),
        ("/contact", "302 /about"),
        ("/contact?x=1", "302 /about?x=1"),
        ("/contact/", "[404 404.html]"),
        ("/forced/data.json", "307 /data.json"),
        ("/forced/", "307 /"),
        ("/old/x", "308 /new/y"),
        ("/posts/2022/hello%20world", "301 /articles/2022-hello%20world"),
        ("/posts/2022/a/b", "[404 404.html]"),
        ("/one", "200 new/y.html"),
        ("/two", "200 new/y.html"),
        ("/gone", "200 gone.html"),
        ("/secret", "451 gone.html"),
        ("/lost", "404 404.html"),
        ("/a/b/c?d", "301 https://example.org/b/c?d"),
        ("//a//b", "301 https://example.org/b"),
        ("//one", "308 /one"),
        ("//secret", "451 gone.html"),
        ("/rewrite/y", "200 new/y.html"),
        ("/rewrite/x", "200 old/x.html"),
        ("/rewrite/z", "[404 404.html]"),
    ] {
        assert_eq!(answer(&site, address, false), wanted, "{address}");
    }
    let (rewritten, gone) = (page(&site, "/one", false), page(&site, "/secret", false));
    assert_eq!((rewritten.caching, rewritten.origin), (Caching::Revalidate, Origin::Rule));
    assert_eq!((gone.caching, gone.origin), (Caching::NoStore, Origin::Rule));
}

#[test]
fn rules_for_all_paths_answer_after_everything_else() {
    let files = ["index.html", "app/index.html", "app/a.js", "404.html", "lost.html"];
    let site = ruled(&files, "/app/* /app/index.html 200\n/x/* /lost 404\n/* /index.html 200\n", "");
    for (path, navigation, wanted) in [
        ("/app/route", true, "[200 app/index.html]"),
        ("/app/gone.js", false, "[404 404.html]"),
        ("/app/a.js", true, "200 app/a.js"),
        ("/route", true, "[200 index.html]"),
        ("/gone.js", false, "[404 404.html]"),
        ("/x/y", true, "[404 lost.html]"),
        ("/x/y", false, "[404 lost.html]"),
    ] {
        assert_eq!(answer(&site, path, navigation), wanted, "{path}");
    }
    assert_eq!(look(&site, "/app/route", true), Outcome::Nothing, "a newer release may have it");
    assert_eq!(page(&site, "/app/route", true).origin, Origin::Fallback);
    let forced = ruled(&files, "/* /lost.html 200!", "");
    assert_eq!(answer(&forced, "/app/a.js", false), "200 lost.html");
    let data = ruled(&["data.json"], "/api/* /data.json 200", "");
    assert_eq!(answer(&data, "/api/x", false), "200 data.json", "no page");
    let first = ruled(&files, "/* /index.html 200\n/y /z 301\n", "");
    assert_eq!(answer(&first, "/y", true), "[200 index.html]", "an older release may have such rules");
}

#[test]
fn redirects_of_old_releases_do_not_lead_to_themselves() {
    let site = ruled(&["a.html"], "/x /x 301\n/y/* /y/:splat 302!\n/a.html /a.html 301!", "");
    assert_eq!(answer(&site, "/x", false), "404");
    assert_eq!(answer(&site, "/y/z", false), "404");
    assert_eq!(answer(&site, "/a.html", false), "308 /a");
}

#[test]
fn header_fields_belong_to_files() {
    let files = ["index.html", "docs/index.html", "about.html", "assets/a.js", "404.html", "app.html"];
    let headers = "
        /*
          X-All: 1
          Cache-Control: max-age=60
        /docs/
          X-Docs: 1
        /about
          X-About: 1
        /about.html
          X-File: 1
        /
          X-Start: 1
          ! Referrer-Policy
        /assets/*
          X-Asset: 1
    ";
    let site = ruled(&files, "/r/* /app.html 200\n/js /assets/a.js 200", headers);
    let fields = |path: &str, navigation| {
        let (path, request) = (SitePath::parse(path).unwrap(), RequestKind { navigation });
        let page = match site.look(&path, None, request) {
            Outcome::Page(page) => page,
            _ => site.fallback(&path, request).or_else(|| site.not_found(&path)).unwrap(),
        };
        let headers = site.headers(&page);
        let mut names: Vec<_> = headers.set.iter().map(|(name, _)| *name).collect();
        names.extend(&headers.removed);
        names
    };
    assert_eq!(fields("/", false), ["x-all", "cache-control", "x-start", "referrer-policy"]);
    assert_eq!(fields("/docs/", false), ["x-all", "cache-control", "x-docs"]);
    assert_eq!(fields("/about", false), ["x-all", "cache-control", "x-about", "x-file"]);
    assert_eq!(fields("/assets/a.js", false), ["x-all", "cache-control", "x-asset"]);
    assert_eq!(fields("/js", false), ["x-all", "x-asset"], "not at its own path");
    assert_eq!(fields("/r/route", true), ["x-all"]);
    assert_eq!(fields("/assets/nope.js", false), ["x-all"], "the page for nothing is not below /assets");
    assert_eq!(self::site(&["a"]).headers(&page(&self::site(&["a"]), "/a", false)), FileHeaders::default());
}
