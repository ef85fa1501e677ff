//! `larder auth`, and the example policy of the documentation.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use serde_json::json;
use tempfile::TempDir;

use crate::support::issuer::TestIssuer;
use crate::support::process::{Reply, ServerProcess, exchange, larder, until};

const GUIDE: &str = include_str!("../../../docs/keyless.md");

/// The first code block of the guide with this info string.
fn block(info: &str) -> &'static str {
    GUIDE.split_once(&format!("\n```{info}\n")).unwrap().1.split_once("\n```").unwrap().0
}

/// The policy of the guide, for an issuer that the test runs.
fn policy(directory: &TempDir, issuer: &TestIssuer) -> std::path::PathBuf {
    let own = format!("kind = \"github\"\nurl = \"{}\"\nalgorithms = [\"ES256\"]", issuer.url());
    let text = block("toml policy").replace("kind = \"github\"", &own);
    write(&directory.path().join("larder.toml"), &text)
}

fn write(path: &Path, text: &str) -> std::path::PathBuf {
    fs::write(path, text).unwrap();
    path.to_owned()
}

/// A token for the policy of the guide.
fn token(issuer: &TestIssuer, reference: &str) -> String {
    let mut claims = TestIssuer::github("v1.2");
    claims["aud"] = json!("https://assets.example.org");
    claims["ref"] = json!(reference);
    issuer.token(&claims)
}

#[test]
fn the_policy_of_the_guide_is_valid_and_nothing_about_it_is_risky() {
    let directory = tempfile::tempdir().unwrap();
    let issuer = TestIssuer::start();
    let output = larder("check-config --config").arg(policy(&directory, &issuer)).ok();
    assert_eq!(output.stderr, "");
    let verbatim = write(&directory.path().join("verbatim.toml"), block("toml policy"));
    assert_eq!(larder("check-config --config").arg(verbatim).ok().stderr, "");
}

#[test]
fn an_explanation_says_what_a_token_is_granted_or_what_is_in_the_way() {
    let directory = tempfile::tempdir().unwrap();
    let issuer = TestIssuer::start();
    let policy = policy(&directory, &issuer);
    let explain = |token: &str, options: &str| {
        larder(&format!("auth explain --token-stdin {options} --config")).arg(&policy).input(token.to_owned() + "\n")
    };
    let good = token(&issuer, "refs/tags/v1.2");
    let output = explain(&good, "").ok();
    for shown in ["repository_id", "1000001", "runtime-release", "publish", "miren/v1.2", "miren/latest"] {
        assert!(output.stdout.contains(shown), "{shown} is not in {}", output.stdout);
    }
    assert_eq!(explain(&good, "--json").ok().json()["granted"][0]["names"], json!(["miren/v1.2"]));
    let branch = token(&issuer, "refs/heads/wip");
    let refused = explain(&branch, "").exits(4).says("refs/heads/wip").says("refs/tags/v*").says("repository_owner_id");
    assert!(![&refused.stdout, &refused.stderr].into_iter().any(|text| text.contains(&branch)), "{refused:?}");
    let error = explain(&branch, "--json").exits(4).error();
    assert_eq!(error["claims"]["ref"], "refs/heads/wip");
    explain("nonsense", "").exits(4).says("cannot be read");
    let (head, _) = good.rsplit_once('.').unwrap();
    explain(&format!("{head}.AAAA"), "").exits(4).says("signature");
    larder("auth explain --token-stdin").input(good).exits(2).says("access.issuers");
}

#[test]
fn a_rule_is_written_with_the_ids_that_a_name_stands_for() {
    let directory = tempfile::tempdir().unwrap();
    let issuer = TestIssuer::start();
    let rule = larder("auth rule github mirendev/runtime --api").arg(issuer.url()).ok().stdout;
    let access = format!(
        "[access]\naudience = \"https://assets.example.org\"\n[[access.issuers]]\nid = \"github\"\nkind = \"github\"\n\
         url = \"{}\"\nalgorithms = [\"ES256\"]\n{rule}",
        issuer.url()
    );
    let file = write(&directory.path().join("larder.toml"), &access);
    assert_eq!(larder("check-config --config").arg(&file).ok().stderr, "", "{rule}");
    let explained =
        larder("auth explain --json --token-stdin --config").arg(&file).input(token(&issuer, "refs/tags/v1.2"));
    assert_eq!(explained.ok().json()["granted"][0]["names"], json!(["runtime/v1.2"]));
    larder("auth rule github mirendev/nothing --api").arg(issuer.url()).exits(3).says("GITHUB_TOKEN");
    for bad in ["mirendev", "a/b/c", "../x", "a/", "a b/c"] {
        larder("auth rule github").arg(bad).exits(2).says("OWNER/REPO");
    }
    larder("auth rule github a/b --api http://example.org").exits(2).says("https://");
}

