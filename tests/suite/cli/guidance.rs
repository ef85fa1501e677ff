//! What people are told: how much of it, in which voice, and whether it can be followed as it stands.

use super::fake::{Act, Fake, answer};
use super::{folder, publish};
use crate::support::process::{ServerProcess, larder};

#[test]
fn a_name_that_is_not_there_leads_to_those_that_are() {
    let server = ServerProcess::start();
    publish(&server, "miren/main", &[("f", b"1")]);
    for command in ["fetch miren/mian", "versions miren/man", "get miren/main1", "diff miren/main miren/mai"] {
        server.larder(command).exits(3).says("\n  Did you mean miren/main?\n");
    }
    server.larder("get something/else").exits(3).says("`larder ls` lists the names there are.");
    server.larder("promote miren/main@9").exits(3).says("`larder versions miren/main` lists");
    let stated = server.larder(&format!("get nothing --server {}", server.url())).env("LARDER_SERVER", "http://other");
    stated.exits(3).says(&format!("`larder ls --server {}`", server.url()));
}

#[test]
fn hints_name_what_the_command_was_about() {
    let server = ServerProcess::start();
    publish(&server, "main", &[("f", b"1")]);
    let files = folder(&[("f", b"2"), ("wrong", b"larder_nobody_gave_this_token_to_anybody_0000")]);
    server.larder("publish main f --expect none").within(&files).exits(5).says("look at `larder versions main`");
    server.larder("publish main f").env("LARDER_TOKEN_FILE", "").within(&files).exits(4).says("set LARDER_TOKEN");
    let token = std::fs::read_to_string(files.path().join("wrong")).unwrap();
    server
        .larder("publish main f")
        .env("LARDER_TOKEN", token)
        .within(&files)
        .exits(4)
        .says("the variable LARDER_TOKEN");
    server.larder("pin main@1").ok();
    publish(&server, "main", &[("f", b"3")]);
    server.larder("delete main@1 --yes").exits(1).says("`larder pin --remove main@1`");
    server.larder("delete main@2 --yes").exits(1).says("`larder versions main` shows their states");
}

#[test]
fn wrong_values_are_answered_with_right_ones() {
    for (arguments, example) in [
        ("versions main --limit 0", "such as 4"),
        ("fetch main --jobs many", "such as 4"),
        ("ls --retries many", "such as 5"),
        ("publish main f --build-date yesterday", "2026-05-14T18:20:00Z"),
        ("publish main f --resumable-from 3xb", "64KiB"),
        ("publish main f --meta x", "channel=stable"),
        ("publish main f --expect foo", "sha256:"),
        ("versions main@12:00", "2026-05-14T18:20:00Z"),
        ("serve --listen 8080", "127.0.0.1:8080"),
        ("collect --min-age soon", "24h"),
        ("import github foo", "mirendev/runtime"),
        ("import github a/b --max-wait soon", "10m"),
        ("ls --server localhost:8080", "https://larder.example.org"),
        ("healthcheck --url foo", "http://127.0.0.1:8080/readyz"),
        ("sessions main --abort", "main@7"),
    ] {
        let output = larder(arguments).exits(2).says(example);
        assert!(output.stderr.starts_with("larder: error: "), "{output:#?}");
    }
    larder("fetch").exits(2).says("`larder fetch --help` shows");
    larder("check-config").env("LARDER__SERVER__LISTEN", "foo").exits(2).says("127.0.0.1:8080");
    let unread =
        larder("publish main absent").env("LARDER_TOKEN", "x").exits(1).says("Cannot read absent: No such file");
    assert!(!unread.stderr.contains("os error"), "{unread:#?}");
}

#[test]
fn quiet_leaves_errors_and_verbose_tells_requests() {
    let server = ServerProcess::start();
    let files = folder(&[("f", b"1")]);
    let quiet = server.larder("publish main f --quiet").within(&files).ok();
    assert_eq!((quiet.stdout.lines().count(), quiet.stderr.as_str()), (1, ""));
    assert_eq!(server.larder("fetch main -q --output out").within(&files).ok().stderr, "");
    server.larder("get absent -q").exits(3).says("larder: error: ");
    let told = server.larder("-v get main").ok();
    assert!(
        told.stderr.starts_with(&format!("larder: GET {}/manifests/main: 200 OK after ", server.url())),
        "{told:#?}"
    );
    larder("ls -q -v").exits(2).says("--verbose");
}

