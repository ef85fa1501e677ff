//! Days on which a catalog changes under its readers, or does not change although it should.

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, OnceLock};

use larder::config::NameRule;
use larder::domain::Digest;
use serde_json::json;

use super::*;
use crate::cli::fake::{Act, Fake};
use crate::support::process::until;
use crate::support::server::{TestServer, manifest};

#[test]
fn a_hazard_that_comes_during_a_fetch_counts_from_the_next_one() {
    let (server, author) = founded();
    let (address, tool, url) = (server.address, Digest::of(b"v1.1"), server.url());
    let (reader, authors) = (reader(&author), Arc::new((server, author)));
    let (both, warned) = (Arc::clone(&authors), OnceLock::new());
    let front = Fake::start(move |request, _| {
        if request.is("GET", &format!("/blobs/{tool}")) {
            // The catalog is verified by now, and the first file is on its way.
            warned.get_or_init(|| {
                let (server, author) = &*both;
                author.catalog(server, &format!("hazard {NAME}:v1.1 CVE-1=bad -k author.key")).ok();
            });
        }
        Act::Answer(request.pass_on(address))
    });
    let fetch =
        |url: &str, to: &str| reader.reads(url, &format!("fetch {NAME}:v1.1 -o {to} --verify-key author.pub --json"));
    // What was verified is complete and of one catalog.
    fetch(&front.url(), "out").ok();
    assert_eq!(names(&reader.path("out")), ["notes", "tool"].map(str::to_owned));
    assert_eq!(fs::read_to_string(reader.path("out/tool")).unwrap(), "v1.1");
    // The same again is refused, and so are the files that are there already.
    assert_eq!(fetch(&url, "again").exits(6).error()["code"], "HAZARD");
    assert_eq!(names(&reader.path("again")), [""; 0]);
    // From now on also where the warning is kept back.
    let stale = reader.reads(&url, &format!("fetch {NAME}:v1.1 -o offline --offline --json")).exits(6).error();
    assert_eq!((&stale["code"], &stale["hazards"]), (&json!("HAZARD"), &json!({"CVE-1": "bad"})));
}

/// A mirror that has what the server has now, and never anything newer.
fn frozen(server: &ServerProcess, directory: &Path) -> ServerProcess {
    let copied = Command::new("cp").arg("-a").arg(&server.data).arg(directory.join("data")).status().unwrap();
    assert!(copied.success());
    ServerProcess::on(&directory.join("data"))
}

#[test]
fn a_mirror_that_stands_still_is_refused_by_who_knows_more_and_after_its_time_by_everybody() {
    let (server, author) = founded();
    let places = TempDir::new().unwrap();
    fs::create_dir(places.path().join("short")).unwrap();
    let still = frozen(&server, places.path());
    author.add(&server, "v1.2", "--track stable");
    let (knowing, fresh) = (reader(&author), reader(&author));
    let verify =
        |reader: &Person, url: &str| reader.reads(url, &format!("verify {NAME} --verify-key author.pub --json")).run();
    assert_eq!(verify(&knowing, &server.url()).json()["serial"], 4);
    assert_eq!(verify(&knowing, &still.url()).error()["code"], "SERIAL_WENT_BACK");
    // Who knows nothing newer believes it until it expires, and never falls behind what it has seen afterwards.
    assert_eq!(verify(&fresh, &still.url()).json()["serial"], 3);
    assert_eq!(verify(&fresh, &server.url()).json()["serial"], 4);
    assert_eq!(verify(&fresh, &still.url()).error()["code"], "SERIAL_WENT_BACK");

    author.catalog(&server, &format!("refresh {NAME} -k author.key --expires 2s")).ok();
    let expiring = frozen(&server, &places.path().join("short"));
    let late = reader(&author);
    until("it expires", || verify(&late, &expiring.url()).code() == Some(6));
    assert_eq!(verify(&late, &expiring.url()).error()["code"], "CATALOG_EXPIRED");
    let fetch = format!("fetch {NAME}:v1.0 -o late --verify-key author.pub --json");
    assert_eq!(late.reads(&expiring.url(), &fetch).exits(6).error()["code"], "CATALOG_EXPIRED");
    assert_eq!(names(&late.path("late")), [""; 0]);
    // The author is where the time goes on.
    author.catalog(&server, &format!("refresh {NAME} -k author.key --expires 30d")).ok();
    assert_eq!(verify(&late, &server.url()).json()["serial"], 6);
}

#[test]
fn keys_whose_list_has_expired_can_still_be_listed_again() {
    let (server, author) = (ServerProcess::start(), Person::with_key("author"));
    author.catalog(&server, &format!("init {NAME} -k author.key --root-expires 6s")).ok();
    let reader = reader(&author);
    let verify = || reader.reads(&server.url(), &format!("verify {NAME} --verify-key author.pub --json")).run();
    until("the root expires", || verify().code() == Some(6));
    assert_eq!(verify().error()["code"], "ROOT_EXPIRED");
    let rotate = format!("rotate {NAME} -k author.key --new author.key --root-expires 730d");
    author.catalog(&server, &rotate).ok().says("expired");
    assert_eq!(verify().json()["root"], 2);
}

#[tokio::test]
async fn where_something_else_is_active_a_catalog_is_refused_with_the_reason() {
    let directory = TempDir::new().unwrap();
    let before = TestServer::on(directory.path(), |_| {}).await;
    before.publish(&format!("{NAME}/_catalog"), &[("notes", b"no catalog")]).await;
    assert_eq!(before.get(&format!("/catalogs/{NAME}")).await.problem(404, "CATALOG_DOCUMENT")["status"], 404);
    before.stop().await.unwrap();
    // The rules come later.
    let server = TestServer::on(directory.path(), |config| {
        let rule = NameRule { matches: vec!["**".parse().unwrap()], ..NameRule::default() };
        config.names = vec![NameRule { catalog: Some(true), ..rule }];
    })
    .await;
    server.put_blob(b"{}").await;
    let path = format!("/manifests/{NAME}/_catalog");
    let put = async |file: &str| server.put(&path, manifest(&[(file, b"{}")]).to_string()).await;
    let refused = put("catalog.json").await.problem(422, "CATALOG_DOCUMENT");
    assert!(refused["detail"].as_str().unwrap().contains("is no catalog"), "{refused:#}");
    put("another file").await.problem(422, "CATALOG_DOCUMENT");
}
