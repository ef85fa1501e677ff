//! Which file answers a path, and where other spellings of it lead.

use serde_json::json;

use super::{DOCS, Sites};

/// The path and query that a redirect leads to; it must stay on the host.
fn location(page: &super::Page) -> String {
    let [location] = page.all("location")[..] else { panic!("{}", page.head) };
    assert!(is_local(location), "{location}");
    assert_eq!(page.header("cache-control"), "no-cache");
    location.to_owned()
}

fn is_local(location: &str) -> bool {
    let lower = location.to_ascii_lowercase();
    lower.starts_with('/') && !["//", "/\\", "/%2f", "/%5c"].iter().any(|other| lower.starts_with(other))
}

/// For every way to have a page or a directory, or both.
#[tokio::test]
async fn no_address_takes_more_than_one_redirect() {
    let sites = Sites::start().await;
    let all = [("file.html", "1"), ("folder/index.html", "2"), ("both.html", "3"), ("both/index.html", "4")];
    let asked = [
        "/file",
        "/file/",
        "/file.html",
        "/folder",
        "/folder/",
        "/folder/index.html",
        "/both",
        "/both/",
        "/both.html",
        "/both/index.html",
        "/",
        "/index.html",
    ];
    for slashes in ["auto", "always", "never"] {
        for chosen in 0..1_u8 << all.len() {
            let mut files = vec![("index.html", "0")];
            files.extend(all.iter().enumerate().filter(|(at, _)| chosen & 1 << at != 0).map(|(_, file)| *file));
            sites.publish("acme/docs", &files, json!({"trailing_slash": slashes})).await;
            for path in asked {
                let mut page = sites.get(DOCS, path).await;
                if page.status == 308 {
                    let next = location(&page);
                    page = sites.get(DOCS, &next).await;
                    assert_eq!(page.status, 200, "{slashes} {files:?} {path} -> {next}");
                }
                assert!(matches!(page.status, 200 | 404), "{slashes} {files:?} {path}: {}", page.head);
            }
            assert_eq!(sites.get(DOCS, "/").await.expect(200).text(), "0");
        }
    }
}

#[tokio::test]
async fn pages_have_clean_addresses_and_others_lead_there() {
    let sites = Sites::start().await;
    let files =
        [("index.html", "start"), ("file.html", "file"), ("folder/index.html", "folder"), ("a/b/c.html", "deep")];
    sites.publish("acme/docs", &files, json!({})).await;
    for (path, text) in [("/", "start"), ("/file", "file"), ("/folder/", "folder"), ("/a/b/c", "deep")] {
        assert_eq!(sites.get(DOCS, path).await.expect(200).text(), text, "{path}");
    }
    for (path, to) in [
        ("/index.html", "/"),
        ("/file.html", "/file"),
        ("/file/", "/file"),
        ("/folder", "/folder/"),
        ("/folder/index.html", "/folder/"),
        ("/a//b///c", "/a/b/c"),
        ("//file", "/file"),
        ("/folder?a=b%20c&a&d=", "/folder/?a=b%20c&a&d="),
        ("/file.html?", "/file?"),
        ("/folder?next=//evil.example", "/folder/?next=//evil.example"),
    ] {
        assert_eq!(location(&sites.get(DOCS, path).await.expect(308)), to, "{path}");
    }
    sites.publish("acme/docs", &files, json!({"clean_urls": false})).await;
    assert_eq!(sites.get(DOCS, "/file.html").await.expect(200).text(), "file");
    sites.get(DOCS, "/file").await.expect(404);
}

#[tokio::test]
async fn no_spelling_of_a_path_leads_off_the_site() {
    let sites = Sites::start().await;
    let files = [
        ("index.html", "start"),
        ("evil.example/index.html", "a folder of that name"),
        ("public/index.html", "public"),
    ];
    sites.publish("acme/docs", &files, json!({"fallback": "index.html"})).await;
    for path in [
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "/%5Cevil.example",
        "/%5C%5Cevil.example/%2e%2e",
        "/%2F/evil.example",
        "/%2fevil.example",
        "/%09/evil.example",
        "/evil.example/..",
        "/.//evil.example",
        "/..//evil.example",
        "//evil.example/%2e%2e",
        "/public/..%2F%5cevil.example%2F%3f%2F..%2F..",
    ] {
        let page = sites.get(DOCS, path).await;
        match page.status {
            308 => assert!(is_local(&location(&page)), "{path}"),
            // An HTTP library may refuse a backslash by itself.
            status => assert!(matches!(status, 400 | 404), "{path}: {}", page.head),
        }
        assert!(page.all("location").len() <= 1);
    }
}

#[tokio::test]
async fn nothing_but_the_files_of_the_release_can_be_reached() {
    let sites = Sites::start().await;
    sites.publish("acme/docs", &[("index.html", "start"), ("x", "x"), ("a/x", "ax")], json!({})).await;
    for path in [
        "/%2e%2e/x",
        "/../x",
        "/a/..%2fx",
        "/a/../x",
        "/a/./x",
        "/..%5cx",
        "/%252e%252e/x",
        "/x%00",
        "/%00",
        "/a%2Fx",
        "/%c3%28",
        "/%",
        "/%zz",
        "/x%0d%0aset-cookie:y",
    ] {
        let page = sites.get(DOCS, path).await;
        assert!(matches!(page.status, 400 | 404), "{path}: {}", page.head);
        assert_eq!(page.header("cache-control"), "no-store", "{path}");
    }
}

