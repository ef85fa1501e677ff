//! Tokens: where they come from, what is refused, and where they must never show.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use larder::domain::Digest;
use serde_json::json;

use super::{folder, publish};
use crate::support::process::{ServerProcess, larder};

#[test]
fn an_unknown_or_absent_token_is_an_exit_code_of_its_own() {
    let server = ServerProcess::start();
    let files = folder(&[("f", b"1")]);
    let bad = server.larder("publish main f --json").env("LARDER_TOKEN", "larder_wrong").within(&files).exits(4);
    assert_eq!(bad.error()["status"], json!(401));
    let none = larder("publish main f").env("LARDER_SERVER", server.url()).within(&files).exits(4);
    none.says("LARDER_TOKEN_FILE");
    assert_eq!(server.uploads(), 0);
}

#[test]
fn a_token_file_that_others_can_read_is_refused() {
    let server = ServerProcess::start();
    let files = folder(&[("f", b"1"), ("token", server.token().as_bytes())]);
    let publish = || server.larder("publish main f --token-file token").within(&files);
    fs::set_permissions(files.path().join("token"), Permissions::from_mode(0o644)).unwrap();
    publish().exits(4).says("chmod 600 token").says("0644");
    fs::set_permissions(files.path().join("token"), Permissions::from_mode(0o600)).unwrap();
    publish().ok();
}

#[test]
fn a_token_is_read_from_stdin_or_the_environment() {
    let server = ServerProcess::start();
    let files = folder(&[("f", b"1")]);
    let larder = |arguments: &str| larder(arguments).env("LARDER_SERVER", server.url()).within(&files);
    larder("publish one f --token-file -").input(server.token()).ok();
    larder("publish two f").env("LARDER_TOKEN", server.token()).ok();
    larder("publish three f").env("LARDER_TOKEN_FILE", server.token_file()).ok();
    larder("publish four f --token-file -").env("LARDER_TOKEN", "larder_wrong").input(server.token()).ok();
    larder("publish five f").env("LARDER_TOKEN", "two words").exits(4).says("LARDER_TOKEN");
    larder("publish five f --token-file absent").exits(1).says("absent");
    larder("publish five --manifest - --token-file -").input(server.token()).exits(2).says("stdin");
    assert_eq!(server.larder("ls").ok().stdout, "four\none\nthree\ntwo\n");
}

#[test]
fn reading_needs_no_token() {
    let server = ServerProcess::start();
    publish(&server, "main", &[("f", b"1")]);
    for command in ["ls", "versions main", "get main", "get main f", "versions main@1"] {
        larder(command).env("LARDER_SERVER", server.url()).ok();
    }
}

#[test]
fn a_token_reaches_only_what_it_grants() {
    let token = "a-token-of-the-test";
    let sha256 = Digest::of(token.as_bytes());
    let config = format!(
        "[[access.tokens]]\nid = 'ci'\nsha256 = '{}'\nactions = ['publish']\nnames = ['miren/**']\n\
         [[names]]\nmatch = ['miren/stable']\ncas = 'required'\n",
        sha256.hex()
    );
    let files = folder(&[("larder.toml", config.as_bytes()), ("f", b"1")]);
    let server = ServerProcess::with(&format!("--config {}", files.path().join("larder.toml").display()));
    assert_eq!(server.announced["admin_token_file"], json!(null));
    assert!(!server.token_file().exists());
    let larder = |arguments: &str| {
        larder(arguments).env("LARDER_SERVER", server.url()).env("LARDER_TOKEN", token).within(&files)
    };
    larder("publish miren/main f").ok();
    larder("publish other f").exits(4).says("grants");
    larder("delete miren/main --yes").exits(4);
    larder("publish miren/stable f").exits(5).says("--expect");
    larder("publish miren/stable f --expect none").ok();
    let row = larder("versions miren/main@active --json").ok().json();
    assert_eq!(row["created_by"], "token:ci");
}

