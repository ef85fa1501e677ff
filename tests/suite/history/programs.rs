//! `larder history`, `yank`, `unyank`, `floor`, and what readers are warned of.

use serde_json::json;

use crate::support::process::ServerProcess;

fn server() -> ServerProcess {
    let server = ServerProcess::start();
    let folder = tempfile::tempdir().unwrap();
    for content in ["1", "2", "3"] {
        std::fs::write(folder.path().join("f"), content).unwrap();
        server.larder("publish main f --label").arg(format!("v{content}")).within(&folder).ok();
    }
    server
}

#[test]
fn a_yank_is_one_warning_and_no_failure() {
    let server = server();
    let home = tempfile::tempdir().unwrap();
    server.larder("yank main@3 --reason bad").exits(1).says("rollback");
    server.larder("yank main --reason bad").exits(2).says("main@17");
    let output = server.larder("yank main@active --rollback --instead 2 --reason").arg("bad\u{1b}[31m").ok();
    assert_eq!(output.stdout, "main@3 yanked\n");
    let warning = "larder: warning: main@3 is yanked: bad\\u{1b}[31m; use main@2 instead\n";
    for arguments in ["get main@3", "get main@3 f", "fetch main@3 f"] {
        let output = server.larder(arguments).within(&home).ok();
        assert_eq!(output.stderr.matches("is yanked").count(), 1, "{arguments}: {output:?}");
        assert!(output.stderr.contains(warning), "{arguments}: {output:?}");
    }
    assert!(!server.larder("get main").ok().stderr.contains("yanked"));
    server.larder("promote main@3").exits(1).says("yanked");
    let shown = server.larder("history main").env("COLUMNS", "80").ok().stdout;
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines[0].starts_with("WHEN (UTC)        WHO           WHAT"), "{shown}");
    assert!(lines[1].contains("  yanked 3 (v3), active 2, was 3: bad\\u{1b}[31m"), "{shown}");
    assert!(lines[4].ends_with("published 1 (v1)") && lines.iter().all(|line| line.chars().count() <= 80), "{shown}");
    assert_eq!(server.larder("unyank main@3 --reason fine").ok().stdout, "main@3 not yanked\n");
    server.larder("promote main@3 --reason again").ok();
    let json = server.larder("history main@3 --limit 1 --json").ok().json();
    assert_eq!((&json["changes"][0]["action"], &json["changes"][0]["reason"]), (&json!("rollback"), &json!("again")));
    let noted = server.larder("history main --limit 2").ok();
    assert!(noted.stderr.contains("older changes") && noted.stdout.lines().count() == 3, "{noted:?}");
    assert_eq!(server.larder("history main --all").ok().stdout.lines().count(), 10);
    let wide = server.larder("history main --wide").env("COLUMNS", "80").ok().stdout;
    assert!(wide.contains("GENERATION") && wide == server.larder("history main").ok().stdout, "{wide}");
    server.larder("history main@9").ok().says("no change of main@9 is recorded");
    server.larder("history other").exits(3);
}

#[test]
fn a_floor_is_set_shown_and_taken_away() {
    let server = server();
    server.larder("floor main").exits(3).says("no floor");
    server.larder("floor main --reason x").exits(2);
    server.larder("floor main@2").exits(2).says("--reason");
    let set = server.larder("floor main@2 --reason CVE-1").ok().stdout;
    assert!(set.starts_with("main@2 (v2) is the floor since 2"), "{set}");
    assert_eq!(server.larder("floor main").ok().stdout, set);
    assert_eq!(server.larder("floor main --json").ok().json()["floor"]["reason"], "CVE-1");
    assert_eq!(server.larder("floor main --clear").ok().stdout, "main has no floor\n");
}

#[test]
fn versions_of_a_hash_are_listed_whatever_their_names() {
    let server = server();
    server.larder("copy main@1 stable --reason release").ok();
    let digest = server.larder("versions main@1 --json").ok().json()["manifest"].as_str().unwrap().to_owned();
    let shown = server.larder("versions").arg(&digest).ok().stdout;
    assert!(shown.contains("\nmain@1    archived") && shown.contains("\nstable@1  active"), "{shown}");
    let json = server.larder("versions --limit 1 --json").arg(&digest).ok().json();
    assert_eq!((json["held_by"].as_array().unwrap().len(), json["next"].as_str()), (1, Some("main@1")));
    assert!(server.larder("history stable").ok().stdout.contains("copied 1 (v1) from main@1: release"));
    server.larder("versions sha256:12").exits(2);
}
