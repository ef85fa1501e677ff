//! Tables at the width of a terminal, and whole where nobody looks; `larder diff`.

use larder::domain::Digest;
use serde_json::json;

use super::{folder, publish};
use crate::support::process::{ServerProcess, larder};

/// A server with a long label and two versions of `miren/main`.
fn server() -> ServerProcess {
    let server = ServerProcess::start();
    let files = folder(&[("a.txt", b"1"), ("old.txt", b"12345"), ("tool", b"1")]);
    server.larder("publish miren/main a.txt old.txt tool --label short").within(&files).ok();
    let files = folder(&[("a.txt", b"1"), ("new.txt", b"123"), ("tool", b"12")]);
    let label = "\u{65e5}\u{672c} a label that somebody wrote without a thought of those who read it in a table";
    server.larder("publish miren/main a.txt new.txt tool --label").arg(label).within(&files).ok();
    server.larder("pin miren/main@1").ok();
    larder("key new a.key --no-password").within(&files).ok();
    server.larder("sign miren/main -k a.key").within(&files).ok();
    server.larder("attach miren/main a.txt --type application/vnd.cyclonedx+json --file new.txt").within(&files).ok();
    server
}

#[test]
fn tables_fit_the_terminal() {
    let server = server();
    let holders =
        format!("versions {}", server.larder("versions miren/main@2 --json").ok().json()["manifest"].as_str().unwrap());
    let lists = ["versions miren/main", "ls --long", "sessions miren/main", "diff miren/main@1", "history miren/main"];
    for command in lists.into_iter().chain([&*holders, "attachments miren/main"]) {
        let shown = server.larder(command).env("COLUMNS", "80").ok().stdout;
        assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
        let narrow = server.larder(command).env("COLUMNS", "72").ok().stdout;
        assert!(narrow.lines().all(|line| line.chars().count() <= 72), "{narrow}");
    }
    let shown = server.larder("versions miren/main").env("COLUMNS", "120").ok().stdout;
    let head: Vec<_> = shown.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(head, ["VERSION", "STATE", "FILES", "SIZE", "PUBLISHED", "(UTC)", "BY", "LABEL", "MANIFEST"]);
    let attached = server.larder("attachments miren/main").env("COLUMNS", "80").ok().stdout;
    assert!(attached.contains("signature") && attached.contains("sbom") && attached.contains("new.txt"), "{attached}");
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

#[test]
fn a_version_says_who_made_it_active_and_what_is_said_against_it() {
    let (one, two) = ("token-of-the-first-one", "token-of-the-other-one");
    let rule = |id: &str, token: &str| {
        let hex = Digest::of(token.as_bytes()).hex();
        format!(
            "[[access.tokens]]\nid = '{id}'\nsha256 = '{hex}'\nactions = ['publish', 'promote', 'pin', 'retire']\nnames = ['**']\n"
        )
    };
    let config = rule("ci", one) + &rule("ops", two);
    let files = folder(&[("larder.toml", config.as_bytes()), ("f", b"1"), ("g", b"2")]);
    let server = ServerProcess::with(&format!("--config {}", files.path().join("larder.toml").display()));
    let as_of = |token: &str, arguments: &str| {
        larder(arguments).env("LARDER_SERVER", server.url()).env("LARDER_TOKEN", token).within(&files)
    };
    as_of(one, "publish main f").ok();
    as_of(one, "publish main g").ok();
    as_of(two, "promote main@1").ok();
    as_of(two, "yank main@2 --instead 1 --reason broken").ok();
    as_of(two, "pin main@2 --reason evidence").ok();
    let rows = as_of(one, "versions main").ok().stdout;
    let row = |number: &str| rows.lines().find(|line| line.trim_start().starts_with(number)).unwrap().to_owned();
    assert!(row("1 ").contains("  token:ci, token:ops  "), "{rows}");
    assert!(row("2 ").contains("  archived pinned yanked  ") && !row("2 ").contains("token:ops"), "{rows}");
    let shown = as_of(one, "versions main@1").ok().stdout;
    assert!(
        shown.contains("\n  by          token:ci\n") && shown.contains("Z by token:ops (2 times in all)\n"),
        "{shown}"
    );
    let shown = as_of(one, "versions main@2").ok().stdout;
    assert!(shown.contains("Z by token:ops: broken; use main@1 instead\n"), "{shown}");
    assert!(shown.contains("\n  pin         ") && shown.contains("Z by token:ops: evidence\n"), "{shown}");
    as_of(one, "delete main@1 --yes").exits(1).says("main@1 is active: promote another version first");
    as_of(two, "pin --remove main@2").ok();
    as_of(two, "delete main@2 --yes --reason unsafe").ok();
    let shown = as_of(one, "versions main@2").ok().stdout;
    assert!(shown.contains("Z by token:ops\n  because     unsafe\n"), "{shown}");
}
