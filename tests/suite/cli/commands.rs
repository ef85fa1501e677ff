//! What all commands have in common: JSON, errors, help; and the small commands.

use std::io::Read as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};

use larder::domain::Digest;
use serde_json::json;

use super::fake::{Fake, answer};
use super::{folder, publish};
use crate::support::process::{ServerProcess, larder};

#[test]
fn every_command_prints_one_json_document() {
    let server = ServerProcess::start();
    let data = server.data.display();
    let files = folder(&[("f", b"1"), ("g", b"2")]);
    let healthcheck = format!("healthcheck --url {}/readyz", server.url());
    let (verify, migrate) = (format!("verify --data {data}"), format!("migrate --plan --data {data}"));
    let copy = format!("copy-store {data} copied");
    let (preview, collect) = (format!("collect --dry-run --data {data}"), format!("collect --once --data {data}"));
    let probe = format!("check-store --data {data}");
    for (arguments, member) in [
        ("publish main f --dry-run", "dry_run"),
        ("publish main f", "version"),
        ("publish main g --stage", "version"),
        ("promote main@2", "generation"),
        ("rollback main", "previous"),
        ("pin main@2", "pinned"),
        ("pin --remove main@2", "pinned"),
        ("copy main latest", "manifest"),
        ("ls", "manifests"),
        ("versions main", "versions"),
        ("versions main@previous", "number"),
        ("get main", "artifacts"),
        ("get --url main f", "url"),
        ("sessions main", "sessions"),
        ("diff main@1 2", "added"),
        ("fetch main --output out", "files"),
        ("delete main@2 --yes --reason why", "retired_because"),
        ("delete latest --yes", "deleted"),
        (&healthcheck, "ready"),
        (&verify, "totals"),
        (&migrate, "steps"),
        (&copy, "summary"),
        (&preview, "totals"),
        (&collect, "totals"),
        (&probe, "checks"),
        ("man pages", "pages"),
        ("check-config --name main", "policy"),
        ("check-config", "server"),
    ] {
        let output = server.larder(arguments).arg("--json").within(&files).ok();
        assert!(output.json().get(member).is_some(), "{output:#?}");
        assert_eq!(output.stderr, "", "{output:#?}");
        assert!(output.stdout.ends_with("}\n") && !output.stdout.ends_with("\n\n"), "{output:#?}");
    }
    for arguments in ["get main f --json", "completions bash --json"] {
        assert_eq!(server.larder(arguments).exits(2).error()["code"], "USAGE");
    }
}

#[test]
fn every_error_is_one_json_document() {
    let server = ServerProcess::start();
    publish(&server, "main", &[("f", b"1")]);
    for (arguments, exit, code) in [
        ("versions absent", 3, "MANIFEST_UNKNOWN"),
        ("versions main@9", 3, "VERSION_UNKNOWN"),
        ("fetch main absent", 3, "FILE_UNKNOWN"),
        ("rollback main", 3, "VERSION_UNKNOWN"),
        ("promote main", 2, "USAGE"),
        ("delete main", 2, "USAGE"),
        ("verify --data absent", 3, "STORE_UNKNOWN"),
        ("migrate --data absent", 3, "STORE_UNKNOWN"),
        ("check-config --config absent", 2, "CONFIG_INVALID"),
        ("serve --config absent", 2, "CONFIG_INVALID"),
        ("healthcheck --url http://127.0.0.1:1/", 7, "NOT_READY"),
        ("publish", 2, "USAGE"),
        ("publish UPPER/case f", 2, "USAGE"),
        ("no-such-command", 2, "USAGE"),
        ("ls --no-such-flag", 2, "USAGE"),
    ] {
        let error = server.larder(arguments).arg("--json").exits(exit).error();
        assert_eq!(error["code"], code, "{arguments}");
        assert!(error["detail"].as_str().unwrap().len() > 10, "{arguments}: {error}");
    }
}

