//! Hosts of single versions: who may see them, and that search engines may not.

use larder::domain::Digest;
use serde_json::json;

use super::{ADMIN, READER, Sites};

const NOINDEX: &str = "x-robots-tag";

fn basic(user: &str, password: &str) -> String {
    use base64::Engine as _;
    let text = format!("{user}:{password}");
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(text))
}

#[tokio::test]
async fn every_version_of_a_site_has_a_host() {
    let sites = Sites::start().await;
    sites.publish("acme/blog", &[("index.html", "one")], json!({})).await;
    sites.publish("acme/blog", &[("index.html", "two")], json!({})).await;
    sites.stage("acme/blog", &[("index.html", "three")]).await;
    for (label, text) in [
        ("v1-blog", "one"),
        ("v2-blog", "two"),
        ("v3-blog", "three"),
        ("live-blog", "two"),
        ("prev-blog", "one"),
        ("next-blog", "three"),
    ] {
        let page = sites.get(&format!("{label}.preview.example.org"), "/").await.expect(200);
        assert_eq!((page.text().as_str(), page.header(NOINDEX)), (text, "noindex"), "{label}");
    }
    for label in ["v9-blog", "v1-other", "blog", "v01-blog", "V1-blog-", "x1-blog", "v1--blog", "a.v1-blog"] {
        let page = sites.get(&format!("{label}.preview.example.org"), "/").await;
        assert!(matches!(page.status, 404 | 421), "{label}: {}", page.head);
    }
    // What becomes active there is not what readers get.
    sites.promote("acme/blog@3").await;
    assert_eq!(sites.get("prev-blog.preview.example.org", "/").await.expect(200).text(), "two");
}

#[tokio::test]
async fn every_answer_of_a_preview_says_that_it_is_not_to_be_listed() {
    let sites = Sites::start().await;
    let files = [("index.html", "one"), ("folder/index.html", "x"), ("404.html", "lost")];
    sites.publish("acme/blog", &files, json!({})).await;
    let host = "v1-blog.preview.example.org";
    let held = super::tag("one");
    for _ in 0..2 {
        for (path, fields, status) in [
            ("/", &[][..], 200),
            ("/", &[("if-none-match", &*held)], 304),
            ("/", &[("range", "bytes=0-0")], 206),
            ("/", &[("if-match", "\"x\"")], 412),
            ("/folder", &[], 308),
            ("/nothing", &[], 404),
            ("/%zz", &[], 400),
        ] {
            let page = sites.ask("GET", host, path, fields).await.expect(status);
            assert_eq!(page.header(NOINDEX), "noindex", "{path} {status}");
        }
    }
    assert_eq!(sites.ask("POST", host, "/", &[("content-length", "0")]).await.expect(405).header(NOINDEX), "noindex");
    assert_eq!(sites.get("v7-blog.preview.example.org", "/").await.expect(404).header(NOINDEX), "noindex");
    assert_eq!(sites.get("v1-docs.preview.example.org", "/").await.expect(401).header(NOINDEX), "noindex");
    assert_eq!(sites.get(super::BLOG, "/").await.expect(200).find(NOINDEX), None);
}

#[tokio::test]
async fn names_that_are_encoded_have_one_host_each() {
    let sites = Sites::start().await;
    sites.publish("pr/1234", &[("index.html", "a pull request")], json!({})).await;
    sites.publish("miren/x", &[("index.html", "secret")], json!({})).await;
    let authorization = basic("anybody", READER);
    let fields = [("authorization", &*authorization)];
    let ask = async |label: &str| sites.ask("GET", &format!("{label}.pr.example.org"), "/", &fields).await;
    assert_eq!(ask("v1-przs1234").await.expect(200).text(), "a pull request");
    assert_eq!(ask("live-przs1234").await.expect(200).text(), "a pull request");
    for label in ["v1-mirenzsx", "v1-pr-1234", "v1-przh1234", "v1-przs12zh34", "v1-przszs1234"] {
        ask(label).await.expect(404);
    }
}

#[tokio::test]
async fn a_preview_needs_a_token_that_can_do_nothing_but_read() {
    let elsewhere = "a token for something else";
    let sites = Sites::with(|config| {
        let hash = Digest::of(elsewhere.as_bytes());
        let text = format!("id = 'else'\nsha256 = '{}'\nactions = ['read']\nnames = ['other/**']", hash.hex());
        config.access.tokens.push(toml::from_str(&text).unwrap());
    })
    .await;
    sites.publish("acme/docs", &[("index.html", "secret")], json!({})).await;
    let host = "live-docs.preview.example.org";
    let ask = async |authorization: &str| sites.ask("GET", host, "/", &[("authorization", authorization)]).await;
    for refused in [
        &*basic("x", ADMIN),
        &*basic("x", elsewhere),
        &*basic("x", "wrong"),
        &*basic("", ""),
        "Basic !!!",
        "Negotiate x",
        &*format!("Bearer {ADMIN}"),
    ] {
        let page = ask(refused).await.expect(401);
        assert!(page.header("www-authenticate").starts_with("Basic realm="), "{refused}");
        assert_eq!(page.header("cache-control"), "no-store");
        assert!(!page.text().contains("secret") && !page.text().contains("acme"), "{refused}");
    }
    sites.get(host, "/").await.expect(401);
    for good in [&*basic("anybody", READER), &*basic("", READER), &*format!("Bearer {READER}")] {
        let page = ask(good).await.expect(200);
        assert_eq!((page.text().as_str(), page.header("cache-control")), ("secret", "private, no-cache"), "{good}");
        assert!(page.all("vary").join(",").to_ascii_lowercase().contains("authorization"));
    }
    // What somebody saw with a password, nobody sees without.
    sites.get(host, "/").await.expect(401);
    sites.get("v1-docs.preview.example.org", "/").await.expect(401);
}

#[tokio::test]
async fn what_was_retired_or_withdrawn_is_gone_and_stays_gone() {
    let sites = Sites::start().await;
    sites.publish("acme/blog", &[("index.html", "one")], json!({})).await;
    sites.publish("acme/blog", &[("index.html", "two")], json!({})).await;
    sites.get("v1-blog.preview.example.org", "/").await.expect(200);
    sites.0.delete("/manifests/acme/blog@1").await.expect(200);
    sites.get("v1-blog.preview.example.org", "/").await.expect(410);
    assert_eq!(sites.get("v2-blog.preview.example.org", "/").await.expect(200).text(), "two");
    sites.0.delete("/manifests/acme/blog").await.expect(200);
    sites.get("live-blog.preview.example.org", "/").await.expect(410);
}