#[test]
fn check_config_says_which_rule_a_value_comes_from() {
    let long = format!("miren/{}/**", "x".repeat(70));
    let config = format!(
        "[[names]]\nmatch = ['other', 'miren/**']\nread = 'token'\nearlier_files = {{ for = '2h' }}\n\
         [[names]]\nmatch = ['{long}', '**']\nread = 'public'\nkeep_last = 5\nkeep_for = '36h'\n"
    );
    let files = folder(&[("larder.toml", config.as_bytes())]);
    let check = |arguments: &str| larder(&format!("check-config --config larder.toml {arguments}")).within(&files);
    let shown = check("--name miren/main").ok();
    assert_eq!(shown.stderr, "");
    let expected = r#"KEY               VALUE                                                   FROM
read              token                                                   rule 1 of [[names]], miren/**
cas               optional                                                default
keep_last         5                                                       rule 2 of [[names]], **
keep_for          1day 12h                                                rule 2 of [[names]], **
staged_for        30days                                                  default
prepared_for      1day                                                    default
untagged_for      7days                                                   default
tags              mutable                                                 default
labels            any                                                     default
keep_labels       []                                                      default
follow            []                                                      default
earlier_files     {"for":"2h","versions":20}                              rule 1 of [[names]], miren/**
catalog           false                                                   default
catalog_founders  ["larder:admin"]                                        default
verify_wares      false                                                   default
signatures        {"bind":true,"minisign":[],"revoked":[],"threshold":0}  default
"#;
    assert_eq!(shown.stdout, expected);
    let shown = check(&format!("--name miren/{}/a", "x".repeat(70))).env("COLUMNS", "80").ok().stdout;
    assert!(shown.contains('…') && shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
    let document = check("--json --name miren/main").ok().json();
    assert_eq!(document["name"], "miren/main");
    assert_eq!(document["policy"]["read"], json!({"value": "token", "rule": 1, "pattern": "miren/**"}));
    assert_eq!(document["policy"]["keep_last"]["value"], 5);
    assert_eq!(document["policy"]["earlier_files"]["value"], json!({"for": "2h", "versions": 20}));
    assert_eq!(document["policy"]["cas"], json!({"value": "optional", "rule": null, "pattern": null}));
    check("--name a//b").exits(2);
    fs::write(files.path().join("larder.toml"), "[[names]]\nmatch = ['a']\n").unwrap();
    let remarked = check("--json").ok().says("rule 1 of [[names]] sets nothing");
    assert_eq!(remarked.json()["names"], json!([{"match": ["a"]}]));
}

#[test]
fn the_servers_own_ids_are_refused_before_the_server_starts() {
    for id in ["admin", "collector", "anonymous", "larder:admin"] {
        let hash = Digest::of(b"x").hex();
        let config = format!("[[access.tokens]]\nid = '{id}'\nsha256 = '{hash}'\nactions = ['publish']\n");
        let files = folder(&[("larder.toml", config.as_bytes())]);
        for command in ["check-config", "serve --listen 127.0.0.1:0 --data d"] {
            larder(&format!("{command} --config larder.toml"))
                .within(&files)
                .exits(2)
                .says(id)
                .says("call it something else");
        }
        assert!(!files.path().join("d").exists());
    }
}

#[test]
fn no_log_ever_holds_the_token() {
    let config = folder(&[("larder.toml", b"[log]\nfilter = 'trace'\n")]);
    let server = ServerProcess::with(&format!("--config {}", config.path().join("larder.toml").display()));
    let files = folder(&[("f", b"1")]);
    let secret = server.token();
    let secret = secret.trim_start_matches("larder_");
    for (arguments, code) in [
        ("publish main .", 0),
        ("publish main . --label other --expect none", 5),
        ("ls", 0),
        ("fetch main", 0),
        ("pin main@7", 3),
    ] {
        let output = server.larder(arguments).env("LARDER_LOG", "trace").within(&files).exits(code);
        assert!(output.stderr.contains("TRACE"), "{arguments}: nothing was logged");
        assert!(!output.stderr.contains(secret) && !output.stdout.contains(secret), "{output:#?}");
    }
    // Also not what somebody wrongly takes for the place of a token.
    let wrong = format!("/livez?token={secret}");
    assert_eq!(server.get(&wrong).unwrap().status, 200);
    server.get(&format!("/versions/main?token={secret}")).unwrap();
    assert!(server.log().contains("/sessions/"), "{}", server.log());
    assert!(!server.log().contains(secret), "{}", server.log());
}