#[test]
fn data_goes_to_stdout_and_remarks_to_stderr() {
    let server = ServerProcess::start();
    let files = folder(&[("f", b"1")]);
    let output = server.larder("publish main f").within(&files).ok();
    assert!(output.stdout.starts_with("main@1 sha256:") && output.stdout.lines().count() == 1, "{output:#?}");
    output.says("active with 1 file");
    assert_eq!(server.larder("ls").ok().stdout, "main\n");
    let long = server.larder("ls --long").ok().stdout;
    assert!(long.starts_with("NAME") && long.lines().nth(1).unwrap().starts_with("main"), "{long}");
}

#[test]
fn unknown_and_retired_versions_are_not_found() {
    let server = ServerProcess::start();
    publish(&server, "main", &[("f", b"1")]);
    publish(&server, "main", &[("f", b"2")]);
    server.larder("delete main@1 --yes").arg("--reason").arg("it was broken").ok();
    server.larder("get main@1").exits(3);
    server.larder("fetch main@1").exits(3);
    server.larder("promote main@1").exits(3);
    server.larder("rollback main").exits(3);
    server.larder("get main@3").exits(3);
    server.larder("get absent").exits(3).says("absent");
    assert_eq!(server.larder("versions main@1 --json").ok().json()["retired_because"], "it was broken");
}

#[test]
fn an_address_for_downloads_stays_with_its_version() {
    let server = ServerProcess::start();
    publish(&server, "team/main", &[("dist/a b.tar.gz", b"old"), ("f", b"1")]);
    let file = server.larder("get --url team/main").arg("dist/a b.tar.gz").ok().stdout;
    let manifest = server.larder("get --url team/main").ok().stdout;
    let json = server.larder("get --url team/main@active f --json").ok().json();
    publish(&server, "team/main", &[("dist/a b.tar.gz", b"new")]);
    let digest = Digest::of(b"old");
    assert_eq!(file, format!("{}/blobs/{digest}/a%20b.tar.gz?type=application/gzip\n", server.url()));
    assert_eq!(manifest, format!("{}/manifests/team/main@1\n", server.url()));
    assert!(json["url"].as_str().unwrap().starts_with(&format!("{}/blobs/sha256:", server.url())), "{json}");
    let path = |url: &str| url.trim().strip_prefix(&server.url()).unwrap().to_owned();
    assert_eq!(server.get(&path(&file)).unwrap().body, b"old");
    assert!(String::from_utf8_lossy(&server.get(&path(&manifest)).unwrap().body).contains(&digest.to_string()));
    server.larder("get --url team/main absent").exits(3).says("absent");
    server.larder("get --url absent").exits(3);
}

#[test]
fn nothing_is_deleted_without_being_asked_twice() {
    let server = ServerProcess::start();
    publish(&server, "main", &[("f", b"1")]);
    server.larder("delete main").exits(2).says("--yes");
    server.larder("delete main").input("y\n").exits(2).says("--yes");
    server.larder("delete main@active --yes").exits(1).says("active");
    server.larder("pin main@1").ok();
    publish(&server, "main", &[("f", b"2")]);
    server.larder("delete main@1 --yes").exits(1).says("pinned");
    assert_eq!(server.states("main"), ["active", "archived"]);
    server.larder("delete main --yes --expect none").exits(5);
    server.larder("delete main --yes").exits(1).says("pinned");
    server.larder("pin --remove main@1").ok();
    server.larder("delete main --yes").ok();
    server.larder("get main").exits(3);
    server.larder("get main@2").exits(3);
    assert_eq!(server.states("main"), ["retired", "retired"], "what there was stays known");
}

#[test]
fn histories_and_lists_go_on_page_after_page() {
    let server = ServerProcess::start();
    let files = folder(&[("f", b"1")]);
    for version in 0..25 {
        let larder = server.larder("publish main f --label").arg(version.to_string());
        larder.env("SOURCE_DATE_EPOCH", version.to_string()).within(&files).ok();
    }
    assert_eq!(server.larder("versions main").ok().says("--all").stdout.lines().count(), 21);
    assert_eq!(server.larder("versions main --limit 3").ok().stdout.lines().count(), 4);
    assert_eq!(server.larder("versions main --all").ok().stdout.lines().count(), 26);
    assert_eq!(server.larder("versions main --all --json").ok().json()["versions"].as_array().unwrap().len(), 25);
}

