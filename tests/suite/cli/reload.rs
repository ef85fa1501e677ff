//! A server that reads its configuration again on SIGHUP.

use std::fs;

use larder::domain::Digest;
use rustix::process::Signal;
use tempfile::TempDir;

use super::{folder, publish};
use crate::support::process::{ServerProcess, exchange, until};

/// What the log says of a configuration that was taken over, and of one that was not.
const TAKEN: &str = "read the configuration again";
const REFUSED: &str = "the configuration was not taken over";

/// A server and its configuration file.
struct Configured {
    server: ServerProcess,
    files: TempDir,
}

impl Configured {
    fn start(text: &str) -> Self {
        let files = folder(&[("larder.toml", text.as_bytes())]);
        let server = ServerProcess::with(&format!("--config {}", files.path().join("larder.toml").display()));
        Self { server, files }
    }

    /// Writes another configuration and has it read, without waiting.
    fn ask(&self, text: &str) {
        fs::write(self.files.path().join("larder.toml"), text).unwrap();
        self.server.signal(Signal::HUP);
    }

    /// Writes another configuration and waits until it is taken over, or refused.
    fn read(&self, text: &str, outcome: &str) {
        let count = || self.server.log().matches(outcome).count();
        let before = count();
        self.ask(text);
        until("the configuration is read", || count() > before);
    }

    /// The status that a GET has, with a token or without one.
    fn status(&self, path: &str, token: Option<&str>) -> u16 {
        let field = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
        let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{field}\r\n");
        exchange(self.server.address, &head, &[]).unwrap().status
    }

    /// The status of a request that only an admin may make.
    fn admin_status(&self, token: &str) -> u16 {
        self.status("/collector/runs", Some(token))
    }
}

/// The configuration of a token that may do everything.
fn token(id: &str) -> String {
    let hash = Digest::of(format!("secret of {id}").as_bytes()).hex();
    format!("[[access.tokens]]\nid = \"{id}\"\nsha256 = \"{hash}\"\nactions = [\"admin\"]\n")
}

#[test]
fn tokens_are_added_and_removed() {
    let configured = Configured::start(&token("one"));
    let (one, other) = ("secret of one", "secret of other");
    assert_eq!([configured.admin_status(one), configured.admin_status(other)], [200, 401]);
    configured.read(&(token("one") + &token("other")), TAKEN);
    assert_eq!([configured.admin_status(one), configured.admin_status(other)], [200, 200]);
    configured.read(&token("other"), TAKEN);
    assert_eq!([configured.admin_status(one), configured.admin_status(other)], [401, 200]);
    assert!(!configured.server.log().contains("secret"), "{}", configured.server.log());
}

#[test]
fn the_admin_token_counts_only_while_no_token_is_configured() {
    let configured = Configured::start("");
    let admin = configured.server.token();
    assert_eq!(configured.admin_status(&admin), 200);
    configured.read(&token("one"), TAKEN);
    assert_eq!([configured.admin_status(&admin), configured.admin_status("secret of one")], [401, 200]);
    configured.read("", TAKEN);
    assert_eq!([configured.admin_status(&admin), configured.admin_status("secret of one")], [200, 401]);

    let configured = Configured::start(&token("one"));
    assert!(!configured.server.token_file().exists());
    configured.read("", TAKEN);
    assert_eq!(configured.admin_status(&configured.server.token()), 200);
}

#[test]
fn what_becomes_private_is_private_at_once_even_if_it_was_just_read() {
    let configured = Configured::start("");
    publish(&configured.server, "main", &[("f", b"1")]);
    let admin = configured.server.token();
    let paths = ["/manifests/main".to_owned(), "/versions/main".to_owned(), format!("/blobs/{}", Digest::of(b"1"))];
    let statuses = |token: Option<&str>| paths.each_ref().map(|path| configured.status(path, token));
    let private = "[access]\nblob_reads = \"token\"\n[[names]]\nmatch = [\"**\"]\nread = \"token\"\n";
    for _ in 0..3 {
        // Twice, so that the second answer comes from memory.
        assert_eq!([statuses(None), statuses(None)], [[200; 3]; 2]);
        configured.read(private, TAKEN);
        assert_eq!((statuses(None), statuses(Some(&admin))), ([401; 3], [200; 3]));
        assert_eq!(statuses(None), [401; 3], "an answer to one who may is not given to others");
        configured.read("", TAKEN);
    }
}

