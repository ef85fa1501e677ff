//! `_redirects` and `_headers` of a release.

use larder::domain::head::Change;
use larder::domain::manifest::{Descriptor, Kind};
use larder::domain::{Digest, Expect, Summary};
use reqwest::Method;
use serde_json::json;

use super::{ADMIN, DOCS, Sites, configure, manifest};
use crate::support::replicas::Replicas;
use crate::support::server::send;
use crate::support::services::{ACTOR, Services, name};
use crate::support::store::FsBackend;

const INDEX: (&str, &str) = ("index.html", "start");

async fn with_rules(redirects: &str, headers: &str) -> Sites {
    let sites = Sites::start().await;
    let files = [
        INDEX,
        ("404.html", "lost"),
        ("new/index.html", "new"),
        ("new/b.html", "b"),
        ("assets/a-CjL4fkWS.js", "a"),
        ("assets/plain.js", "plain"),
        ("gone.html", "it is gone"),
        ("_redirects", redirects),
        ("_headers", headers),
    ];
    let files: Vec<_> = files.into_iter().filter(|(name, text)| !name.starts_with('_') || !text.is_empty()).collect();
    sites.publish("acme/docs", &files, json!({})).await;
    sites
}

#[tokio::test]
async fn rules_answer_what_no_file_does_and_keep_the_query() {
    let redirects = "# moved\n/old/* /new/:splat\n/blog/:year/:slug /new/:slug?y=:year 302\n/ext https://other.example/x 301\n\
                     /rewritten /new/b.html 200\n/removed /gone.html 410\n/new/* /nothing 301\n/assets/plain.js /new/ 301!\n";
    let sites = with_rules(redirects, "").await;
    for (path, status, location) in [
        ("/old/b?a=b%20c&a&d=", 301, "/new/b?a=b%20c&a&d="),
        ("/old/", 301, "/new/"),
        ("/blog/2026/b?x=1", 302, "/new/b?y=2026"),
        ("/ext?q", 301, "https://other.example/x?q"),
        ("/assets/plain.js", 301, "/new/"),
    ] {
        for _ in 0..2 {
            let page = sites.get(DOCS, path).await.expect(status);
            assert_eq!(page.all("location"), [location], "{path}");
            assert_eq!(page.header("cache-control"), "no-cache", "{path}");
        }
    }
    assert_eq!(sites.get(DOCS, "/rewritten").await.expect(200).text(), "b");
    let gone = sites.get(DOCS, "/removed").await.expect(410);
    assert_eq!((gone.text().as_str(), gone.header("cache-control")), ("it is gone", "no-store"));
    assert_eq!(sites.get(DOCS, "/new/b").await.expect(200).text(), "b", "a file wins over a rule");
    for path in ["/_redirects", "/_headers"] {
        sites.get(DOCS, path).await.expect(404);
    }
}

#[tokio::test]
async fn what_a_path_brings_into_a_location_stays_escaped() {
    let sites = with_rules("/old/* /new/:splat\n", "").await;
    for path in
        ["/old/%0d%0aset-cookie:x", "/old/%0a", "/old//evil.example", "/old/%2F%2Fevil.example", "/old/%5Cevil.example"]
    {
        let page = sites.get(DOCS, path).await;
        assert!(matches!(page.status, 301 | 308 | 400 | 404), "{path}: {}", page.head);
        assert_eq!(page.find("set-cookie"), None);
        for location in page.all("location") {
            assert!(location.starts_with("/new/") || location.starts_with("/old/"), "{path}: {location}");
        }
    }
}

#[tokio::test]
async fn the_rule_for_everything_is_for_those_who_go_to_a_page() {
    let sites = with_rules("/* /index.html 200\n", "").await;
    let page = sites.navigate(DOCS, "/some/route").await.expect(200);
    assert_eq!((page.text().as_str(), page.header("cache-control")), ("start", "no-cache"));
    let asset = sites.load(DOCS, "/assets/x-DEADBEE1.js").await.expect(404);
    assert_eq!(asset.header("cache-control"), "no-store");
}

