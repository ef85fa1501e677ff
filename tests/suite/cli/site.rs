//! `larder site`: what people read of hosts, and what is asked of the server.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::Instant;

use super::fake::{Act, Fake, Request, answer};
use super::{folder, publish};
use crate::support::process::{Larder, ServerProcess, write_program};

const RECORD: &str = "_larder-challenge.docs.example.org. TXT \"larder=abc\"";

/// A host that serves `acme/docs`, with these members besides.
fn host(members: Value) -> Value {
    let mut host = json!({
        "host": "docs.example.org", "name": "acme/docs", "source": "api", "state": "live",
        "url": "https://docs.example.org/",
        "challenge": {"record": "_larder-challenge.docs.example.org", "text": "larder=abc"},
    });
    let Value::Object(members) = members else { panic!("{members} has no members") };
    host.as_object_mut().unwrap().extend(members);
    host
}

fn found(document: &Value) -> Act {
    answer(200, &[("content-type", "application/json")], document.to_string().as_bytes())
}

fn absent() -> Act {
    let problem = json!({"code": "HOST_UNKNOWN", "detail": "There is no such host."});
    answer(404, &[("content-type", "application/problem+json")], problem.to_string().as_bytes())
}

/// What `/sites` answers here; everything else is the real server's.
fn way(server: &ServerProcess, sites: impl Fn(&Request, usize) -> Act + Send + Sync + 'static) -> Fake {
    let address = server.address;
    let seen = std::sync::atomic::AtomicUsize::new(0);
    Fake::start(move |request, _| {
        if request.path.starts_with("/sites") {
            return sites(request, seen.fetch_add(1, std::sync::atomic::Ordering::SeqCst));
        }
        Act::Answer(request.pass_on(address))
    })
}

fn site(server: &ServerProcess, way: &Fake, arguments: &str) -> Larder {
    server.larder(&format!("site {arguments}")).env("LARDER_SERVER", way.url())
}

fn with_previews(sites: &[Value], read: &str) -> Value {
    let previews = json!({"domain": "preview.example.org", "label": "docs", "read": read});
    json!({"sites": sites, "next": null, "previews": previews})
}

#[test]
fn hosts_are_listed_page_by_page() {
    let server = ServerProcess::start();
    let way = way(&server, |request, _| {
        if request.path.contains("after=") {
            let redirect = json!({"host": "www.example.org", "redirect_to": "docs.example.org", "state": "pending"});
            return found(&json!({"sites": [host(redirect)], "next": null}));
        }
        found(&json!({"sites": [host(json!({"name": "acme/docs@17"}))], "next": "docs.example.org"}))
    });
    let shown = site(&server, &way, "ls acme/docs").ok().stdout;
    let rows: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0][..4], ["HOST", "SERVES", "STATE", "SOURCE"]);
    assert_eq!(rows[1][..4], ["docs.example.org", "acme/docs@17", "live", "api"]);
    assert_eq!(rows[2][..4], ["www.example.org", "->", "docs.example.org", "pending"]);
    assert!(way.requests().iter().all(|request| request.path.contains("name=acme")), "{:?}", way.requests());
    let narrow = site(&server, &way, "ls").env("COLUMNS", "60").ok().stdout;
    assert!(narrow.lines().all(|line| line.chars().count() <= 60), "{narrow}");
    let document = site(&server, &way, "ls --json").ok().json();
    assert_eq!(document["sites"].as_array().unwrap().len(), 2);
    site(&server, &way, "ls acme/docs@17").exits(2).says("leave out @17");
}

