//! Pages of releases lead to the hosts that serve them.

use larder::domain::Digest;
use reqwest::Method;
use serde_json::json;

use super::Sites;
use crate::support::server::send;

const HTML: &str = "text/html,*/*;q=0.8";

impl Sites {
    async fn page(&self, path: &str) -> String {
        send(self.0.anonymous(Method::GET, path).header("accept", HTML)).await.expect(200).text()
    }
}

fn link(host: &str) -> String {
    format!("<a href=\"https://{host}/\">{host}</a>")
}

#[tokio::test]
async fn pages_lead_to_the_hosts_that_serve_the_version_and_to_its_preview() {
    let sites = Sites::start().await;
    for text in ["one", "two"] {
        sites.publish("acme/docs", &[("index.html", text)], json!({})).await;
    }
    let (live, preview) = (link("docs.example.org"), link("v2-docs.preview.example.org"));
    for path in ["/versions/acme/docs", "/versions/acme/docs@2"] {
        let page = sites.page(path).await;
        assert!(page.contains(&format!("{live}, {}", link("manual.example.org"))), "{page}");
        assert!(page.contains(&format!("{preview}, with a password")), "{page}");
        assert!(!page.contains("www.docs.example.org"), "it only redirects");
    }
    let older = sites.page("/versions/acme/docs@1").await;
    assert!(!older.contains(&live) && older.contains(&link("v1-docs.preview.example.org")), "{older}");
    sites.promote("acme/docs@1").await;
    assert!(sites.page("/versions/acme/docs@1").await.contains(&live), "as soon as it is active");

    sites.publish("acme/blog", &[("index.html", "x")], json!({})).await;
    let blog = sites.page("/versions/acme/blog").await;
    assert!(blog.contains(&link("v1-blog.preview.example.org")) && !blog.contains("with a password"), "{blog}");
    sites.publish("pr/1234", &[("index.html", "x")], json!({})).await;
    let pull = sites.page("/versions/pr/1234@1").await;
    assert!(pull.contains(&link("v1-przs1234.pr.example.org")) && !pull.contains("Served at"), "{pull}");
}

#[tokio::test]
async fn what_is_no_site_leads_nowhere() {
    let sites = Sites::start().await;
    sites.publish("other", &[("index.html", "x")], json!({})).await;
    sites.0.put_blob(b"x").await;
    let files = json!({"artifacts": [{"name": "index.html", "blob": Digest::of(b"x"), "size": 1}]});
    sites.put_manifest("acme/docs", "", &files).await;
    for path in ["/versions/other", "/versions/acme/docs", "/versions/acme/docs@1"] {
        let page = sites.page(path).await;
        assert!(!page.contains("Served at") && !page.contains("Preview"), "{path}: {page}");
    }
}
