//! Files that clients keep for a year stay as they are.

use serde_json::json;

use super::{DOCS, Sites, manifest};

const HASHED: &str = "assets/a-CjL4fkWS.js";

fn files(script: &'static str) -> [(&'static str, &'static str); 2] {
    [("index.html", "start"), (HASHED, script)]
}

#[tokio::test]
async fn what_clients_keep_cannot_change_under_its_name() {
    let sites = Sites::start().await;
    sites.publish("acme/docs", &files("one"), json!({})).await;
    sites.0.put_blob(b"two").await;
    let changed = manifest(&files("two"), json!({}));
    for query in ["", "?activate=false"] {
        let path = format!("/manifests/acme/docs{query}");
        let problem = sites.0.put(&path, changed.to_string()).await.problem(409, "IMMUTABLE_CHANGED");
        assert_eq!(problem["files"], json!([{"name": HASHED, "version": 1}]));
        assert!(problem["detail"].as_str().unwrap().contains(HASHED));
    }
    // Before anything of it is uploaded.
    let unknown = manifest(&files("three, which is nowhere"), json!({}));
    sites.0.post("/sessions/acme/docs", &unknown).await.problem(409, "IMMUTABLE_CHANGED");
    assert_eq!(sites.load(DOCS, &format!("/{HASHED}")).await.expect(200).text(), "one");
    // The same under another name is fine, and so are other files.
    let renamed = [("index.html", "other"), ("assets/b-BTV8LsEM.js", "two"), (HASHED, "one")];
    sites.publish("acme/docs", &renamed, json!({})).await;
    // Another name has other clients.
    sites.publish("acme/blog", &files("two"), json!({})).await;
}

#[tokio::test]
async fn what_is_demoted_may_change_and_clients_ask_for_it() {
    let sites = Sites::start().await;
    sites.publish("acme/docs", &files("one"), json!({"immutable": ["fixed/*"]})).await;
    sites.publish("acme/docs", &files("two"), json!({"revalidate": [HASHED]})).await;
    let page = sites.load(DOCS, &format!("/{HASHED}")).await.expect(200);
    assert_eq!((page.text().as_str(), page.header("cache-control")), ("two", "no-cache"));
    // Going back is no publish.
    sites.promote("acme/docs@1").await;
    assert_eq!(sites.load(DOCS, &format!("/{HASHED}")).await.expect(200).text(), "one");
}

#[tokio::test]
async fn what_was_immutable_by_the_settings_stays_so_whatever_new_settings_say() {
    let sites = Sites::start().await;
    let files = |text: &'static str| [("index.html", "start"), ("fixed/x.js", text)];
    sites.publish("acme/docs", &files("one"), json!({"immutable": ["fixed/*"]})).await;
    sites.0.put_blob(b"two").await;
    let publish = |settings| sites.0.put("/manifests/acme/docs", manifest(&files("two"), settings).to_string());
    let problem = publish(json!({})).await.problem(409, "IMMUTABLE_CHANGED");
    assert_eq!(problem["files"], json!([{"name": "fixed/x.js", "version": 1}]));
    publish(json!({"revalidate": ["fixed/x.js"]})).await.expect(201);
}

#[tokio::test]
async fn staged_versions_count_as_well() {
    let sites = Sites::start().await;
    sites.stage("acme/docs", &files("one")).await;
    sites.0.put_blob(b"two").await;
    let changed = manifest(&files("two"), json!({})).to_string();
    sites.0.put("/manifests/acme/docs", changed).await.problem(409, "IMMUTABLE_CHANGED");
    sites.0.get("/manifests/acme/docs").await.expect(404);
}
