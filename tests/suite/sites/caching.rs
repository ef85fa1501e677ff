//! What browsers and proxies may keep, and how they find out that it is still right.

use serde_json::json;

use super::{DOCS, Sites, manifest, tag};

const IMMUTABLE: &str = "public, max-age=31536000, immutable";

#[tokio::test]
async fn only_paths_with_a_hash_or_a_stated_pattern_are_immutable() {
    let sites = Sites::start().await;
    let files = [
        ("index.html", "start"),
        ("favicon.ico", "icon"),
        ("styles.css", "css"),
        ("sw.js", "worker"),
        ("assets/a-CjL4fkWS.js", "a"),
        ("static/main.4f3a2b1c.css", "b"),
        ("fonts/inter.woff2", "font"),
    ];
    sites.publish("acme/docs", &files, json!({"immutable": ["fonts/**"]})).await;
    for (path, wanted) in [
        ("/", "no-cache"),
        ("/favicon.ico", "no-cache"),
        ("/styles.css", "no-cache"),
        ("/sw.js", "no-cache"),
        ("/assets/a-CjL4fkWS.js", IMMUTABLE),
        ("/static/main.4f3a2b1c.css", IMMUTABLE),
        ("/fonts/inter.woff2", IMMUTABLE),
    ] {
        let page = sites.load(DOCS, path).await.expect(200);
        assert_eq!(page.header("cache-control"), wanted, "{path}");
        let etag = page.header("etag").to_owned();
        let unchanged = sites.ask("GET", DOCS, path, &[("if-none-match", &etag)]).await.expect(304);
        assert_eq!((unchanged.header("cache-control"), unchanged.header("etag")), (wanted, &*etag), "{path}");
        let part = sites.ask("GET", DOCS, path, &[("range", "bytes=0-0")]).await.expect(206);
        assert_eq!(part.header("cache-control"), wanted, "{path}");
    }
    for path in ["/assets/b-CjL4fkWS.js", "/fonts/other.woff2", "/styles.css.map"] {
        assert_eq!(sites.load(DOCS, path).await.expect(404).header("cache-control"), "no-store", "{path}");
    }
    assert!(sites.get(DOCS, "/sw.js").await.header("content-type").starts_with("text/javascript"));
}

#[tokio::test]
async fn a_rollback_is_seen_by_who_has_the_newer_page_and_costs_others_nothing() {
    let sites = Sites::start().await;
    sites.publish("acme/docs", &[("index.html", "one")], json!({})).await;
    sites.publish("acme/docs", &[("index.html", "two")], json!({})).await;
    assert_eq!(sites.get(DOCS, "/").await.expect(200).header("etag"), tag("two"));
    sites.promote("acme/docs@1").await;
    let since = ("if-modified-since", "Fri, 31 Dec 2100 00:00:00 GMT");
    let newer = sites.ask("GET", DOCS, "/", &[("if-none-match", &tag("two")), since]).await.expect(200);
    assert_eq!(newer.text(), "one");
    sites.ask("GET", DOCS, "/", &[("if-none-match", &tag("one"))]).await.expect(304);
    // There is no date that a rollback could make a lie.
    assert_eq!(sites.ask("GET", DOCS, "/", &[since]).await.expect(200).text(), "one");
}

#[tokio::test]
async fn a_head_is_a_get_without_the_body() {
    let sites = Sites::start().await;
    let files = [("index.html", "start"), ("folder/index.html", "x"), ("assets/a-CjL4fkWS.js", "a")];
    sites.publish("acme/docs", &files, json!({})).await;
    for path in ["/", "/folder", "/assets/a-CjL4fkWS.js", "/nothing", "/%zz", "/folder/"] {
        for _ in 0..2 {
            let (get, head) = (sites.get(DOCS, path).await, sites.ask("HEAD", DOCS, path, &[]).await);
            assert_eq!(get.lasting(), head.lasting(), "{path}");
            assert!(head.body.is_empty(), "{path}");
        }
    }
}

#[tokio::test]
async fn ranges_and_preconditions_hold_for_files() {
    let sites = Sites::start().await;
    let text = "0123456789".repeat(100);
    sites.publish("acme/docs", &[("index.html", "start"), ("video.mp4", &text)], json!({})).await;
    let ask = async |name: &str, value: &str| sites.ask("GET", DOCS, "/video.mp4", &[(name, value)]).await;
    let part = ask("range", "bytes=10-19").await.expect(206);
    assert_eq!((part.text().as_str(), part.header("content-range")), ("0123456789", "bytes 10-19/1000"));
    let several = ask("range", "bytes=0-1,5-6").await.expect(206);
    assert!(several.header("content-type").starts_with("multipart/byteranges"));
    assert_eq!(ask("range", "bytes=2000-").await.expect(416).header("content-range"), "bytes */1000");
    assert_eq!(ask("if-match", "\"sha256:00\"").await.expect(412).header("cache-control"), "no-store");
    let fields = [("range", "bytes=0-1"), ("if-range", "\"other\"")];
    assert_eq!(sites.ask("GET", DOCS, "/video.mp4", &fields).await.expect(200).body.len(), 1000);
}

#[tokio::test]
async fn files_have_the_types_that_browsers_insist_on() {
    let sites = Sites::start().await;
    let files = [
        ("index.html", "start"),
        ("app.wasm", "wasm"),
        ("app.mjs", "module"),
        ("app.js", "script"),
        ("site.webmanifest", "{}"),
        ("app.css", "css"),
        ("app.js.map", "{}"),
        ("font.woff2", "font"),
        (".well-known/apple-app-site-association", "{}"),
        ("stated.bin", "stated"),
    ];
    let mut manifest = manifest(&files, json!({}));
    manifest["artifacts"][9]["media_type"] = json!("text/x-own; charset=utf-8");
    for (_, text) in files {
        sites.0.put_blob(text.as_bytes()).await;
    }
    sites.put_manifest("acme/docs", "", &manifest).await;
    for (path, wanted) in [
        ("/", "text/html"),
        ("/app.wasm", "application/wasm"),
        ("/app.mjs", "text/javascript"),
        ("/app.js", "text/javascript"),
        ("/site.webmanifest", "application/manifest+json"),
        ("/app.css", "text/css"),
        ("/app.js.map", "application/json"),
        ("/font.woff2", "font/woff2"),
        ("/.well-known/apple-app-site-association", "application/json"),
        ("/stated.bin", "text/x-own; charset=utf-8"),
    ] {
        let page = sites.load(DOCS, path).await.expect(200);
        let found = page.header("content-type");
        let essence = found.split(';').next().unwrap();
        assert!(found == wanted || essence == wanted && found != "application/wasm", "{path}: {found}");
    }
    assert_eq!(sites.get(DOCS, "/app.wasm").await.header("content-type"), "application/wasm");
}
