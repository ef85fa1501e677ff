//! Readers of servers and mirrors that do not tell the truth.

use std::sync::{Arc, Mutex};

use larder::domain::Digest;
use serde_json::{Value, json};

use super::*;
use crate::cli::fake::{Act, Fake, answer};
use crate::support::process::Reply;

/// What a server has of the catalog: its files, by their names.
pub fn files(server: &ServerProcess) -> Vec<(String, Vec<u8>)> {
    let manifest = server.get(&format!("/manifests/{NAME}/_catalog")).unwrap().json();
    let file = |artifact: &Value| {
        let blob = artifact["blob"].as_str().unwrap();
        (artifact["name"].as_str().unwrap().to_owned(), server.get(&format!("/blobs/{blob}")).unwrap().body)
    };
    manifest["artifacts"].as_array().unwrap().iter().map(file).collect()
}

/// A server whose catalog has these files, and that passes all else on.
pub fn liar(server: &ServerProcess, files: &[(String, Vec<u8>)]) -> Fake {
    let artifacts: Vec<Value> = files
        .iter()
        .map(|(name, bytes)| json!({"name": name, "blob": Digest::of(bytes), "size": bytes.len()}))
        .collect();
    let manifest = json!({ "artifacts": artifacts }).to_string().into_bytes();
    let (files, address) = (files.to_vec(), server.address);
    Fake::start(move |request, _| {
        if request.is("GET", &format!("/manifests/{NAME}/_catalog")) {
            let etag = ("etag".to_owned(), format!("\"{}\"", Digest::of(&manifest)));
            return Act::Answer(Reply { status: 200, headers: vec![etag], body: manifest.clone() });
        }
        let own = files.iter().find(|(_, bytes)| request.is("GET", &format!("/blobs/{}", Digest::of(bytes))));
        match own {
            Some((_, bytes)) => answer(200, &[], bytes),
            None => Act::Answer(request.pass_on(address)),
        }
    })
}

/// Replaces the content of one file.
fn with(files: &[(String, Vec<u8>)], name: &str, change: impl Fn(&[u8]) -> Vec<u8>) -> Vec<(String, Vec<u8>)> {
    assert!(files.iter().any(|(file, _)| file == name), "{name}");
    let changed =
        |(file, bytes): &(String, Vec<u8>)| (file.clone(), if file == name { change(bytes) } else { bytes.clone() });
    files.iter().map(changed).collect()
}

fn replaced(from: &str, to: &str) -> impl Fn(&[u8]) -> Vec<u8> {
    let (from, to) = (from.to_owned(), to.to_owned());
    move |bytes| {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        assert!(text.contains(&from), "{text}");
        text.replacen(&from, &to, 1).into_bytes()
    }
}

/// The code with which a reader refuses to fetch; nothing may have been written.
#[track_caller]
fn refused(reader: &Person, url: &str) -> String {
    let fetch = format!("fetch {NAME}:v1.0 -o out --verify-key author.pub --json");
    let code = reader.reads(url, &fetch).exits(6).error()["code"].as_str().unwrap().to_owned();
    assert_eq!(names(&reader.path("out")), [""; 0]);
    code
}

