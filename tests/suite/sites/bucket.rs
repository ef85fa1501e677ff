//! Sites whose files are in a bucket: everything is as on a disk, and no visitor ever sees the bucket.

use std::time::Duration;

use larder::config::{self, Bucket, Config, Delivery};
use larder::domain::Digest;
use serde_json::json;
use tokio::time::timeout;

use super::{ADMIN, DOCS, Page, Sites, configure, tag};
use crate::support::ceph::Ceph;
use crate::support::faulty::{FaultyStore, Op};
use crate::support::replicas::Replicas;
use crate::support::s3::S3Model;
use crate::support::store::Store;

const ONE: &str = "assets/a-CjL4fkWS.js";
const TWO: &str = "assets/b-BTV8LsEM.js";
const IMMUTABLE: &str = "public, max-age=31536000, immutable";

/// A server that sends clients of downloads to the bucket.
async fn server(store: &Store, change: impl FnOnce(&mut Config)) -> Sites {
    let mut server = Replicas::new()
        .with(store, |config| {
            configure(config);
            let bucket = Bucket { delivery: Delivery::Redirect, ..Bucket::default() };
            config.store = config::Store::S3(Box::new(bucket));
            let rule = "match = ['acme/**']\nearlier_files = { for = '7days' }";
            config.names.push(toml::from_str(rule).unwrap());
            change(config);
        })
        .await;
    ADMIN.clone_into(&mut server.token);
    Sites(server)
}

/// An answer with all bytes of a file, from this server.
fn is_file(page: Page, text: &str, kept: &str) {
    let page = page.expect(200);
    assert_eq!((page.text().as_str(), page.header("cache-control")), (text, kept));
    assert_eq!((page.header("etag"), page.find("location")), (&*tag(text), None));
}

async fn is_published_browsed_and_taken_back(store: &Store) {
    let (one, other) = (server(store, |_| {}).await, server(store, |_| {}).await);
    let large = "0123456789".repeat(100_000);
    let rules = ("_redirects", "/old /new 302\n");
    one.publish("acme/docs", &[("index.html", "1"), (ONE, "a"), ("large.bin", &large), rules], json!({})).await;
    for _ in 0..2 {
        is_file(one.get(DOCS, "/").await, "1", "no-cache");
        is_file(other.load(DOCS, &format!("/{ONE}")).await, "a", IMMUTABLE);
        is_file(other.load(DOCS, "/large.bin").await, &large, "no-cache");
        let part = other.ask("GET", DOCS, "/large.bin", &[("range", "bytes=999990-")]).await.expect(206);
        assert_eq!(part.text(), "0123456789");
        other.ask("GET", DOCS, "/large.bin", &[("if-none-match", &tag(&large))]).await.expect(304);
        other.ask("HEAD", DOCS, "/large.bin", &[]).await.expect(200);
        assert_eq!(one.get(DOCS, "/old").await.expect(302).header("location"), "/new");
        other.load(DOCS, "/nothing.js").await.expect(404);
    }
    // Downloads of the same bytes are sent to the bucket.
    let blob = format!("/blobs/{}", Digest::of(large.as_bytes()));
    assert!(one.0.get(&blob).await.expect(307).header("location").contains("X-Amz-Signature"));

    // The other server is behind, and nobody notices.
    one.publish("acme/docs", &[("index.html", "2"), (TWO, "b")], json!({})).await;
    is_file(other.load(DOCS, &format!("/{TWO}")).await, "b", IMMUTABLE);
    is_file(other.load(DOCS, &format!("/{ONE}")).await, "a", IMMUTABLE);
    other.load(DOCS, "/large.bin").await.expect(200);
    one.promote("acme/docs@1").await;
    is_file(other.load(DOCS, &format!("/{TWO}")).await, "b", IMMUTABLE);
    is_file(one.get(DOCS, "/").await, "1", "no-cache");
    one.0.delete("/manifests/acme/docs@2").await.expect(200);
    one.load(DOCS, &format!("/{TWO}")).await.expect(404);
    // It may still take the version for the active one.
    tokio::time::sleep(Duration::from_secs(1)).await;
    other.load(DOCS, &format!("/{TWO}")).await.expect(404);
}

/// Whether what was sent once is kept: in a bucket every look costs a request.
#[tokio::test]
async fn pages_that_are_asked_for_again_cost_no_request_to_the_bucket() {
    let model = S3Model::start().await;
    let faulty = FaultyStore::over(&model.store().await);
    let sites = server(&faulty.store(), |config| {
        config.heads.max_staleness = config::Duration::from_secs(60);
    })
    .await;
    sites.publish("acme/docs", &[("index.html", "1"), (ONE, "a"), ("about.html", "about")], json!({})).await;
    let visit = async || {
        for path in ["/", "/about", &format!("/{ONE}"), "/about.html"] {
            let page = timeout(Duration::from_secs(20), sites.get(DOCS, path)).await.expect("in time");
            assert!(matches!(page.status, 200 | 308), "{}", page.head);
            sites.ask("HEAD", DOCS, path, &[]).await;
        }
    };
    visit().await;
    faulty.reset();
    visit().await;
    assert_eq!(faulty.calls(Op::Get) + faulty.calls(Op::Head) + faulty.calls(Op::List), 0, "{}", faulty.breakdown());
}

#[tokio::test]
async fn a_site_in_a_bucket_is_a_site() {
    is_published_browsed_and_taken_back(&S3Model::start().await.store().await).await;
}

#[tokio::test]
#[ignore = "needs Ceph: .ci/run installs it and runs this; by hand: cargo test -- --ignored"]
async fn a_site_in_a_real_bucket_is_a_site() {
    let ceph = Ceph::start().await;
    is_published_browsed_and_taken_back(&ceph.store().await).await;
    ceph.finish().await;
}