#[test]
fn retries_are_told_in_one_line_without_further_advice() {
    let server = ServerProcess::start();
    publish(&server, "main", &[("f", b"1")]);
    let address = server.address;
    let busy = move |request: &super::fake::Request, before: usize| match before {
        0 => answer(503, &[], br#"{"code":"UNAVAILABLE","detail":"The store is busy."}"#),
        _ => Act::Answer(request.pass_on(address)),
    };
    let fake = Fake::start(busy);
    let output = larder("ls --server").arg(fake.url()).ok();
    let (before, after) = output.stderr.split_once("; trying again in ").unwrap();
    assert_eq!(before, "larder: the server answered 503: The store is busy");
    assert!(after.ends_with(" s (1 of 5)\n") && after.lines().count() == 1, "{after}");
    let fake = Fake::start(busy);
    assert_eq!(larder("ls -q --server").arg(fake.url()).ok().stderr, "");
    larder("ls --retries 0").exits(7).says("set LARDER_SERVER, or use --server URL");
}

#[test]
fn hints_of_what_releases_need_name_the_release() {
    let server = ServerProcess::start();
    publish(&server, "tool", &[("f", b"1")]);
    publish(&server, "tool", &[("f", b"2")]);
    let files = folder(&[("f", b"3"), ("g", b"4")]);
    for command in ["sums", "history", "floor", "complete --label v1", "yank --reason x", "unyank"] {
        let (verb, options) = command.split_once(' ').unwrap_or((command, ""));
        let version = if verb.contains("yank") { "@1" } else { "" };
        let output = server.larder(&format!("{verb} tools{version} {options}")).exits(3);
        assert!(output.stderr.contains("tool"), "{output:#?}");
    }
    server.larder("get tool/f").exits(3).says("\n  Did you mean tool, or its file f? Then write `tool f`.\n");
    server.larder("rollback tool@1").exits(2).says("leave out @1, as in tool");
    server.larder("publish tool f f").within(&files).exits(2).says("f is named twice");
    server.larder("sums tool1").exits(3).says("\n  Did you mean tool?\n");
    for command in ["pin too@1", "floor too@1 --reason x", "yank too@1 --reason x", "promote too@1"] {
        server.larder(command).exits(3).says("\n  Did you mean tool?\n");
    }
    server.larder("pin tool@9").exits(3).says("`larder versions tool` lists");
    server.larder("complete tool --label v9").exits(3).says("with the label v9");
    server.larder("sessions tool --abandon v9").exits(3).says("no open session v9");
    server.larder("sessions tool").ok().says("no publish of tool is unfinished");
    let part = |part: &str, parts: &str| {
        server.larder(&format!("publish tool f --label v1 --part {part} --parts {parts}")).within(&files)
    };
    part("a", "a,b").ok();
    part("b", "b,c").exits(1).says("begun with the parts a, b").says("`larder sessions tool` shows the parts");
    part("b", "a,b").exits(1).says("The file f is in both parts a and b").says("--abandon LABEL");
    server.larder("complete tool --label v1").exits(1).says("waits for b").says("`larder sessions tool`");
    let last = server.larder("publish tool g --label v1 --part b --parts a,b").within(&files).ok();
    last.says("active with 2 parts; b was the last");
    server.larder("yank tool@2 --reason slow").ok();
    server.larder("promote tool@2").exits(1).says("is yanked (slow)").says("`larder versions tool@2` says who");
    server.larder("promote tool@1").ok();
    part("a", "a,b").ok().says("unchanged: tool@3 has this content and was published before, and is not active");
}

#[test]
fn a_name_that_follows_another_says_what_was_taken() {
    let config = "[[names]]\nmatch = ['tool/beta']\nfollow = ['tool/stable']\n";
    let files = folder(&[("larder.toml", config.as_bytes()), ("f", b"1"), ("g", b"2")]);
    let server = ServerProcess::with(&format!("--config {}", files.path().join("larder.toml").display()));
    server.larder("publish tool/beta f --label v1.0.0-rc.1").within(&files).ok();
    let own = server.larder("get tool/beta").ok();
    assert_eq!(own.stderr, "");
    server.larder("publish tool/stable g --label v1.0.0").within(&files).ok();
    let taken = "larder: tool/beta follows tool/stable, and is now tool/stable@1\n";
    assert_eq!(server.larder("get tool/beta g").ok().stderr, taken);
    assert_eq!(server.larder("get tool/beta g -q").ok().stderr, "");
    let fetched = server.larder("fetch tool/beta --output out").within(&files).ok();
    assert!(fetched.stderr.starts_with(taken), "{fetched:#?}");
    for options in ["", "--dry-run"] {
        let json = server.larder(&format!("fetch tool/beta --output out --json {options}")).within(&files).ok().json();
        assert_eq!(json["resolved"], "tool/stable@1");
    }
    server.larder("diff tool/beta tool/stable").ok().says("tool/stable@1 -> tool/stable@1: no difference");
    server.larder("yank tool/stable@1 --reason bad").exits(1);
}

#[test]
fn what_cannot_be_written_to_is_said_before_anything_is_fetched() {
    let server = ServerProcess::start();
    publish(&server, "main", &[("f", b"1")]);
    let files = folder(&[("file", b"1")]);
    server.larder("fetch main --output file").within(&files).exits(2).says("file is no directory; --output names");
}