#[test]
fn whatever_a_server_changes_is_refused() {
    let (server, author) = founded();
    let before = files(&server);
    author.catalog(&server, &format!("hazard {NAME}:v1.1 CVE-1=bad -k author.key")).ok();
    let now = files(&server);
    let document = |change: &dyn Fn(&[u8]) -> Vec<u8>| with(&now, "catalog.json", change);
    let pretty = |bytes: &[u8]| serde_json::to_vec_pretty(&serde_json::from_slice::<Value>(bytes).unwrap()).unwrap();
    let without = |name: &str| now.iter().filter(|(file, _)| file != name).cloned().collect::<Vec<_>>();
    let half = |bytes: &[u8]| bytes[..bytes.len() / 2].to_vec();
    let hazard = r#""hazards":{"CVE-1":"bad"}"#;
    for (lie, files, code) in [
        ("the hazard is taken away", document(&replaced(hazard, r#""hazards":null"#)), "SIGNATURE_MISSING"),
        ("another name", document(&replaced("example.org/tool\"", "example.org/fool\"")), "SIGNATURE_MISSING"),
        ("another serial", document(&replaced("\"serial\":4", "\"serial\":5")), "SIGNATURE_MISSING"),
        ("written again", document(&pretty), "SIGNATURE_MISSING"),
        ("half a signature", with(&now, "catalog.json.minisig", half), "SIGNATURE_MISSING"),
        ("no signature", without("catalog.json.minisig"), "SIGNATURE_MISSING"),
        ("no root", without("metadata/1.root.json"), "ROOT_WENT_BACK"),
        (
            "another root",
            with(&now, "metadata/1.root.json", replaced("\"version\":1", "\"version\":2")),
            "ROOT_INVALID",
        ),
        ("an old catalog", before.clone(), "SERIAL_WENT_BACK"),
    ] {
        // A reader who has seen the present catalog.
        let reader = reader(&author);
        reader.reads(&server.url(), &format!("verify {NAME} --verify-key author.pub")).ok();
        assert_eq!(refused(&reader, &liar(&server, &files).url()), code, "{lie}");
        // What it has seen stays.
        assert_eq!(reader.reads(&server.url(), &format!("verify {NAME} --json")).ok().json()["serial"], 4);
    }
    // Who has seen nothing cannot know that it is an old one: it expires.
    let fresh = reader(&author);
    let old = liar(&server, &before);
    fresh.reads(&old.url(), &format!("fetch {NAME}:v1.0 -o out --verify-key author.pub")).ok();
}

#[test]
fn the_operator_goes_back_and_readers_do_not() {
    let (server, author) = founded();
    let reader = reader(&author);
    reader.reads(&server.url(), &format!("verify {NAME} --verify-key author.pub")).ok();
    server.larder(&format!("rollback {NAME}/_catalog")).ok();
    assert_eq!(refused(&reader, &server.url()), "SERIAL_WENT_BACK");
    // The author is told how to mend it.
    let add = author.catalog(&server, &format!("add {NAME} v3.0 dist -k author.key"));
    add.exits(6).says(&format!("`larder promote {NAME}/_catalog@N`"));
    let versions = server.larder(&format!("versions {NAME}/_catalog --json")).ok().json();
    let newest = &versions["versions"][0]["number"];
    server.larder(&format!("promote {NAME}/_catalog@{newest}")).ok();
    reader.reads(&server.url(), &format!("verify {NAME}")).ok();
}

#[test]
fn files_of_another_release_are_refused() {
    let (server, author) = founded();
    let (address, good) = (server.address, Digest::of(b"v1.0"));
    let seen = Arc::new(Mutex::new(false));
    let lied = seen.clone();
    let liar = Fake::start(move |request, _| {
        if request.is("GET", &format!("/blobs/{good}")) {
            *lied.lock().unwrap() = true;
            return answer(200, &[], b"v1.1");
        }
        Act::Answer(request.pass_on(address))
    });
    let reader = reader(&author);
    let fetch = format!("fetch {NAME}:v1.0:tool -o out --verify-key author.pub --json");
    assert_eq!(reader.reads(&liar.url(), &fetch).exits(6).error()["code"], "DIGEST_INVALID");
    assert!(*seen.lock().unwrap());
    assert!(!names(&reader.path("out")).contains(&"tool".to_owned()));
}

#[test]
fn an_expired_catalog_is_refused() {
    let (server, author) = (ServerProcess::start(), Person::with_key("author"));
    author.catalog(&server, &format!("init {NAME} -k author.key --expires 2s")).ok();
    let reader = reader(&author);
    let verify = || reader.reads(&server.url(), &format!("verify {NAME} --verify-key author.pub --json")).run();
    crate::support::process::until("it expires", || verify().code() == Some(6));
    assert_eq!(verify().error()["code"], "CATALOG_EXPIRED");
}