#[test]
fn a_host_is_pointed_and_says_what_is_left_to_do() {
    let server = ServerProcess::start();
    let way = way(&server, |request, _| {
        let wanted: Value = serde_json::from_slice(&request.body).unwrap();
        found(&match wanted["name"].as_str().unwrap() {
            "acme/docs@16" => host(json!({"name": "acme/docs@16", "challenge": null})),
            "acme/docs" => host(json!({"state": "pending"})),
            name => host(json!({"pending": [{
                "name": name, "by": "token:x", "at": "2026-05-14T18:20:00Z", "until": "2026-05-21T18:20:00Z",
                "challenge": {"record": "_larder-challenge.docs.example.org", "text": "larder=def"},
            }]})),
        })
    });
    let done = site(&server, &way, "point DOCS.example.org acme/docs@16 --reason").arg("the search is broken").ok();
    assert_eq!(done.stdout, "docs.example.org serves acme/docs@16\n");
    let put = &way.requests_of("PUT", "/sites/docs.example.org")[0];
    let sent: Value = serde_json::from_slice(&put.body).unwrap();
    assert_eq!(sent, json!({"name": "acme/docs@16", "reason": "the search is broken"}));
    assert!(put.header("authorization").is_some());

    let new = site(&server, &way, "point docs.example.org acme/docs").ok();
    assert_eq!(new.stdout, format!("docs.example.org waits for this record:\n{RECORD}\n"));
    assert!(new.stderr.contains("larder site verify docs.example.org --wait 10min"), "{}", new.stderr);
    let other = site(&server, &way, "point docs.example.org other").ok().says("serves acme/docs as before");
    assert!(other.stdout.contains("larder=def"), "{}", other.stdout);
    site(&server, &way, "point docs.example.org x --redirect-to www.example.org --redirect-policy www").exits(2);
    site(&server, &way, "point docs/example x").exits(2).says("such as docs.example.org");
}

#[test]
fn a_record_is_waited_for() {
    let server = ServerProcess::start();
    let late = way(&server, |_, before| found(&host(json!({"state": if before < 1 { "pending" } else { "live" }}))));
    let started = Instant::now();
    let shown = site(&server, &late, "verify docs.example.org --wait 1min").ok().says("looking again");
    assert_eq!(shown.stdout, "docs.example.org serves acme/docs\n");
    assert!(started.elapsed() >= Duration::from_secs(1), "not asked for without a pause");
    assert_eq!(late.requests_of("POST", "/sites/docs.example.org/verify").len(), 2);

    let never = way(&server, |_, _| found(&host(json!({"state": "pending"}))));
    site(&server, &never, "verify docs.example.org").exits(1).says(RECORD);
    let error = site(&server, &never, "verify docs.example.org --json --wait 1s").exits(1).error();
    assert_eq!((&error["code"], &error["records"]), (&json!("HOST_UNVERIFIED"), &json!([RECORD])));
    let unknown = way(&server, |_, _| absent());
    site(&server, &unknown, "verify docs.example.org --wait 1min").exits(3);
}

#[test]
fn a_host_is_shown_with_its_history_and_detached() {
    let server = ServerProcess::start();
    let way = way(&server, |request, _| {
        if request.method == "DELETE" {
            return answer(204, &[], b"");
        }
        let change = json!({"action": "point", "at": "2026-05-14T18:20:00Z", "by": "token:ops", "name": "acme/docs@16",
            "reason": "broken \u{202e}search"});
        found(&host(json!({"site": "docs", "previews": with_previews(&[], "token")["previews"], "by": "token:ops",
            "at": "2026-05-14T18:20:00Z", "history": [change]})))
    });
    let shown = site(&server, &way, "show docs.example.org").ok().stdout;
    for text in [
        "docs.example.org serves acme/docs\n",
        "\n  state       live\n",
        "https://v17-docs.preview.example.org/",
        RECORD,
        "  2026-05-14T18:20:00Z  token:ops  point acme/docs@16: broken \\u{202e}search",
    ] {
        assert!(shown.contains(text), "{text:?} is not in {shown}");
    }
    assert_eq!(site(&server, &way, "rm docs.example.org --reason moved").ok().stdout, "docs.example.org detached\n");
    assert_eq!(way.requests_of("DELETE", "/sites").last().unwrap().path, "/sites/docs.example.org?reason=moved");
}

