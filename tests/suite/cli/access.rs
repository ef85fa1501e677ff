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
         [[access.policies]]\nnames = ['miren/stable']\ncas = 'required'\n",
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
