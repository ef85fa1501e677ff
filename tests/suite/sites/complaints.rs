//! What people run into at hosts of sites (`docs/sites-complaints.md`), as far as no other file here is about it.

use axum::http::{Request, StatusCode};
use base64::Engine as _;
use h2::client::{self, SendRequest};
use serde_json::json;
use tokio::net::TcpStream;

use super::{BLOG, DOCS, READER, Sites, exchange, manifest};

#[tokio::test]
async fn every_redirect_is_asked_for_again() {
    let sites = Sites::start().await;
    let rules = [301, 302, 303, 307, 308].map(|status| format!("/r{status} /page {status}\n")).concat();
    let rules = format!("{rules}/forced.js /page 301!\n/away https://other.example/ 301\n/splat/* /:splat 308\n");
    let files = [
        ("index.html", "start"),
        ("page.html", "page"),
        ("folder/index.html", "folder"),
        ("forced.js", "forced"),
        ("caf\u{e9}.txt", "coffee"),
        ("_headers", "/*\n  Cache-Control: public, max-age=99999\n"),
        ("_redirects", &*rules),
    ];
    for name in ["acme/docs", "acme/blog"] {
        sites.publish(name, &files, json!({})).await;
    }
    let basic = basic();
    let credentials = [("authorization", &*basic)];
    let spelled = ["/page.html", "/page/", "/folder", "/folder/index.html", "//page", "/cafe%CC%81.txt"];
    let moved = ["/r301", "/r302", "/r303", "/r307", "/r308", "/forced.js", "/away", "/splat/x"];
    for path in spelled.into_iter().chain(moved) {
        for _ in 0..2 {
            for (host, fields, kept) in [
                (BLOG, &[][..], "no-cache"),
                ("v1-blog.preview.example.org", &[], "no-cache"),
                ("v1-docs.preview.example.org", &credentials, "private, no-cache"),
            ] {
                let page = sites.ask("GET", host, path, fields).await;
                assert!((301..=308).contains(&page.status), "{host}{path}: {}", page.head);
                assert_eq!(page.all("cache-control"), [kept], "{host}{path}");
                assert_eq!(page.find("x-robots-tag").is_some(), host != BLOG, "{host}{path}");
            }
        }
    }
    let other = sites.get("www.docs.example.org", "/page").await.expect(308);
    assert_eq!(other.header("cache-control"), "no-cache");
}

fn basic() -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("x:{READER}")))
}

#[tokio::test]
async fn no_answer_of_a_preview_behind_a_password_may_be_listed_or_shared() {
    let sites = Sites::start().await;
    let files = [("index.html", "start"), ("a/index.html", "a"), ("404.html", "lost"), ("_redirects", "/r /a/ 302\n")];
    sites.publish("acme/docs", &files, json!({"fallback": "index.html"})).await;
    let (basic, held) = (basic(), super::tag("start"));
    let (host, credentials) = ("live-docs.preview.example.org", ("authorization", &*basic));
    for (path, more, status) in [
        ("/", &[][..], 200),
        ("/", &[("if-none-match", &*held)], 304),
        ("/", &[("if-match", "\"x\"")], 412),
        ("/a", &[], 308),
        ("/r", &[], 302),
        ("/nothing.js", &[("sec-fetch-mode", "no-cors")], 404),
        ("/some/route", &[("sec-fetch-mode", "navigate")], 200),
        ("/%zz", &[], 400),
    ] {
        for method in ["GET", "HEAD"] {
            let fields: Vec<_> = more.iter().copied().chain([credentials]).collect();
            let page = sites.ask(method, host, path, &fields).await.expect(status);
            assert_eq!(page.header("x-robots-tag"), "noindex", "{method} {path}");
            let kept = page.header("cache-control");
            assert!(kept.starts_with("private") || kept == "no-store", "{method} {path}: {kept}");
            let refused = sites.ask(method, host, path, more).await.expect(401);
            assert_eq!((refused.header("x-robots-tag"), refused.header("cache-control")), ("noindex", "no-store"));
        }
    }
}

