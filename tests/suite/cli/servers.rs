//! Reading from several servers: each `--server` is asked in turn, and what one does not serve another may.

use std::fs;

use serde_json::Value;
use tempfile::TempDir;
use tokio::time::{Duration, Instant};

use super::fake::{Act, Fake, Request, answer};
use super::signing::key;
use super::{everything, folder, publish};
use crate::support::process::{Larder, ServerProcess, free_port, larder};

/// A server in front of another one: what `act` does not answer itself is passed on.
fn before(server: &ServerProcess, act: impl Fn(&Request) -> Option<Act> + Send + Sync + 'static) -> Fake {
    let address = server.address;
    Fake::start(move |request, _| act(request).unwrap_or_else(|| Act::Answer(request.pass_on(address))))
}

fn dead() -> String {
    format!("http://127.0.0.1:{}", free_port())
}

/// `larder … --server A --server B`, of somebody who keeps keys in this directory.
fn reads(servers: &[&str], keys: &TempDir, arguments: &str) -> Larder {
    let servers: Vec<String> = servers.iter().map(|server| format!("--server {server}")).collect();
    let command = larder(&format!("{arguments} {} --retries 0", servers.join(" ")));
    command.within(keys).env("XDG_CONFIG_HOME", keys.path()).env("HOME", keys.path())
}

/// A server with the versions 1 and 2 of `main`, both signed, and the directory with the key.
fn signed() -> (ServerProcess, TempDir) {
    let (server, keys) = (ServerProcess::start(), key());
    for (content, serial) in [(b"1", 10), (b"2", 20)] {
        publish(&server, "main", &[("f", content)]);
        server.larder(&format!("sign main -k a.key --serial {serial}")).within(&keys).ok();
    }
    (server, keys)
}

/// The same server as it was: the first version is the newest.
fn frozen(server: &ServerProcess) -> Fake {
    let address = server.address;
    Fake::start(move |request, _| {
        let path = request.path.replace("/manifests/main", "/manifests/main@1");
        Act::Answer(Request { path, ..request.clone() }.pass_on(address))
    })
}

#[test]
fn names_and_files_come_from_whoever_has_them() {
    let (server, keys) = (ServerProcess::start(), folder(&[]));
    publish(&server, "main", &[("f", b"1"), ("g", b"2")]);
    let (dead, empty) = (dead(), ServerProcess::start());
    let servers = [&*dead, &empty.url(), &server.url()];
    let fetched = reads(&servers, &keys, "fetch main -o out --json").ok().json();
    assert_eq!((&fetched["version"], everything(&keys.path().join("out"))), (&1.into(), vec!["f".into(), "g".into()]));
    assert_eq!(reads(&servers, &keys, "get main g").ok().stdout, "2");
    assert_eq!(reads(&servers, &keys, "sums main --format hex").ok().stdout.lines().count(), 2);
    let url = reads(&servers, &keys, "get main g --url").ok().stdout;
    assert!(url.starts_with(&server.url()), "{url}");
    let told = reads(&servers, &keys, "get main").ok().stderr;
    assert!(told.contains(&dead) && told.contains(&empty.url()), "{told}");
    let variable = larder("get main f").env("LARDER_SERVER", format!("{dead}  {}", server.url()));
    assert_eq!(variable.within(&keys).ok().stdout, "1");
}

#[test]
fn files_come_from_the_next_server_where_one_is_broken() {
    let (server, keys) = (ServerProcess::start(), folder(&[]));
    publish(&server, "main", &[("f", b"first"), ("g", b"second")]);
    let broken = before(&server, |request| request.is("GET", "/blobs/").then(|| answer(200, &[], b"wrong")));
    let token = server.token();
    let good = before(&server, |_| None);
    let fetch = reads(&[&broken.url(), &good.url()], &keys, "fetch main -o out").env("LARDER_TOKEN", token);
    fetch.ok();
    assert_eq!(fs::read(keys.path().join("out/g")).unwrap(), b"second");
    // The token is one of the first server.
    assert!(broken.requests().iter().all(|request| request.header("authorization").is_some()));
    assert!(!good.requests().is_empty());
    assert!(good.requests().iter().all(|request| request.header("authorization").is_none()));
}