#[test]
fn the_collector_goes_by_the_new_retention() {
    let collector = "[collector]\ninterval = \"50ms\"\nmin_age = \"1h\"\n";
    let mut configured = Configured::start(collector);
    // A run that finds the first name of a store between its mark and its first head fails, and says so.
    configured.server.may_log_errors = true;
    for text in ["1", "2", "3"] {
        publish(&configured.server, "main", &[("f", text.as_bytes())]);
    }
    let completed = || configured.server.log().matches("\"message\":\"collected\"").count();
    let before = completed();
    until("two runs", || completed() > before + 2);
    assert_eq!(configured.server.states("main"), ["active", "archived", "archived"]);
    let rules = "[[names]]\nmatch = [\"main\"]\nkeep_last = 1\n[[names]]\nmatch = [\"**\"]\nkeep_for = \"0s\"\n";
    configured.read(&format!("{collector}{rules}"), TAKEN);
    until("two versions are retired", || configured.server.states("main") == ["active", "retired", "retired"]);
}

#[test]
fn an_invalid_configuration_changes_nothing_and_is_logged() {
    let mut configured = Configured::start(&token("one"));
    configured.server.may_log_errors = true;
    let reserved = token("admin");
    for (text, problem) in [
        ("[server]\nlissten = 1", "lissten"),
        (reserved.as_str(), "call it something else"),
        ("[log]\nfilter = \"a=b=c\"", "log.filter"),
        ("[[collector.retention]]\nnames = [\"**\"]", "[[names]]"),
    ] {
        configured.read(text, REFUSED);
        let log = configured.server.log();
        let refusal = log.lines().rfind(|line| line.contains(REFUSED)).unwrap();
        assert!(refusal.contains(problem), "{refusal}");
        assert_eq!(configured.admin_status("secret of one"), 200);
    }
    let before = configured.server.log().matches(REFUSED).count();
    fs::remove_file(configured.files.path().join("larder.toml")).unwrap();
    configured.server.signal(Signal::HUP);
    until("a file that is gone is noticed", || configured.server.log().matches(REFUSED).count() > before);
    assert_eq!(configured.admin_status("secret of one"), 200);
    assert!(!configured.server.token_file().exists(), "nothing was taken over, so no admin token was made");
    configured.read(&token("other"), TAKEN);
    assert_eq!(configured.admin_status("secret of other"), 200);
}

#[test]
fn a_host_becomes_another_and_nothing_of_before_is_kept() {
    let configured = Configured::start("");
    let site = "[server]\napi_hosts = [\"y\"]\n[[sites]]\nid = \"docs\"\nhosts = [\"x\"]\nname = \"docs\"\n";
    assert_eq!(configured.status("/manifests", None), 200);
    for (text, status) in [("[server]\napi_hosts = [\"y\"]\n", 421), ("", 200), (site, 404), ("", 200)] {
        configured.read(text, TAKEN);
        // Twice, so that an answer that is kept is asked for before it is not valid any more.
        for _ in 0..2 {
            assert_eq!(configured.status("/manifests", None), status, "{text}");
        }
    }
    assert!(!configured.server.log().contains("when the server is started again"));
}

#[test]
fn what_needs_a_restart_is_named() {
    let configured = Configured::start("");
    configured.read("[server]\nmax_connections = 7\n[collector]\njobs = 1\n[[names]]\nmatch = [\"a\"]\n", TAKEN);
    let warning = || configured.server.log().lines().find(|line| line.contains("started again")).map(str::to_owned);
    until("a warning", || warning().is_some());
    let (warning, log) = (warning().unwrap(), configured.server.log());
    assert!(warning.contains("server.max_connections") && warning.contains("collector.jobs"), "{warning}");
    assert!(!warning.contains("names") && log.contains("\"changed\":\"names\""), "{log}");
    configured.read("", TAKEN);
    assert_eq!(configured.server.log().matches("when the server is started again").count(), 1);
}

#[test]
fn the_log_filter_is_replaced() {
    let configured = Configured::start("[log]\nfilter = \"warn\"\n");
    let answered = || configured.server.log().matches("\"answered\"").count();
    assert_eq!((configured.status("/manifests", None), answered()), (200, 0));
    configured.read("[log]\nfilter = \"info\"\n", TAKEN);
    assert_eq!((configured.status("/manifests", None), answered()), (200, 1));
    // Looks at the span of the request, which is not logged itself.
    configured.read("[log]\nfilter = \"off,larder::server=info,[request{method=GET}]=info\"\n", TAKEN);
    assert_eq!((configured.status("/manifests", None), answered()), (200, 2));
    configured.ask("[log]\nfilter = \"warn\"\n");
    until("nothing is logged any more", || {
        let before = answered();
        configured.status("/manifests", None);
        answered() == before
    });
}
