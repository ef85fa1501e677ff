//! Publishing without a token: the identity of a CI job is exchanged for one.

use std::fs;
use std::time::Duration;

use serde_json::json;

use super::exchange::{Exchange, JOB_SECRET, Rules};
use super::fake::{Fake, answer};
use super::{folder, quiet};
use crate::support::process::{Larder, Output, larder, write_program};

/// A command in a job with these variables.
fn job(arguments: &str, variables: impl IntoIterator<Item = (&'static str, String)>) -> Larder {
    variables.into_iter().fold(larder(arguments), |command, (name, value)| command.env(name, value))
}

/// Asserts that no secret was shown, beside the lines that tell the runner what to hide.
fn shows_no_secret(output: &Output) {
    let lines = output.stdout.lines().chain(output.stderr.lines());
    for line in lines.filter(|line| !line.starts_with("::add-mask::")) {
        for secret in [JOB_SECRET, "id.", "access-"] {
            assert!(!line.contains(secret), "{secret} in {output:#?}");
        }
    }
}

#[test]
fn a_job_of_github_actions_publishes_promotes_and_copies_without_a_token() {
    let server = quiet();
    let exchange = Exchange::before(&server, Rules::default());
    let files = folder(&[("f", b"1")]);
    let output = job("publish main .", exchange.github()).within(&files).ok();
    assert!(output.stdout.starts_with("main@1 sha256:"), "{output:#?}");
    assert!(output.stderr.contains("::add-mask::id.1.") && output.stderr.contains("::add-mask::access-1\n"));
    shows_no_secret(&output);
    assert_eq!((exchange.issued(), exchange.revoked()), (1, 1));

    fs::write(files.path().join("f"), b"2").unwrap();
    job("publish main .", exchange.github()).within(&files).ok();
    job("rollback main", exchange.github()).ok();
    job("promote main@2", exchange.github()).ok();
    job("sessions main", exchange.github()).ok();
    job("copy main latest", exchange.github()).ok();
    job("pin main@1", exchange.github()).ok();
    job("delete latest --yes", exchange.github()).ok();
    assert_eq!((exchange.usable(), exchange.issued()), (0, exchange.revoked()));
}

#[test]
fn a_command_that_fails_gives_its_token_back_too() {
    let server = quiet();
    let exchange = Exchange::before(&server, Rules::default());
    job("promote main@7", exchange.github()).exits(3);
    assert_eq!((exchange.issued(), exchange.usable()), (1, 0));
}

#[test]
fn reading_needs_no_identity_and_a_token_goes_before_it() {
    let server = quiet();
    let exchange = Exchange::before(&server, Rules::default());
    super::publish(&server, "main", &[("f", b"1")]);
    job("get main f", exchange.github()).ok();
    // The stand-in does not know this token, so nothing else can have been tried.
    job("promote main@1", exchange.github()).env("LARDER_TOKEN", "other").exits(4);
    assert!(exchange.fake.requests_of("GET", "/auth").is_empty() && exchange.issued() == 0);
}

#[test]
fn a_publish_that_outlives_its_token_renews_it() {
    let server = quiet();
    let rules = Rules { expires_in: 2, upload: Duration::from_millis(1200), ..Rules::default() };
    let exchange = Exchange::before(&server, rules);
    let files = folder(&[("a", b"1"), ("b", b"2"), ("c", b"3"), ("d", b"4")]);
    job("publish main . --jobs 1", exchange.github()).within(&files).ok();
    assert!(exchange.issued() >= 3, "{}", exchange.issued());
    assert_eq!(exchange.usable(), 0);
}

#[test]
fn an_issuer_that_is_down_for_a_moment_ends_no_publish() {
    let server = quiet();
    let rules = Rules { expires_in: 9, upload: Duration::from_millis(5500), falters: true, ..Rules::default() };
    let exchange = Exchange::before(&server, rules);
    let files = folder(&[("a", b"1"), ("b", b"2")]);
    job("publish main . --jobs 1 --retries 1", exchange.github()).within(&files).ok().says("could not be renewed yet");
    assert_eq!((exchange.issued() >= 2, exchange.usable()), (true, 0));
}

#[test]
fn a_token_that_cannot_be_renewed_is_used_until_it_expires() {
    let server = quiet();
    let rules = Rules { expires_in: 6, upload: Duration::from_millis(2200), ..Rules::default() };
    let exchange = Exchange::before(&server, rules);
    let given = || [("LARDER_ID_TOKEN", "jwt-1".to_owned()), ("LARDER_SERVER", exchange.url())];
    let files = folder(&[("a", b"1"), ("b", b"2")]);
    job("publish short . --jobs 1", given()).within(&files).ok().says("it is used until it expires");
    let files = folder(&[("c", b"3"), ("d", b"4"), ("e", b"5"), ("f", b"6")]);
    let given = given().map(|(name, value)| (name, value.replace("jwt-1", "jwt-2")));
    job("publish long . --jobs 1", given).within(&files).exits(4).says("it is used until it expires");
    assert_eq!(server.states("short"), ["active"]);
    server.larder("get long").exits(3);
}

#[test]
fn a_lost_reply_to_the_exchange_is_no_reason_to_fail() {
    let server = quiet();
    let exchange = Exchange::before(&server, Rules { loses_reply: true, ..Rules::default() });
    let files = folder(&[("f", b"1")]);
    job("publish main .", exchange.github()).within(&files).ok();
    assert_eq!(exchange.fake.requests_of("GET", "/id-token").len(), 2);
}

#[test]
fn a_refusal_is_explained_in_the_words_of_the_server() {
    let server = quiet();
    let why = "No rule matches: rule runtime-release expects ref refs/tags/v*, the token has refs/heads/main.";
    let exchange = Exchange::before(&server, Rules { refusal: Some(why), ..Rules::default() });
    let files = folder(&[("f", b"1")]);
    let output = job("publish main .", exchange.github()).within(&files).exits(4);
    let output = output.says(why).says("does not accept the identity of this job (GitHub Actions)");
    shows_no_secret(&output);
    // A program gets it, too.
    let error = job("copy main latest --json", exchange.github()).exits(4);
    assert!(error.stderr.contains(r#""code":"FORBIDDEN""#), "{error:#?}");
}

#[test]
fn a_job_that_lacks_the_permission_learns_it_before_anything_is_sent() {
    let server = quiet();
    let exchange = Exchange::before(&server, Rules::default());
    let files = folder(&[("f", b"1")]);
    let lacking = || [("LARDER_SERVER", exchange.url())];
    job("publish main .", lacking()).env("GITHUB_ACTIONS", "true").within(&files).exits(4).says("id-token: write");
    job("publish main .", lacking()).env("GITLAB_CI", "true").within(&files).exits(4).says("LARDER_ID_TOKEN");
    assert!(exchange.fake.requests().is_empty());

    let withheld = Exchange::before(&server, Rules { withheld: Some(403), ..Rules::default() });
    let output = job("publish main .", withheld.github()).within(&files).exits(4);
    output.says("GitHub Actions gave this job no ID token");
}

#[test]
fn no_id_token_is_requested_that_would_be_valid_elsewhere() {
    let server = quiet();
    let exchange = Exchange::before(&server, Rules { audience: Some("sts.amazonaws.com"), ..Rules::default() });
    let files = folder(&[("f", b"1")]);
    job("publish main .", exchange.github()).within(&files).exits(4).says("LARDER_AUDIENCE");
    assert!(exchange.fake.requests_of("GET", "/id-token").is_empty());
    let stated = job("publish main .", exchange.github()).env("LARDER_AUDIENCE", exchange.url());
    stated.within(&files).ok();
}

#[test]
fn a_server_without_an_exchange_says_what_it_always_said() {
    let server = quiet();
    let files = folder(&[("f", b"1")]);
    let url = server.url();
    let exchange = Fake::start(|_, _| answer(200, &[], br#"{"value":"never"}"#));
    let output = larder("publish main .")
        .env("LARDER_SERVER", &url)
        .env("ACTIONS_ID_TOKEN_REQUEST_URL", exchange.url())
        .env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "x")
        .within(&files)
        .exits(4);
    output.says("does not exchange identities").says("Give a token");
    assert!(exchange.requests().is_empty());
}

#[test]
fn a_job_of_gitlab_exchanges_the_token_that_it_was_given() {
    let server = quiet();
    let exchange = Exchange::before(&server, Rules::default());
    let files = folder(&[("f", b"1")]);
    let variables = || [("GITLAB_CI", "true".to_owned()), ("LARDER_SERVER", exchange.url())];
    let output = job("publish main .", variables()).env("LARDER_ID_TOKEN", "jwt-of-gitlab").within(&files).ok();
    assert!(!output.stderr.contains("jwt-of-gitlab"), "{output:#?}");
    assert_eq!((exchange.issued(), exchange.usable()), (1, 0));
    let posted = exchange.fake.requests_of("POST", "/auth/oidc/token");
    assert_eq!(
        serde_json::from_slice::<serde_json::Value>(&posted[0].body).unwrap(),
        json!({"token": "jwt-of-gitlab"})
    );
    // The same ID token a second time is a replay, and the server says so.
    let again = job("copy main latest", variables()).env("LARDER_ID_TOKEN", "jwt-of-gitlab");
    again.exits(4).says("was used before");
}

#[test]
fn a_job_of_buildkite_asks_the_agent() {
    let server = quiet();
    let exchange = Exchange::before(&server, Rules::default());
    let agent = folder(&[]);
    let program = agent.path().join("buildkite-agent");
    write_program(&program, b"#!/bin/sh\necho \"$*\" > \"$(dirname \"$0\")/asked\"\necho of-the-agent\n");
    let files = folder(&[("f", b"1")]);
    let path = format!("{}:/usr/bin:/bin", agent.path().display());
    let run = |path: &str| {
        let variables = [("BUILDKITE", "true".to_owned()), ("LARDER_SERVER", exchange.url())];
        job("publish main .", variables).env("PATH", path).within(&files)
    };
    run(&path).ok();
    let asked = fs::read_to_string(agent.path().join("asked")).unwrap();
    assert_eq!(asked, format!("oidc request-token --audience {}\n", exchange.url()));
    assert_eq!((exchange.issued(), exchange.usable()), (1, 0));
    run("/nowhere").exits(4).says("buildkite-agent oidc request-token");
}