#[tokio::test]
async fn names_of_files_are_what_they_decode_to_and_nothing_else() {
    let sites = Sites::start().await;
    let files = [
        ("index.html", "start"),
        ("a b+%\u{e9}.txt", "odd"),
        ("about.html", "about"),
        ("~partytown/lib.js", "party"),
        (".well-known/security.txt", "contact"),
        ("q?x.html", "question"),
    ];
    sites.publish("acme/docs", &files, json!({})).await;
    for (path, text) in [
        ("/a%20b+%25%C3%A9.txt", "odd"),
        ("/a%20b+%25%c3%a9.txt", "odd"),
        ("/~partytown/lib.js", "party"),
        ("/%7Epartytown/lib.js", "party"),
        ("/.well-known/security.txt", "contact"),
        ("/q%3Fx", "question"),
        ("/about?q%3Fx", "about"),
    ] {
        assert_eq!(sites.get(DOCS, path).await.expect(200).text(), text, "{path}");
    }
    // A plus is no space, nothing is decoded twice, and letters have a case.
    for path in ["/a+b+%25%C3%A9.txt", "/a%2520b+%25%C3%A9.txt", "/About", "/ABOUT.HTML", "/q?x"] {
        sites.get(DOCS, path).await.expect(404);
    }
    let decomposed = sites.get(DOCS, "/a%20b+%25e%CC%81.txt?x").await.expect(308);
    let to = location(&decomposed);
    assert_eq!(sites.get(DOCS, &to).await.expect(200).text(), "odd");
    assert!(to.ends_with("?x"), "{to}");
}

#[tokio::test]
async fn a_missing_page_is_answered_by_the_nearest_404_page() {
    let sites = Sites::start().await;
    let files =
        [("index.html", "start"), ("404.html", "lost"), ("de/index.html", "anfang"), ("de/404.html", "verloren")];
    sites.publish("acme/docs", &files, json!({})).await;
    for (path, text) in [("/nothing", "lost"), ("/de/x/y/z", "verloren"), ("/de/nichts", "verloren"), ("/dex", "lost")]
    {
        for page in [sites.get(DOCS, path).await, sites.navigate(DOCS, path).await] {
            let page = page.expect(404);
            assert_eq!((page.text().as_str(), page.header("cache-control")), (text, "no-store"), "{path}");
            assert!(page.header("content-type").starts_with("text/html"), "{path}");
        }
        let held = super::tag(text);
        sites.ask("GET", DOCS, path, &[("if-none-match", &held)]).await.expect(404);
        sites.ask("GET", DOCS, path, &[("range", "bytes=0-1")]).await.expect(404);
    }
    let (get, head) = (sites.get(DOCS, "/nothing").await, sites.ask("HEAD", DOCS, "/nothing", &[]).await.expect(404));
    assert_eq!(get.lasting(), head.lasting());
    assert!(head.body.is_empty());
}

#[tokio::test]
async fn without_a_stated_fallback_no_missing_page_is_there() {
    let sites = Sites::start().await;
    sites.publish("acme/docs", &[("index.html", "start"), ("app.js", "x")], json!({})).await;
    for path in ["/route", "/app/settings", "/de/"] {
        let page = sites.navigate(DOCS, path).await.expect(404);
        assert!(!page.text().contains("start"));
    }
}

#[tokio::test]
async fn the_fallback_answers_those_who_go_to_a_page_and_nobody_else() {
    let sites = Sites::start().await;
    let files = [("index.html", "shell"), ("assets/a-CjL4fkWS.js", "a")];
    sites.publish("acme/docs", &files, json!({"fallback": "index.html"})).await;
    for path in ["/route", "/app/api/1.0", "/users/anna.smith", "/assets/route", "/a/b/c/"] {
        let page = sites.navigate(DOCS, path).await.expect(200);
        assert_eq!((page.text().as_str(), page.header("cache-control")), ("shell", "no-cache"), "{path}");
        let vary = page.all("vary").join(", ").to_ascii_lowercase();
        assert!(vary.contains("sec-fetch-mode") && vary.contains("accept"), "{vary}");
        // Browsers that say nothing of the mode, by what they accept.
        let old = sites.ask("GET", DOCS, path, &[("accept", "text/html,application/xhtml+xml")]).await.expect(200);
        assert_eq!(old.text(), "shell");
        let fields = [("sec-fetch-mode", "navigate")];
        let (get, head) = (sites.ask("GET", DOCS, path, &fields).await, sites.ask("HEAD", DOCS, path, &fields).await);
        assert_eq!(get.lasting(), head.expect(200).lasting(), "{path}");
    }
    for path in ["/assets/x-DEADBEE1.js", "/favicon.ico"] {
        let page = sites.load(DOCS, path).await.expect(404);
        assert_eq!(page.header("cache-control"), "no-store");
        assert!(!page.text().contains("shell"), "{path}");
    }
    let scanner = sites.ask("GET", DOCS, "/.env", &[("accept", "*/*")]).await.expect(404);
    assert!(!scanner.text().contains("shell"));
    assert_eq!(sites.load(DOCS, "/assets/a-CjL4fkWS.js").await.expect(200).text(), "a");
}

#[tokio::test]
async fn what_is_no_site_is_not_there() {
    let sites = Sites::start().await;
    sites.get(DOCS, "/").await.expect(404);
    sites.0.publish("acme/docs", &[("index.html", b"no site")]).await;
    sites.get(DOCS, "/").await.expect(404);
    sites.get(DOCS, "/index.html").await.expect(404);
    sites.publish("acme/docs", &[("start.html", "another start page")], json!({})).await;
    assert_eq!(sites.get(DOCS, "/").await.expect(200).text(), "another start page");
    sites.0.delete("/manifests/acme/docs").await.expect(200);
    let gone = sites.get(DOCS, "/").await.expect(410);
    assert_eq!(gone.header("cache-control"), "no-store");
}