#[test]
fn a_policy_that_lets_anybody_in_is_refused_and_a_risky_one_is_remarked_on() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("larder.toml");
    let check = |kind: &str, rule: &str| {
        let text = format!(
            "[access]\naudience = 'x'\n[[access.issuers]]\nid = 'ci'\nkind = '{kind}'\nurl = 'https://ci.example'\n\
             [[access.rules]]\nid = 'r'\nissuer = 'ci'\ngrants = [{{ actions = ['publish'], names = ['a'] }}]\n{rule}"
        );
        larder("check-config --config").arg(write(&file, &text))
    };
    for (kind, claims) in [
        ("github", "ref = 'refs/tags/*'"),
        ("github", "repository = 'mirendev/*'"),
        ("github", "repository_owner_id = '*'"),
        ("gitlab", "ref = 'main'"),
        ("buildkite", "pipeline_slug = 'release'"),
        ("other", "sub = '*'"),
    ] {
        check(kind, &format!("claims = {{ {claims} }}")).exits(2).says("must pin");
    }
    check("github", "claims = { repository = 'mirendev/runtime' }").ok().says("somebody else can register");
    let risky = "claims = { repository_id = '1', event_name = ['push', 'pull_request_target'] }\nraw_bearer = true";
    check("github", risky).ok().says("pull_request_target").says("unexchanged");
    check("github", "claims = { repository_id = '1' }\nttl = '2h'").exits(2).says("ttl");
    check("github", "claims = { repository_id = '1' }\njti = 'never'").exits(2);
    check("gitlab", "claims = { project_id = '1' }\nissuer = 'other'").exits(2);
}

fn ask(server: &ServerProcess, token: &str) -> Reply {
    let body = json!({ "token": token }).to_string();
    let length = body.len();
    let head =
        format!("POST /auth/oidc/token HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
    exchange(server.address, &head, body.as_bytes()).unwrap()
}

#[test]
fn a_changed_policy_counts_from_the_next_hangup_on_and_no_log_holds_a_token() {
    let directory = tempfile::tempdir().unwrap();
    let issuer = TestIssuer::start();
    let policy = policy(&directory, &issuer);
    let server = ServerProcess::with(&format!("--config {}", policy.display()));
    let identity = token(&issuer, "refs/tags/v1.2");
    let answer = ask(&server, &identity);
    assert_eq!(answer.status, 200);
    let exchanged = answer.json()["access_token"].as_str().unwrap().to_owned();
    let text = fs::read_to_string(&policy).unwrap();
    fs::write(&policy, text.replace("1000001", "1000002")).unwrap();
    server.signal(Signal::HUP);
    until("the policy is read", || server.log().contains("read the configuration again"));
    assert_eq!(ask(&server, &token(&issuer, "refs/tags/v1.2")).status, 403);
    let log = server.log();
    assert!(log.contains("exchanged an identity token"), "{log}");
    for secret in [&identity, &exchanged] {
        let signature = secret.rsplit('.').next().unwrap();
        assert!(!log.contains(signature), "{log}");
    }
}

#[test]
#[ignore = "needs bash and curl: .ci/run installs them and runs this; by hand: cargo test -- --ignored"]
fn the_job_of_the_guide_works_as_it_stands_there() {
    let directory = tempfile::tempdir().unwrap();
    let issuer = TestIssuer::start();
    let server = ServerProcess::with(&format!("--config {}", policy(&directory, &issuer).display()));
    fs::create_dir(directory.path().join("dist")).unwrap();
    fs::write(directory.path().join("dist/tool.txt"), "hello").unwrap();
    let binary = Path::new(env!("CARGO_BIN_EXE_larder")).parent().unwrap();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
    let mut job = Command::new("bash");
    job.args(["-eu", "-o", "pipefail", "-c", block("sh job")]).current_dir(&directory).env_clear();
    job.env("PATH", path).env("JWT", token(&issuer, "refs/tags/v1.2")).env("TAG", "v1.2");
    let output = job.env("LARDER_SERVER", server.url()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(server.get("/manifests/miren/v1.2").unwrap().status, 200);
}
