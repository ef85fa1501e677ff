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

/// Fills everything of a name that publishers may fill. `file` names a file by its number.
async fn fill(server: &TestServer, of: &str, versions: usize, file: impl Fn(usize) -> String) {
    let blob = server.put_blob(b"a").await;
    let (amp, quotes) = ("&".repeat(255), "\"".repeat(500));
    let notes = ["&".repeat(64 << 10), "* \"\n".repeat(16 << 10), "&\u{202e} ".repeat(13 << 10)];
    let file = |number: usize| {
        json!({"name": file(number), "blob": blob, "size": 1, "executable": true, "platform": amp, "arch": amp, "libc": amp,
            "media_type": format!("a/{}", "&".repeat(120))})
    };
    let files: Vec<_> = (0..150).map(file).collect();
    for version in 0..versions {
        let manifest = json!({"artifacts": files, "version": format!("{}{version}", "\"".repeat(100_000)),
            "metadata": {"notes": notes[version % 3]}});
        let receipt = server.put(&format!("/manifests/{of}"), manifest.to_string()).await.expect(201).json();
        let number = receipt["version"].as_u64().unwrap();
        if version > 0 {
            let yank = json!({"reason": quotes, "instead": number.to_string()}).to_string();
            server.put(&format!("/versions/{of}@{}/yank", number - 1), yank).await.expect(200);
        }
        let why = "%22".repeat(500);
        server.put(&format!("/versions/{of}@{number}/pin?reason={why}"), "").await.expect(200);
    }
}

/// The number of versions that all pages of a name list together.
async fn listed(server: &TestServer, of: &str) -> usize {
    let (mut path, mut rows) = (format!("/versions/{of}"), 0);
    loop {
        let page = browse(server, &path).await;
        rows += page.matches("<th scope=\"row\">").count();
        let Some((before, _)) = page.split_once("\" rel=\"next\">Older versions") else { return rows };
        path = before.rsplit_once("href=\"").unwrap().1.replace("&amp;", "&");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_is_larger_than_half_a_megabyte_whatever_is_in_it() {
    let server = TestServer::start().await;
    let (amp, n) = ("&".repeat(255), "n".repeat(125));
    let names: [(usize, &dyn Fn(usize) -> String); 4] = [
        (3, &|number| format!("f{number}")),
        (3, &|number| format!("{}{number:03}", &amp[..57])),
        (3, &|number| format!("{}{number:03}", &amp[..252])),
        (53, &|number| format!("{amp}/{amp}/{amp}/{}{number:03}", &amp[..252])),
    ];
    for (at, (versions, file)) in names.into_iter().enumerate() {
        let of = format!("{n}/{}{at}", &n[..120]);
        fill(&server, &of, versions, file).await;
        for path in [
            "/versions/OF",
            "/versions/OF@1",
            "/versions/OF@2",
            "/versions/OF@3",
            "/versions/OF@1/diff?to=2",
            "/history/OF",
        ] {
            // This asserts the bound.
            open(&server, &path.replace("OF", &of)).await.expect(200);
        }
        let choice = format!("/refs/{of}@1?os={}", "%26".repeat(255));
        open(&server, &choice).await.expect(300);
        open(&server, "/").await.expect(200);
        assert_eq!(listed(&server, &of).await, versions, "every version is on some page");
    }
}
