//! Tables at the width of a terminal, and whole where nobody looks; `larder diff`.

use serde_json::json;

use super::{folder, publish};
use crate::support::process::ServerProcess;

/// A server with a long label and two versions of `miren/main`.
fn server() -> ServerProcess {
    let server = ServerProcess::start();
    let files = folder(&[("a.txt", b"1"), ("old.txt", b"12345"), ("tool", b"1")]);
    server.larder("publish miren/main a.txt old.txt tool --label short").within(&files).ok();
    let files = folder(&[("a.txt", b"1"), ("new.txt", b"123"), ("tool", b"12")]);
    let label = "\u{65e5}\u{672c} a label that somebody wrote without a thought of those who read it in a table";
    server.larder("publish miren/main a.txt new.txt tool --label").arg(label).within(&files).ok();
    server.larder("pin miren/main@1").ok();
    server
}

#[test]
fn tables_fit_the_terminal() {
    let server = server();
    for command in ["versions miren/main", "ls --long", "sessions miren/main", "diff miren/main@1"] {
        let shown = server.larder(command).env("COLUMNS", "80").ok().stdout;
        assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
        let narrow = server.larder(command).env("COLUMNS", "72").ok().stdout;
        assert!(narrow.lines().all(|line| line.chars().count() <= 72), "{narrow}");
    }
    let shown = server.larder("versions miren/main").env("COLUMNS", "120").ok().stdout;
    let head: Vec<_> = shown.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(head, ["VERSION", "STATE", "FILES", "SIZE", "PUBLISHED", "(UTC)", "BY", "LABEL", "MANIFEST"]);
    let row: Vec<_> = shown.lines().nth(2).unwrap().split_whitespace().collect();
    assert_eq!((&row[..5], row.last().unwrap().len()), (&["1", "archived", "pinned", "3", "7"][..], 12), "{shown}");
}

#[test]
fn what_scripts_read_is_whole() {
    let server = server();
    let piped = server.larder("versions miren/main").ok().stdout;
    assert!(piped.contains("who read it in a table") && piped.matches("sha256:").count() == 2, "{piped}");
    let wide = server.larder("versions miren/main --wide").env("COLUMNS", "80").ok().stdout;
    assert_eq!(wide, piped);
    let one = server.larder("versions miren/main@1").env("COLUMNS", "80").ok().stdout;
    assert!(one.starts_with("miren/main@1 sha256:") && one.contains("\n  state       archived pinned\n"), "{one}");
}

#[test]
fn two_versions_are_compared_file_by_file() {
    let server = server();
    let shown = server.larder("diff miren/main@1 2 --wide").ok().says("miren/main@1 -> miren/main@2: 1 file added");
    let rows: Vec<Vec<_>> = shown.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    assert!(shown.stdout.starts_with("label: short -> "), "{}", shown.stdout);
    assert_eq!(rows[2], ["removed", "old.txt", "5", "B", "-", "-5", "B"]);
    assert_eq!(rows[3], ["changed", "tool", "1", "B", "2", "B", "+1", "B"]);
    assert_eq!(rows[4], ["added", "new.txt", "-", "3", "B", "+3", "B"]);
    let document = server.larder("diff miren/main@2 @1 --json").ok().json();
    assert_eq!((&document["bytes"], &document["unchanged"]), (&json!(1), &json!(1)));
    assert_eq!((&document["old"]["version"], &document["new"]["name"]), (&json!(2), &json!("miren/main")));
    assert_eq!(document["added"][0]["name"], "old.txt");
    let differ = server.larder("diff miren/main@1 --exit-code").exits(8);
    assert!(!differ.stderr.contains("error"), "{differ:#?}");
    server.larder("copy miren/main latest").ok();
    let same = server.larder("diff miren/main latest --exit-code").ok().says("no difference");
    assert_eq!(same.stdout, "");
    server.larder("diff miren/main@1 9").exits(3);
}

#[test]
fn a_name_without_an_active_version_says_so() {
    let server = ServerProcess::start();
    let files = folder(&[("f", b"1")]);
    server.larder("publish staged f --stage").within(&files).ok();
    server.larder("versions staged").ok().says("no version of staged is active");
    publish(&server, "staged", &[("f", b"2")]);
    assert_eq!(server.larder("versions staged").ok().stderr, "");
}
