//! A version that becomes active again while somebody is told that the present one lacks a file of it.

use std::time::Duration;

use larder::domain::Digest;
use larder::layout::LayoutKey;
use serde_json::json;
use tokio::time::timeout;

use super::{ADMIN, DOCS, Sites, configure, manifest};
use crate::support::faulty::{FaultyStore, Op, Rule};
use crate::support::replicas::Replicas;

use crate::support::store::{FsBackend, Store};

const SCRIPT: &str = "assets/b-BTV8LsEM.js";

async fn server(store: &Store) -> Sites {
    let mut server = Replicas::new()
        .with(store, |config| {
            configure(config);
            config.heads.max_staleness = larder::config::Duration::from_secs(60);
            let rule = "match = ['acme/**']\nearlier_files = { for = '7days' }";
            config.names.push(toml::from_str(rule).unwrap());
        })
        .await;
    ADMIN.clone_into(&mut server.token);
    Sites(server)
}

/// Asks a server, which is behind, for a file of the first version. While it reads the manifest of the third one, which is
/// the newest then and lacks the file, the first one becomes active again. Returns the status.
async fn ask_during_a_rollback(ask: impl AsyncFn(&Sites) -> u16) -> u16 {
    let backend = FsBackend::quick();
    let faulty = FaultyStore::over(&backend.store());
    let (writer, reader) = (server(&backend.store()).await, server(&faulty.store()).await);
    writer.publish("acme/docs", &[("index.html", "1"), (SCRIPT, "b")], json!({})).await;
    writer.publish("acme/docs", &[("index.html", "2")], json!({})).await;
    assert_eq!(reader.get(DOCS, "/").await.text(), "2");
    let newest = manifest(&[("index.html", "3")], json!({}));
    let digest = Digest::of(newest.to_string().as_bytes());
    writer.publish("acme/docs", &[("index.html", "3")], json!({})).await;
    let stall = faulty.stall(Rule::on(Op::Get).key(LayoutKey::Blob(digest, 0).key().as_str()).nth(1));
    let rollback = async {
        timeout(Duration::from_secs(20), stall.reached()).await.expect("it looks at the newest version");
        reader.promote("acme/docs@1").await;
        stall.release();
    };
    let (status, ()) = tokio::join!(ask(&reader), rollback);
    status
}

#[tokio::test]
async fn a_page_finds_its_script_although_its_version_is_no_earlier_one_any_more() {
    let status = ask_during_a_rollback(async |sites| sites.load(DOCS, &format!("/{SCRIPT}")).await.status).await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn so_do_those_who_ask_the_interface() {
    let path = format!("/refs/acme/docs@active/{SCRIPT}");
    let status = ask_during_a_rollback(async |sites| sites.0.get(&path).await.status.as_u16()).await;
    assert_eq!(status, 307);
}