#[tokio::test]
async fn a_variant_has_the_type_of_its_file() {
    let sites = Sites::start().await;
    let files = [("index.html", "start"), ("x.wasm", "wasm, wasm, wasm"), ("x.wasm.br", "br")];
    let mut release = manifest(&files, json!({}));
    release["artifacts"][2]["encoding"] = json!("br");
    release["artifacts"][2]["of"] = json!("x.wasm");
    for (_, text) in files {
        sites.0.put_blob(text.as_bytes()).await;
    }
    sites.put_manifest("acme/docs", "", &release).await;
    for (codings, text) in [("br", "br"), ("identity", "wasm, wasm, wasm")] {
        let page = sites.ask("GET", DOCS, "/x.wasm", &[("accept-encoding", codings)]).await.expect(200);
        assert_eq!((page.text().as_str(), page.header("content-type")), (text, "application/wasm"));
    }
}

/// The status and text of an answer to a request over HTTP/2.
async fn ask(client: &mut SendRequest<bytes::Bytes>, authority: &str, host: Option<&str>) -> (StatusCode, String) {
    let request = Request::get(format!("http://{authority}/"));
    let request = host.into_iter().fold(request, |request, host| request.header("host", host));
    let mut ready = client.clone().ready().await.unwrap();
    let (answer, _) = ready.send_request(request.body(()).unwrap(), true).unwrap();
    let (head, mut body) = answer.await.unwrap().into_parts();
    let mut all = Vec::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk.unwrap();
        body.flow_control().release_capacity(chunk.len()).unwrap();
        all.extend(chunk);
    }
    (head.status, String::from_utf8(all).unwrap())
}

/// Browsers send requests for all hosts of one certificate over one connection.
#[tokio::test]
async fn requests_on_one_connection_are_for_the_hosts_that_they_name() {
    let sites = Sites::start().await;
    sites.publish("acme/docs", &[("index.html", "the manual")], json!({})).await;
    sites.publish("acme/blog", &[("index.html", "the blog")], json!({})).await;
    sites.publish("pr/7", &[("index.html", "a pull request")], json!({})).await;
    let stream = TcpStream::connect(sites.0.address).await.unwrap();
    let (mut client, connection) = client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    // Twice, because an answer that was remembered must be of its host as well.
    for _ in 0..2 {
        for (authority, host, status, text) in [
            (DOCS, None, 200, "the manual"),
            (BLOG, None, 200, "the blog"),
            ("DOCS.example.org.:8443", None, 200, "the manual"),
            (BLOG, Some(BLOG), 200, "the blog"),
            ("v1-blog.preview.example.org", None, 200, "the blog"),
            ("v1-docs.preview.example.org", None, 401, ""),
            ("v1-przs7.pr.example.org", None, 401, ""),
            ("releases.example.org", None, 200, ""),
            ("nobody.example.org", None, 421, ""),
            ("www.docs.example.org", None, 308, ""),
            (DOCS, Some(BLOG), 400, ""),
            (BLOG, Some(DOCS), 400, ""),
            ("nobody.example.org", Some(DOCS), 400, ""),
            ("releases.example.org", Some(DOCS), 400, ""),
            (DOCS, Some("v1-blog.preview.example.org"), 400, ""),
        ] {
            let (found, shown) = ask(&mut client, authority, host).await;
            assert_eq!(found.as_u16(), status, "{authority}, {host:?}: {shown}");
            let is_of_a_site = |text: &String| ["the manual", "the blog", "a pull request"].contains(&text.as_str());
            assert!(if text.is_empty() { !is_of_a_site(&shown) } else { shown == text }, "{authority}: {shown}");
        }
    }
    // Over HTTP/1.1 the target counts, and nothing that a proxy adds.
    let absolute = "GET http://blog.example.org/ HTTP/1.1\r\nhost: docs.example.org\r\nconnection: close\r\n\r\n";
    assert_eq!(exchange(sites.0.address, absolute).await.expect(200).text(), "the blog");
}
