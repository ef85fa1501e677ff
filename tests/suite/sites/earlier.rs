//! Pages that are open while a release changes: what they load later is still there, after a rollback too.

use serde_json::json;

use super::{BLOG, DOCS, Sites, manifest};

const IMMUTABLE: &str = "public, max-age=31536000, immutable";

async fn start() -> Sites {
    Sites::with(|config| {
        let rule = "match = ['acme/**']\nearlier_files = { for = '7days', versions = 20 }";
        config.names.push(toml::from_str(rule).unwrap());
    })
    .await
}

/// The same page twice, with another script each time.
async fn two_versions(sites: &Sites, name: &str) {
    let first =
        [("index.html", "<script src=assets/a-CjL4fkWS.js>"), ("assets/a-CjL4fkWS.js", "a"), ("old.html", "old")];
    let second =
        [("index.html", "<script src=assets/b-BTV8LsEM.js>"), ("assets/b-BTV8LsEM.js", "b"), ("new.html", "new")];
    sites.publish(name, &first, json!({"fallback": "index.html"})).await;
    sites.publish(name, &second, json!({"fallback": "index.html"})).await;
}

#[tokio::test]
async fn an_open_page_finds_its_scripts_after_a_publish_and_after_a_rollback() {
    let sites = start().await;
    two_versions(&sites, "acme/docs").await;
    let old = sites.load(DOCS, "/assets/a-CjL4fkWS.js").await.expect(200);
    assert_eq!((old.text().as_str(), old.header("cache-control")), ("a", IMMUTABLE));
    assert_eq!((old.header("larder-version"), old.header("x-robots-tag")), ("1", "noindex"));
    let tag = old.header("etag").to_owned();
    sites.ask("GET", DOCS, "/assets/a-CjL4fkWS.js", &[("if-none-match", &tag)]).await.expect(304);
    let head = sites.ask("HEAD", DOCS, "/assets/a-CjL4fkWS.js", &[]).await.expect(200);
    assert_eq!(head.header("etag"), tag);
    assert_eq!(sites.load(DOCS, "/assets/b-BTV8LsEM.js").await.expect(200).find("larder-version"), None);
    sites.promote("acme/docs@1").await;
    let newer = sites.load(DOCS, "/assets/b-BTV8LsEM.js").await.expect(200);
    assert_eq!((newer.text().as_str(), newer.header("larder-version")), ("b", "2"));
    assert_eq!(sites.load(DOCS, "/assets/a-CjL4fkWS.js").await.expect(200).find("larder-version"), None);
}

#[tokio::test]
async fn pages_of_earlier_versions_are_not_found() {
    let sites = start().await;
    two_versions(&sites, "acme/docs").await;
    sites.load(DOCS, "/old.html").await.expect(404);
    sites.get(DOCS, "/old").await.expect(404);
    // Somebody goes to an address: that is about the site as it is now.
    let page = sites.navigate(DOCS, "/assets/a-CjL4fkWS.js").await.expect(200);
    assert!(page.text().contains("b-BTV8LsEM"), "{}", page.text());
    let preview = sites.load("v2-blog.preview.example.org", "/assets/a-CjL4fkWS.js").await;
    assert_eq!(preview.status, 404);
}

#[tokio::test]
async fn a_page_that_is_not_there_hides_no_file_that_open_pages_need() {
    let sites = start().await;
    let page = |text| [("index.html", text), ("404.html", "nothing")];
    sites.publish("acme/docs", &[page("1").as_slice(), &[("old.js", "old")]].concat(), json!({})).await;
    sites.publish("acme/docs", &page("2"), json!({})).await;
    for _ in 0..3 {
        assert_eq!(sites.navigate(DOCS, "/old.js").await.expect(404).text(), "nothing");
        assert_eq!(sites.load(DOCS, "/old.js").await.expect(200).text(), "old");
        assert_eq!(sites.load(DOCS, "/other.js").await.expect(404).text(), "nothing");
    }
}

#[tokio::test]
async fn a_preview_is_one_version_and_nothing_of_others() {
    let sites = start().await;
    two_versions(&sites, "acme/blog").await;
    sites.load(BLOG, "/assets/a-CjL4fkWS.js").await.expect(200);
    for label in ["v2-blog", "live-blog"] {
        sites.load(&format!("{label}.preview.example.org"), "/assets/a-CjL4fkWS.js").await.expect(404);
    }
    sites.load("v1-blog.preview.example.org", "/assets/a-CjL4fkWS.js").await.expect(200);
}

#[tokio::test]
async fn what_is_deleted_is_gone_at_once() {
    let sites = start().await;
    two_versions(&sites, "acme/docs").await;
    sites.load(DOCS, "/assets/a-CjL4fkWS.js").await.expect(200);
    sites.0.delete("/manifests/acme/docs@1").await.expect(200);
    sites.load(DOCS, "/assets/a-CjL4fkWS.js").await.expect(404);
    sites.load(DOCS, "/assets/b-BTV8LsEM.js").await.expect(200);
}

#[tokio::test]
async fn without_the_policy_only_the_active_version_answers() {
    let sites = Sites::start().await;
    two_versions(&sites, "acme/docs").await;
    sites.load(DOCS, "/assets/a-CjL4fkWS.js").await.expect(404);
}

#[tokio::test]
async fn variants_of_earlier_files_have_no_address_either() {
    let sites = start().await;
    let files = [("index.html", "start"), ("a.js", "plain, plain"), ("a.js.br", "br")];
    for (_, text) in files {
        sites.0.put_blob(text.as_bytes()).await;
    }
    let mut first = manifest(&files, json!({}));
    first["artifacts"][2]["encoding"] = json!("br");
    first["artifacts"][2]["of"] = json!("a.js");
    sites.put_manifest("acme/docs", "", &first).await;
    sites.load(DOCS, "/a.js.br").await.expect(404);
    sites.publish("acme/docs", &[("index.html", "other")], json!({})).await;
    assert_eq!(sites.load(DOCS, "/a.js").await.expect(200).text(), "plain, plain");
    sites.load(DOCS, "/a.js.br").await.expect(404);
}
