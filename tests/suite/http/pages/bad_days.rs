//! Pages of names with many versions, and of publishers who fill everything that they may fill.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::{browse, open};
use crate::protocol::labels::grown;
use crate::support::collecting::marked;
use crate::support::server::TestServer;

/// The fastest of some visits to each of these pages.
async fn fastest<const N: usize>(server: &TestServer, paths: [&str; N]) -> [Duration; N] {
    let mut fastest = [Duration::MAX; N];
    for _ in 0..15 {
        for (fastest, path) in fastest.iter_mut().zip(paths) {
            let began = Instant::now();
            browse(server, path).await;
            *fastest = began.elapsed().min(*fastest);
        }
    }
    fastest
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_versions_are_looked_at_a_page_at_a_time() {
    let backend = marked();
    grown(&backend, 10_000).await;
    let server = TestServer::on(backend.root(), |_| {}).await;
    for number in 0..60 {
        server.publish("small", &[("file", format!("{number}").as_bytes())]).await;
    }
    let first = browse(&server, "/versions/main").await;
    assert!(first.contains("/versions/main@10000\"") && first.contains("/versions/main@9951\""), "{first}");
    assert!(!first.contains("/versions/main@9950\""), "fifty on a page: {first}");
    let last = browse(&server, "/versions/main?before=51").await;
    assert!(last.contains("/versions/main@1\"") && !last.contains("Older versions"), "{last}");
    let history = browse(&server, "/history/main").await;
    assert!(history.contains("50 changes of more"), "{history}");
    let paths = ["/versions/small", "/versions/main", "/versions/main?before=51", "/history/small", "/history/main"];
    let [small, first, last, small_history, history] = fastest(&server, paths).await;
    assert!(first <= small * 3 && last <= small * 3, "{small:?}, {first:?}, {last:?}");
    assert!(history <= small_history * 3, "{small_history:?}, {history:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_is_larger_than_half_a_megabyte_whatever_is_in_it() {
    let server = TestServer::start().await;
    let blob = server.put_blob(b"a").await;
    let (amp, quotes, n) = ("&".repeat(255), "\"".repeat(500), "n".repeat(125));
    let names: [fn(&str, usize) -> String; 4] = [
        |_, number| format!("f{number}"),
        |amp, number| format!("{}{number:03}", &amp[..57]),
        |amp, number| format!("{}{number:03}", &amp[..252]),
        |amp, number| format!("{amp}/{amp}/{amp}/{}{number:03}", &amp[..252]),
    ];
    let notes = ["&".repeat(64 << 10), "* \"\n".repeat(16 << 10), "&\u{202e} ".repeat(13 << 10)];
    for (at, name) in names.iter().enumerate() {
        let file = |number: usize| {
            json!({"name": name(&amp, number), "blob": blob, "size": 1, "executable": true, "platform": amp, "arch": amp,
                "libc": amp, "media_type": format!("a/{}", "&".repeat(120))})
        };
        let files: Vec<_> = (0..150).map(file).collect();
        let of = format!("{n}/{}{at}", &n[..120]);
        for version in 0..3 + 50 * usize::from(at == 3) {
            let manifest = json!({"artifacts": files, "version": format!("{}{version}", "\"".repeat(100_000)),
                "metadata": {"notes": notes[version % 3]}});
            let manifest = server.put(&format!("/manifests/{of}"), manifest.to_string()).await.expect(201).json();
            let number = manifest["version"].as_u64().unwrap();
            if version > 0 {
                let yank = json!({"reason": quotes, "instead": number.to_string()}).to_string();
                server.put(&format!("/versions/{of}@{}/yank", number - 1), yank).await.expect(200);
            }
            let why = "%22".repeat(500);
            server.put(&format!("/versions/{of}@{number}/pin?reason={why}"), "").await.expect(200);
        }
        for path in [
            "/".to_owned(),
            format!("/versions/{of}"),
            format!("/versions/{of}@1"),
            format!("/versions/{of}@2"),
            format!("/versions/{of}@3"),
            format!("/versions/{of}@1/diff?to=2"),
            format!("/history/{of}"),
            format!("/refs/{of}@1?format=nothing&os={}", "%26".repeat(255)),
        ] {
            // This asserts the bound.
            open(&server, &path).await;
        }
        // Every version is on some page.
        let (mut path, mut rows) = (format!("/versions/{of}"), 0);
        loop {
            let page = browse(&server, &path).await;
            rows += page.matches("<th scope=\"row\">").count();
            let Some((_, rest)) =
                page.split_once("<a class=\"button\" href=\"").filter(|_| page.contains("Older versions"))
            else {
                break;
            };
            let older = rest.split("<a class=\"button\" href=\"").find(|part| part.contains("Older versions"));
            let older = older.unwrap_or(rest);
            path = older.split_once('"').unwrap().0.replace("&amp;", "&");
        }
        assert_eq!(rows, 3 + 50 * usize::from(at == 3));
    }
}