#[test]
fn the_newest_signed_release_wins_in_either_order() {
    let (server, keys) = signed();
    let frozen = frozen(&server);
    for servers in [[frozen.url(), server.url()], [server.url(), frozen.url()]] {
        let servers = servers.each_ref().map(String::as_str);
        let fetched = reads(&servers, &keys, "fetch main --force -o out --verify-key a.key.pub --json").ok().json();
        assert_eq!(fetched["version"], 2, "{fetched}");
    }
    let alone = reads(&[&frozen.url()], &keys, "get main f --verify-key a.key.pub --json").exits(2);
    assert_eq!(alone.error()["code"], "USAGE");
    let alone = reads(&[&frozen.url()], &keys, "fetch main -o old --verify-key a.key.pub --json").exits(6);
    assert_eq!(alone.error()["code"], "SERIAL_WENT_BACK");
}

#[test]
fn neither_a_liar_nor_a_silent_server_fails_what_another_can_serve() {
    let (server, keys) = signed();
    let (other, _) = signed();
    let silent = before(&server, |request| request.is("GET", "/manifests/main").then_some(Act::Silence));
    let began = Instant::now();
    let servers = [&*silent.url(), &other.url(), &server.url()];
    let fetched = reads(&servers, &keys, "fetch main -o out --verify-key a.key.pub --json").ok().json();
    assert!(began.elapsed() < Duration::from_secs(30));
    assert_eq!(fetched["version"], 2);
    assert_eq!(fs::read(keys.path().join("out/f")).unwrap(), b"2");
}

#[test]
fn whom_to_trust_at_the_first_use_is_said_by_one_server() {
    let (server, keys) = signed();
    // Somebody else's, with higher serials.
    let (other, _) = signed();
    publish(&other, "main", &[("f", b"3")]);
    let elsewhere = key();
    other.larder("sign main -k a.key --serial 4102444800").within(&elsewhere).ok();
    let servers = [&*server.url(), &other.url()];
    let fetch = || reads(&servers, &keys, "fetch main --force -o out --trust-on-first-use --json");
    assert_eq!([&fetch().ok().json()["version"], &fetch().ok().json()["version"]], [2, 2]);
    // Alone, it is not believed, either: the key is that of both.
    reads(&[&other.url()], &keys, "fetch main --force -o out --trust-on-first-use").exits(6);
}

#[test]
fn where_nobody_has_it_each_server_is_named() {
    let (one, other, keys) = (ServerProcess::start(), ServerProcess::start(), folder(&[]));
    let absent = reads(&[&one.url(), &other.url()], &keys, "fetch main -o out --json").exits(3).error();
    assert_eq!(absent["code"], "MANIFEST_UNKNOWN");
    let dead = dead();
    let error = reads(&[&dead, &one.url()], &keys, "fetch main -o out --json").exits(7).error();
    assert_eq!(error["code"], "NO_SOURCE");
    let servers: Vec<&Value> = error["sources"].as_array().unwrap().iter().map(|source| &source["server"]).collect();
    assert_eq!(servers, [&format!("{dead}/"), &format!("{}/", one.url())]);
}

#[test]
fn changes_go_to_one_server() {
    let (one, other, files) = (ServerProcess::start(), ServerProcess::start(), folder(&[("f", b"1")]));
    let publish = |command: Larder| command.within(&files).env("LARDER_TOKEN", one.token());
    let both = format!("{} {}", one.url(), other.url());
    let twice = format!("publish main f --server {} --server {}", one.url(), other.url());
    publish(larder(&twice)).exits(2).says("one server");
    publish(larder("publish main f").env("LARDER_SERVER", both)).ok();
    assert_eq!((one.states("main").len(), other.get("/manifests/main").unwrap().status), (1, 404));
}
