//! Servers that compare the wares of a catalog with the files.

use std::sync::Arc;

use bytes::Bytes;
use larder::domain::Digest;
use larder::service::wares::{WareCheckError, WareChecks, scan};
use tokio::time::Instant;

use super::tars::gzip;
use super::wares::{LIMITS, alike, with_root};
use super::*;
use crate::support::services::Services;
use crate::support::store::FsBackend;

/// A server that compares wares.
fn comparing(directory: &TempDir) -> ServerProcess {
    let config = directory.path().join("larder.toml");
    fs::write(&config, "[[names]]\nmatch = [\"**\"]\ncatalog = true\nverify_wares = true\n").unwrap();
    ServerProcess::with(&format!("--config {}", config.display()))
}

#[test]
fn a_server_refuses_wares_that_are_not_those_of_the_files() {
    let directory = TempDir::new().unwrap();
    let (mut server, author) = (comparing(&directory), Person::with_key("author"));
    author.catalog(&server, &format!("init {NAME} -k author.key")).ok();
    let tar = with_root().end();
    author
        .write("dist/tool.tar.gz", &gzip(&tar))
        .write("dist/bad.tar", b"no tar")
        .write("dist/other.tar", &alike().end());
    let ware = scan(&tar[..], LIMITS).unwrap().ware;
    let lie = |item: &str| format!("--ware {item}={ware}");
    let add = format!("add {NAME} v1.0 dist -k author.key --json");
    let refused = author.catalog(&server, &format!("{add} {} {}", lie("bad.tar"), lie("other.tar"))).exits(1).error();
    assert_eq!((refused["code"].as_str(), refused["status"].as_u64()), (Some("WARE_ID"), Some(422)), "{refused}");
    let places: Vec<_> = refused["problems"].as_array().unwrap().iter().map(|problem| &problem["place"]).collect();
    assert_eq!(places, ["releases[0].items.bad.tar.ware", "releases[0].items.other.tar.ware"]);
    let details = refused["problems"].to_string();
    let other = scan(&alike().end()[..], LIMITS).unwrap().ware;
    assert!(details.contains(&format!("the file is {other}")) && details.contains("no sound tar"), "{details}");
    // Nothing became active, and what is true is accepted; commits stay claims.
    assert_eq!(author.catalog(&server, &format!("show {NAME} --json")).ok().json()["serial"], 1);
    let commit = format!("git:{:040x}", 7);
    author.catalog(&server, &format!("{add} {} --ware src={commit}", lie("tool.tar.gz"))).ok();
    let item = |server: &ServerProcess, item: &str| {
        server.get(&format!("/catalogs/{NAME}/releases/v1.0/items/{item}")).unwrap().json()
    };
    let verified = |server: &ServerProcess| {
        let tool = item(server, "tool.tar.gz");
        assert_eq!(tool["ware"].as_str(), Some(ware.as_str()));
        [tool, item(server, "src"), item(server, "other.tar")].map(|item| item["ware_verified"].as_bool())
    };
    assert_eq!(verified(&server), [Some(true), None, None]);
    // It is remembered in the store.
    server.kill();
    server.restart();
    assert_eq!(verified(&server), [Some(true), None, None]);
}

/// Such an archive is no longer read in one go.
#[test]
fn a_server_compares_archives_of_any_size() {
    let directory = TempDir::new().unwrap();
    let (server, author) = (comparing(&directory), Person::with_key("author"));
    author.catalog(&server, &format!("init {NAME} -k author.key")).ok();
    for (release, size) in [("v1.0", 20_000), ("v1.1", 40_000), ("v1.2", 3_000_000)] {
        author.write("dist/tool.tar", &with_root().file("./large", &vec![b'x'; size]).end());
        author.catalog(&server, &format!("add {NAME} {release} dist -k author.key --ware auto --retries 0")).ok();
        let item = server.get(&format!("/catalogs/{NAME}/releases/{release}/items/tool.tar")).unwrap().json();
        assert_eq!(item["ware_verified"], true, "{item}");
    }
}

#[test]
fn a_server_that_does_not_compare_repeats_what_is_claimed() {
    let (server, author) = (ServerProcess::start(), Person::with_key("author"));
    author.catalog(&server, &format!("init {NAME} -k author.key")).ok();
    author.write("dist/tool.tar", &with_root().end());
    author.catalog(&server, &format!("add {NAME} v1.0 dist -k author.key --ware auto")).ok();
    let item = server.get(&format!("/catalogs/{NAME}/releases/v1.0/items/tool.tar")).unwrap().json();
    assert!(item["ware"].is_string() && item["ware_verified"].is_null(), "{item}");
}

#[tokio::test]
async fn an_archive_is_read_to_its_end_even_if_nobody_waits_for_it() {
    let backend = FsBackend::quick();
    let services = Services::over(&backend.store());
    let (tar, text) = (Bytes::from(with_root().end()), Bytes::from_static(b"no tar"));
    for bytes in [&tar, &text] {
        services.upload(bytes).await.unwrap();
    }
    let checks = || WareChecks::new(backend.store(), Arc::clone(&services.blobs), LIMITS);
    let (first, tool) = (checks(), Digest::of(&tar));
    let over = Instant::now();
    assert!(matches!(first.ware_of(tool, over).await, Err(WareCheckError::Busy)));
    // The one who gave up has left the only turn to the archive, and what it is is found afterwards.
    let computed = first.ware_of(Digest::of(&text), WareChecks::deadline()).await.unwrap();
    assert!(computed.unwrap_err().contains("no sound tar"));
    let ware = scan(&tar[..], LIMITS).unwrap().ware;
    assert_eq!(first.ware_of(tool, over).await.unwrap(), Ok(ware.clone()));
    // By others, too.
    assert!(checks().is_verified(tool, &ware).await.unwrap());
    assert!(!checks().is_verified(Digest::of(&text), &ware).await.unwrap());
}