/// A server with a version that is a site, one that is staged, and one that is none.
fn published() -> ServerProcess {
    let server = ServerProcess::start();
    let files = folder(&[("p/index.html", b"i"), ("q/index.html", b"j")]);
    server.larder("publish acme/docs p --kind static").within(&files).ok();
    server.larder("publish acme/docs q --kind static --label v2 --stage").within(&files).ok();
    publish(&server, "acme/tool", &[("f", b"1")]);
    server
}

#[test]
fn the_address_of_a_preview_depends_on_what_is_asked_for() {
    let server = published();
    let way = way(&server, |_, _| found(&with_previews(&[], "token")));
    for (target, marker) in [
        ("acme/docs", "live"),
        ("acme/docs@1", "v1"),
        ("acme/docs@v2", "v2"),
        ("acme/docs@next", "next"),
        ("acme/docs@active", "live"),
    ] {
        let shown = site(&server, &way, &format!("preview {target}")).ok().says("the password is a token");
        assert_eq!(shown.stdout, format!("https://{marker}-docs.preview.example.org/\n"), "{target}");
    }
    site(&server, &way, "preview acme/docs@9").exits(3);
    site(&server, &way, "preview acme/tool").exits(3).says("is no site");
    server.larder("delete acme/docs@2 --yes").ok();
    site(&server, &way, "preview acme/docs@2").exits(3).says("retired");
    let none = self::way(&server, |_, _| found(&json!({"sites": [], "next": null})));
    site(&server, &none, "preview acme/docs@1").exits(3).says("no preview hosts");
}

/// A desktop whose browser writes down what it is to open.
fn desktop() -> TempDir {
    let home = TempDir::new().unwrap();
    write_program(&home.path().join("bin/xdg-open"), b"#!/bin/sh\necho \"$@\" >> \"$HOME/opened\"\n");
    home
}

fn at(home: &Path, command: Larder) -> Larder {
    let path = format!("{}:/usr/bin:/bin", home.join("bin").display());
    command.env("PATH", path).env("HOME", home).env("DISPLAY", ":0")
}

#[test]
fn a_site_is_opened_where_there_is_a_browser() {
    let server = published();
    let way = way(&server, |request, _| match &*request.path {
        path if path.starts_with("/sites?") => {
            found(&with_previews(&[host(json!({"name": "acme/docs@1"})), host(json!({}))], "public"))
        }
        "/sites/docs.example.org" => found(&host(json!({}))),
        "/sites/new.example.org" => found(&host(json!({"host": "new.example.org", "state": "pending"}))),
        "/sites/odd.example.org" => found(&host(json!({"url": "file:///etc/passwd"}))),
        _ => absent(),
    });
    let home = desktop();
    let live = "https://docs.example.org/";
    let preview = "https://v1-docs.preview.example.org/";
    for (what, url) in [("docs.example.org", live), ("acme/docs", live), ("acme/docs@1", preview)] {
        let shown = at(home.path(), site(&server, &way, &format!("open {what}"))).ok();
        assert_eq!(shown.stdout, format!("{url}\n"), "{what}");
    }
    assert_eq!(fs::read_to_string(home.path().join("opened")).unwrap(), format!("{live}\n{live}\n{preview}\n"));
    assert_eq!(at(home.path(), site(&server, &way, "open acme/docs --print")).ok().stdout, format!("{live}\n"));
    site(&server, &way, "open acme/docs").ok().says("no desktop");
    at(home.path(), site(&server, &way, "open odd.example.org")).exits(1).says("no address of a page");
    at(home.path(), site(&server, &way, "open new.example.org")).exits(1).says("larder site verify new.example.org");
    at(home.path(), site(&server, &way, "open absent.example.org")).exits(3);
    assert_eq!(fs::read_to_string(home.path().join("opened")).unwrap().lines().count(), 3);
}