#[test]
fn a_configuration_is_shown_or_its_problems_are() {
    let files = folder(&[
        ("good.toml", b"[server]\ndrain_timeout = '5s'\n"),
        ("unknown.toml", b"[server]\nport = 80\n"),
        ("bad.toml", b"[server]\nmax_connections = 0\n[limits]\nartifacts = 0\n"),
    ]);
    let check = |file: &str| larder(&format!("check-config --config {file}")).within(&files);
    let shown = check("good.toml").env("LARDER__SERVER__LISTEN", "[::1]:9").ok().stdout;
    assert!(shown.contains("drain_timeout = \"5s\"") && shown.contains("listen = \"[::1]:9\""), "{shown}");
    check("unknown.toml").exits(2).says("port");
    check("bad.toml").exits(2).says("max_connections").says("limit");
    check("good.toml").env("LARDER__SERVER__PORT", "80").exits(2).says("LARDER__*").says("`port`");
    check("absent.toml").exits(2).says("absent.toml");
    assert_eq!(super::everything(files.path()), ["bad.toml", "good.toml", "unknown.toml"], "no store is made");
}

#[test]
fn a_configuration_that_is_not_valid_starts_no_server() {
    let files = folder(&[("bad.toml", b"[log]\nfilter = 'larder=nonsense'\n"), ("typo.toml", b"[serve]\n")]);
    larder("serve --config bad.toml").within(&files).exits(2).says("log.filter");
    larder("serve --config typo.toml").within(&files).exits(2).says("serve");
    assert_eq!(super::everything(files.path()).len(), 2, "no store is made");
}

#[test]
fn a_healthcheck_says_whether_the_server_is_ready() {
    let mut server = ServerProcess::start();
    let url = server.url();
    let check = |path: &str| larder(&format!("healthcheck --url {url}{path}"));
    assert_eq!(check("/readyz").ok().stdout, "");
    check("/livez").ok();
    check("/absent").exits(7).says("not ready");
    server.kill();
    check("/readyz").exits(7).says("not ready");
    larder("healthcheck --url nonsense").exits(2).says("nonsense");
    let draining = Fake::start(|_, _| answer(503, &[], b"draining"));
    larder(&format!("healthcheck --url {}/readyz", draining.url())).exits(7);
}

#[test]
fn a_healthcheck_does_not_wait_for_ever() {
    let silent = Fake::start(|_, _| super::fake::Act::Silence);
    let began = tokio::time::Instant::now();
    larder(&format!("healthcheck --url {}", silent.url())).exits(7);
    assert!(began.elapsed().as_secs() < 10);
}

#[test]
fn a_proxy_variable_leads_no_healthcheck_astray() {
    let server = ServerProcess::start();
    let check = larder(&format!("healthcheck --url {}/readyz", server.url()));
    check.env("HTTP_PROXY", "http://127.0.0.1:1").env("http_proxy", "http://127.0.0.1:1").ok();
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let server = ServerProcess::start();
    publish(&server, "main", &[("f", &super::noise(1 << 20, 3))]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
    command.args(["get", "main", "f", "--server", &server.url()]).env_clear();
    let mut get = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut reader = get.stdout.take().unwrap();
    reader.read_exact(&mut [0]).unwrap();
    drop(reader);
    let output = get.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.status.signal()), (Some(141), None));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn text_from_elsewhere_cannot_steer_the_terminal() {
    let server = ServerProcess::start();
    let files = folder(&[("f", b"1")]);
    server.larder("publish main f --label").arg("red \u{1b}[31m alert").within(&files).ok();
    for command in ["versions main", "ls --long"] {
        let shown = server.larder(command).ok().stdout;
        assert!(shown.contains("red \\u{1b}[31m alert") && !shown.contains('\u{1b}'), "{shown:?}");
    }
    let rude = Fake::start(|_, _| answer(404, &[], br#"{"code":"X","detail":"gone \u001b[2J"}"#));
    let output = larder("ls").env("LARDER_SERVER", rude.url()).exits(3);
    assert!(!output.stderr.contains('\u{1b}'), "{:?}", output.stderr);
    assert_eq!(json!(output.stderr.lines().count()), json!(1));
}