#[tokio::test]
async fn headers_are_of_the_file_that_is_served() {
    let headers = "/assets/*\n  Cache-Control: public, max-age=600\n  X-Own: assets\n/*\n  X-Frame-Options: DENY\n  \
                   Access-Control-Allow-Origin: *\n  X-List: a\n  X-List: b\n/new/*\n  ! X-Frame-Options\n";
    let sites = with_rules("/rewritten /assets/plain.js 200\n", headers).await;
    for _ in 0..2 {
        let page = sites.load(DOCS, "/assets/plain.js").await.expect(200);
        assert_eq!((page.header("cache-control"), page.header("x-own")), ("public, max-age=600", "assets"));
        assert_eq!((page.header("x-frame-options"), page.header("access-control-allow-origin")), ("DENY", "*"));
        assert_eq!(page.all("x-list"), ["a, b"]);
        let held = page.header("etag").to_owned();
        let unchanged = sites.ask("GET", DOCS, "/assets/plain.js", &[("if-none-match", &held)]).await.expect(304);
        assert_eq!((unchanged.header("cache-control"), unchanged.header("x-own")), ("public, max-age=600", "assets"));
    }
    assert_eq!(sites.get(DOCS, "/new/").await.expect(200).find("x-frame-options"), None);
    let rewritten = sites.get(DOCS, "/rewritten").await.expect(200);
    assert_eq!(rewritten.header("cache-control"), "no-cache");
    // A rule for a path says nothing of errors there, whatever may be kept of its files.
    let missing = sites.load(DOCS, "/assets/nope.js").await.expect(404);
    assert_eq!((missing.header("cache-control"), missing.find("x-own")), ("no-store", None));
}

#[tokio::test]
async fn a_release_with_wrong_rules_is_refused_with_all_that_is_wrong() {
    let sites = Sites::start().await;
    let redirects =
        "/a /b 999\n/x http://plain.example/ 301\n/p https://proxy.example/ 200\n/nothing /absent.html 200\n";
    let headers = "/*\n  Set-Cookie: a=b\n  no colon here\n";
    let files = [INDEX, ("_redirects", redirects), ("_headers", headers)];
    for (_, text) in files {
        sites.0.put_blob(text.as_bytes()).await;
    }
    let answer = sites.0.put("/manifests/acme/docs", manifest(&files, json!({})).to_string()).await;
    let problem = answer.problem(422, "MANIFEST_INVALID");
    let problems = problem["problems"].as_array().unwrap();
    for place in ["_redirects:1", "_redirects:2", "_redirects:3", "_redirects:4", "_headers:2", "_headers:3"] {
        let is_named = |problem: &serde_json::Value| problem.as_str().unwrap().contains(place);
        assert!(problems.iter().any(is_named), "{place}: {problems:#?}");
    }
    sites.0.get("/manifests/acme/docs").await.expect(404);
}

#[tokio::test]
async fn what_programs_are_sent_to_is_not_what_visitors_get() {
    let sites = with_rules("/app/* /new/b.html 200\n/* https://other.example/:splat 302\n", "").await;
    // Nobody's answer is kept for those who want something else.
    for _ in 0..3 {
        let program = sites.get(DOCS, "/app/route").await.expect(302);
        assert_eq!(program.header("location"), "https://other.example/app/route");
        assert_eq!(sites.navigate(DOCS, "/app/route").await.expect(200).text(), "b");
    }
}

/// What was published before rules were checked is served without those that cannot work, and somebody can see it.
#[tokio::test]
async fn rules_that_nobody_has_checked_are_left_out_and_counted() {
    let backend = FsBackend::quick();
    let store = backend.store();
    let mut server = Replicas::new()
        .with(&store, |config| {
            configure(config);
            // A site of its own: all servers of this process count together.
            config.sites[0].id = "unchecked".parse().unwrap();
        })
        .await;
    ADMIN.clone_into(&mut server.token);
    let sites = Sites(server);
    let files = [INDEX, ("_redirects", "/a /b 302\n/c\n/d /e 999\n"), ("_headers", "/*\n  X-Own: yes\n  no colon\n")];
    let bytes = manifest(&files, json!({})).to_string();
    for text in files.iter().map(|(_, text)| *text).chain([bytes.as_str()]) {
        sites.0.put_blob(text.as_bytes()).await;
    }
    let services = Services::over(&store);
    let summary = Summary {
        manifest: Descriptor { digest: Digest::of(bytes.as_bytes()), size: bytes.len() as u64 },
        media_type: None,
        label: None,
        label_cut: false,
        kind: Kind::Static,
        files: files.len() as u64,
        total_bytes: 0,
        entrypoint: None,
        source: None,
        subject: None,
        pushed_as: None,
    };
    let docs = name("acme/docs");
    for change in [
        Change::Prepare { annex: None, summary, from: None, expect: Expect::Anything },
        Change::Commit { number: 1, activate: true, expect: Expect::Anything },
    ] {
        services.heads.change(&docs, &change, &*ACTOR).await.unwrap();
    }
    for _ in 0..2 {
        assert_eq!(sites.get(DOCS, "/").await.expect(200).header("x-own"), "yes");
        assert_eq!(sites.get(DOCS, "/a").await.expect(302).header("location"), "/b");
        sites.get(DOCS, "/d").await.expect(404);
    }
    let metrics = send(sites.0.request(Method::GET, "/metrics")).await.expect(200).text();
    let line = "larder_site_rules_invalid_total{site=\"unchecked\"} 3";
    assert!(metrics.lines().any(|found| found == line), "{metrics}");
}
