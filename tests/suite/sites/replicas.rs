//! Several servers on one store: a server that is behind never says that something is not there.

use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use tokio::time::Instant;

use super::{ADMIN, BLOG, DOCS, Sites, configure};
use crate::support::server::TestServer;

/// How far servers may be behind.
const STALENESS: u64 = 30;

async fn two() -> (TempDir, Sites, Sites) {
    let directory = TempDir::new().unwrap();
    let start = async || {
        let server = TestServer::on(directory.path(), |config| {
            configure(config);
            config.heads.max_staleness = larder::config::Duration::from_secs(STALENESS);
        });
        let mut server = server.await;
        ADMIN.clone_into(&mut server.token);
        Sites(server)
    };
    let (one, other) = (start().await, start().await);
    (directory, one, other)
}

#[tokio::test]
async fn what_a_page_of_one_server_needs_is_found_at_another() {
    let (_directory, one, other) = two().await;
    one.publish("acme/docs", &[("index.html", "1"), ("assets/a-CjL4fkWS.js", "a")], json!({})).await;
    for round in 0..5 {
        // Known to the other server, which need not look again for half a minute.
        other.get(DOCS, "/").await.expect(200);
        other.load(DOCS, &format!("/assets/new-{round}.js")).await.expect(404);
        let (asset, text) = (format!("assets/new-{round}.js"), format!("new {round}"));
        one.publish("acme/docs", &[("index.html", &*text), (&*asset, "new")], json!({})).await;
        assert_eq!(other.load(DOCS, &format!("/{asset}")).await.expect(200).text(), "new", "{round}");
    }
}

#[tokio::test]
async fn a_first_publish_a_preview_and_a_withdrawal_are_seen_by_all() {
    let (_directory, one, other) = two().await;
    other.get(BLOG, "/").await.expect(404);
    one.publish("acme/blog", &[("index.html", "first")], json!({})).await;
    assert_eq!(other.get(BLOG, "/").await.expect(200).text(), "first");
    other.get("v2-blog.preview.example.org", "/").await.expect(404);
    one.publish("acme/blog", &[("index.html", "second")], json!({})).await;
    assert_eq!(other.get("v2-blog.preview.example.org", "/").await.expect(200).text(), "second");
}

#[tokio::test]
async fn who_reloads_a_page_gets_the_newest() {
    let (_directory, one, other) = two().await;
    one.publish("acme/docs", &[("index.html", "old")], json!({})).await;
    other.get(DOCS, "/").await.expect(200);
    one.publish("acme/docs", &[("index.html", "new")], json!({})).await;
    assert_eq!(other.get(DOCS, "/").await.text(), "old");
    for directive in ["no-cache", "max-age=0"] {
        assert_eq!(other.ask("GET", DOCS, "/", &[("cache-control", directive)]).await.text(), "new");
    }
}

#[tokio::test]
async fn a_flood_of_requests_for_nothing_takes_turns() {
    let sites = Sites::start().await;
    sites.publish("acme/docs", &[("index.html", "start")], json!({})).await;
    let began = Instant::now();
    let flood = (0..200).map(|at| {
        let sites = &sites;
        async move { sites.load(DOCS, &format!("/nothing/{at}")).await.expect(404) }
    });
    futures_util::future::join_all(flood).await;
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[tokio::test]
async fn no_rule_of_an_older_version_hides_a_new_file() {
    let (_directory, one, other) = two().await;
    let rules = "/assets/* https://old.example/:splat 302\n/data/:name /other.json 200\n";
    one.publish("acme/docs", &[("index.html", "1"), ("other.json", "other"), ("_redirects", rules)], json!({})).await;
    other.load(DOCS, "/assets/new.js").await.expect(302);
    assert_eq!(other.load(DOCS, "/data/new").await.expect(200).text(), "other");
    let files = [
        ("index.html", "2"),
        ("other.json", "other"),
        ("_redirects", rules),
        ("assets/new.js", "new"),
        ("data/new", "data"),
    ];
    one.publish("acme/docs", &files, json!({})).await;
    assert_eq!(other.load(DOCS, "/assets/new.js").await.expect(200).text(), "new");
    assert_eq!(other.load(DOCS, "/data/new").await.expect(200).text(), "data");
}

#[tokio::test]
async fn a_remembered_absence_ends_with_a_publish_by_another_server() {
    let (_directory, one, other) = two().await;
    let page =
        |text: &str| vec![("index.html".to_owned(), text.to_owned()), ("404.html".to_owned(), "gone".to_owned())];
    let publish = async |files: &[(String, String)]| {
        let files: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        one.publish("acme/docs", &files, json!({})).await
    };
    publish(&page("0")).await;
    for round in 1..=5 {
        let (path, mut files) = (format!("/assets/new-{round}.js"), page(&round.to_string()));
        let nothing = other.get(DOCS, &path).await.expect(404);
        for _ in 0..3 {
            let again = other.get(DOCS, &path).await.expect(404);
            assert_eq!((again.text().as_str(), again.lasting()), ("gone", nothing.lasting()), "{path}");
            assert_eq!(again.header("cache-control"), "no-store");
            assert_eq!(other.ask("HEAD", DOCS, &path, &[]).await.expect(404).lasting(), nothing.lasting());
        }
        files.push((path[1..].to_owned(), "new".to_owned()));
        publish(&files).await;
        assert_eq!(other.get(DOCS, &path).await.expect(200).text(), "new", "{path}");
        one.promote("acme/docs@1").await;
        // What is there may be told for as long as servers may be behind, unless the client wants the newest.
        let newest = other.ask("GET", DOCS, &path, &[("cache-control", "no-cache")]).await.expect(404);
        assert_eq!(newest.text(), "gone", "{path}");
        assert_eq!(other.get(DOCS, &path).await.expect(404).text(), "gone", "{path}");
    }
}

#[tokio::test]
async fn on_a_directory_nobody_waits_to_be_told_that_there_is_nothing() {
    let sites = Sites::start().await;
    sites.publish("acme/docs", &[("index.html", "start")], json!({})).await;
    sites.load(DOCS, "/nothing").await.expect(404);
    let began = Instant::now();
    for at in 0..100 {
        sites.load(DOCS, &format!("/nothing/{at}")).await.expect(404);
    }
    // One look each, which would be ten seconds if they were apart from each other.
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}
