//! Identity tokens of jobs: exchanged, used, refused and explained.

mod claims;
mod forged;
mod outages;

use std::path::Path;

use larder::config::Access;
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::json;

use crate::support::issuer::{AUDIENCE, TestIssuer};
use crate::support::server::{Answer, TestServer, manifest, send};

/// The rule that most tests are about.
const RULE: &str = r#"
[[rules]]
id = "runtime-release"
issuer = "github"
grants = [{ actions = ["publish"], names = ["miren/{ref_name}"] }, { actions = ["promote"], names = ["miren/latest"] }]
[rules.claims]
repository_id = "1000001"
repository = "mirendev/runtime"
workflow_file = ".github/workflows/release.yml"
ref = "refs/tags/v*"
"#;

/// `[access]` with this issuer, as GitHub, and these rules.
pub fn access(issuer: &TestIssuer, rules: &str) -> Access {
    let url = issuer.url();
    let text = format!(
        "audience = '{AUDIENCE}'\n[[issuers]]\nid = 'github'\nkind = 'github'\nurl = '{url}'\n\
         algorithms = ['ES256', 'RS256']\n{rules}"
    );
    toml::from_str(&text).unwrap()
}

async fn server(issuer: &TestIssuer) -> TestServer {
    let access = access(issuer, RULE);
    TestServer::with(|config| config.access = access).await
}

async fn on(data: &Path, issuer: &TestIssuer) -> TestServer {
    let access = access(issuer, RULE);
    TestServer::on(data, |config| config.access = access).await
}

async fn exchange(server: &TestServer, token: &str) -> Answer {
    let request = server.anonymous(Method::POST, "/auth/oidc/token");
    send(request.body(json!({ "token": token }).to_string())).await
}

async fn exchanged(server: &TestServer, token: &str) -> String {
    exchange(server, token).await.expect(200).json()["access_token"].as_str().unwrap().to_owned()
}

async fn publish(server: &TestServer, token: &str, name: &str) -> Answer {
    let body = manifest(&[("a", b"a")]).to_string();
    send(server.anonymous(Method::PUT, &format!("/manifests/{name}")).bearer_auth(token).body(body)).await
}

#[tokio::test]
async fn a_job_publishes_with_what_its_identity_is_exchanged_for() {
    for issuer in [TestIssuer::start(), TestIssuer::with_rsa()] {
        let server = server(&issuer).await;
        server.put_blob(b"a").await;
        let answer = exchange(&server, &issuer.token(&TestIssuer::github("v1.2"))).await.expect(200);
        assert_eq!(answer.header("cache-control"), "no-store");
        let answer = answer.json();
        assert_eq!(answer["token_type"], "Bearer");
        assert_eq!(answer["expires_in"], 900);
        assert_eq!(answer["issued_token_type"], "urn:ietf:params:oauth:token-type:access_token");
        assert_eq!(answer["rules"][0]["names"], json!(["miren/v1.2"]));
        let token = answer["access_token"].as_str().unwrap();
        publish(&server, token, "miren/v1.2").await.expect(201);
        for other in ["miren/v1.3", "miren/latest", "other/v1.2"] {
            publish(&server, token, other).await.problem(403, "DENIED");
        }
        let row = server.get("/versions/miren/v1.2@1").await.expect(200).json();
        assert_eq!(row["created_by"], "github:1000001:.github/workflows/release.yml@refs/tags/v1.2");
        let claims = row["claims"].as_array().unwrap();
        for claim in [
            "rule=runtime-release",
            &format!("issuer={}", issuer.url()),
            "repository=mirendev/runtime",
            "commit=abc1234",
            "run=17/1",
            "subject=repo:mirendev/runtime:ref:refs/tags/v1.2",
        ] {
            assert!(claims.contains(&json!(claim)), "{claim} is not in {claims:?}");
        }
    }
}

#[tokio::test]
async fn other_tokens_and_anonymous_readers_are_as_before() {
    let issuer = TestIssuer::start();
    let server = server(&issuer).await;
    server.publish("main", &[("a", b"a")]).await;
    server.get("/manifests/main").await.expect(200);
    let token = issuer.token(&TestIssuer::github("v1"));
    let read = send(server.anonymous(Method::GET, "/manifests/main").bearer_auth(&token)).await;
    read.expect(200);
    let refused = publish(&server, &token, "miren/v1").await.problem(401, "UNAUTHORIZED");
    assert!(refused["detail"].as_str().unwrap().contains("POST /auth/oidc/token"), "{refused}");
    publish(&server, "larder-x1.abc.def.ghi", "miren/v1").await.problem(401, "UNAUTHORIZED");
}

#[tokio::test]
async fn the_form_of_the_standard_is_understood() {
    let issuer = TestIssuer::start();
    let server = server(&issuer).await;
    let ask = async |body: String| {
        let request = server.anonymous(Method::POST, "/auth/oidc/token");
        send(request.header(CONTENT_TYPE, "application/x-www-form-urlencoded; charset=utf-8").body(body)).await
    };
    let token = issuer.token(&TestIssuer::github("v1"));
    let exchange = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange";
    let jwt = "subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt";
    ask(format!("{exchange}&subject_token={token}&{jwt}&scope=x")).await.expect(200);
    for bad in [String::new(), format!("{exchange}&{jwt}"), format!("grant_type=password&subject_token={token}&{jwt}")]
    {
        let problem = ask(bad).await.problem(400, "REQUEST_INVALID");
        assert_eq!(problem["error"], "invalid_request");
    }
    for bad in ["", "{}", "[]", "\"x\"", r#"{"token": 1}"#, r#"{"token": "a", "more": 1}"#] {
        let request = server.anonymous(Method::POST, "/auth/oidc/token");
        send(request.body(bad)).await.problem(400, "REQUEST_INVALID");
    }
    let long = json!({ "token": "x".repeat(40 << 10) }).to_string();
    send(server.anonymous(Method::POST, "/auth/oidc/token").body(long)).await.problem(413, "SIZE_INVALID");
}

#[tokio::test]
async fn the_audience_is_served() {
    let issuer = TestIssuer::start();
    let answer = server(&issuer).await.get("/auth/oidc/audience").await.expect(200).json();
    assert_eq!(answer, json!({ "audience": AUDIENCE }));
    let mut own = access(&issuer, RULE);
    own.audience = None;
    let public = TestServer::with(|config| {
        config.access = own;
        config.server.public_url = Some("https://assets.example.org".parse().unwrap());
    })
    .await;
    assert_eq!(public.get("/auth/oidc/audience").await.json()["audience"], "https://assets.example.org");
    let plain = TestServer::start().await;
    plain.get("/auth/oidc/audience").await.problem(404, "NOT_FOUND");
    exchange(&plain, "x").await.problem(404, "NOT_FOUND");
}

#[tokio::test]
async fn an_identity_is_exchanged_once_through_whichever_server() {
    let issuer = TestIssuer::start();
    let first = server(&issuer).await;
    let second = on(&first.data, &issuer).await;
    let token = issuer.token(&TestIssuer::github("v1"));
    let races = (0..8).map(|number| exchange(if number % 2 == 0 { &first } else { &second }, &token));
    let statuses: Vec<_> =
        futures_util::future::join_all(races).await.into_iter().map(|answer| answer.status.as_u16()).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    let refused = exchange(&first, &token).await.problem(401, "UNAUTHORIZED");
    assert!(refused["detail"].as_str().unwrap().contains("used already"), "{refused}");
}

#[tokio::test]
async fn any_server_of_the_store_judges_a_token_and_a_new_process_still_does() {
    let issuer = TestIssuer::start();
    let directory = tempfile::tempdir().unwrap();
    let first = on(directory.path(), &issuer).await;
    first.put_blob(b"a").await;
    let token = exchanged(&first, &issuer.token(&TestIssuer::github("v1"))).await;
    let second = on(directory.path(), &issuer).await;
    publish(&second, &token, "miren/v1").await.expect(201);
    first.stop().await.unwrap();
    second.stop().await.unwrap();
    let third = on(directory.path(), &issuer).await;
    publish(&third, &token, "miren/v1").await.expect(200);
}

#[tokio::test]
async fn a_revoked_token_counts_nowhere() {
    let issuer = TestIssuer::start();
    let first = server(&issuer).await;
    let second = on(&first.data, &issuer).await;
    first.put_blob(b"a").await;
    let token = exchanged(&first, &issuer.token(&TestIssuer::github("v1"))).await;
    publish(&first, &token, "miren/v1").await.expect(201);
    let revoke = async |token: &str| send(first.anonymous(Method::DELETE, "/auth/oidc/token").bearer_auth(token)).await;
    revoke(&token).await.expect(204);
    for server in [&first, &second] {
        let refused = publish(server, &token, "miren/v1").await.problem(401, "UNAUTHORIZED");
        assert!(refused["detail"].as_str().unwrap().contains("revoked"), "{refused}");
    }
    revoke("larder-x1.abc.def.ghi").await.problem(401, "UNAUTHORIZED");
    revoke(&first.token).await.problem(401, "UNAUTHORIZED");
    send(first.anonymous(Method::DELETE, "/auth/oidc/token")).await.problem(401, "UNAUTHORIZED");
}

#[tokio::test]
async fn a_token_that_ends_in_the_middle_of_a_publish_says_so() {
    let issuer = TestIssuer::start();
    let short = access(&issuer, &RULE.replace("issuer = \"github\"", "issuer = \"github\"\nttl = \"2s\""));
    let server = TestServer::with(|config| config.access = short).await;
    let answer = exchange(&server, &issuer.token(&TestIssuer::github("v1"))).await.expect(200).json();
    assert_eq!(answer["expires_in"], 2);
    let token = answer["access_token"].as_str().unwrap();
    let blob = format!("/blobs/{}", larder::domain::Digest::of(b"a"));
    send(server.anonymous(Method::PUT, &blob).bearer_auth(token).body("a")).await.expect(201);
    tokio::time::sleep(std::time::Duration::from_millis(2100)).await;
    let refused = publish(&server, token, "miren/v1").await.problem(401, "UNAUTHORIZED");
    assert!(refused["detail"].as_str().unwrap().contains("over"), "{refused}");
    let again = exchanged(&server, &issuer.token(&TestIssuer::github("v1"))).await;
    publish(&server, &again, "miren/v1").await.expect(201);
}

#[tokio::test]
async fn a_rule_may_accept_identities_unexchanged_and_on_one_surface_only() {
    let issuer = TestIssuer::start();
    let raw = format!("raw_bearer = true\n{}", RULE.split_once("[[rules]]").unwrap().1);
    let raw_access = access(&issuer, &format!("[[rules]]\n{raw}"));
    let server = TestServer::with(|config| config.access = raw_access).await;
    server.put_blob(b"a").await;
    let token = issuer.token(&TestIssuer::github("v1"));
    publish(&server, &token, "miren/v1").await.expect(201);
    publish(&server, &token, "miren/v1").await.expect(200);
    publish(&server, &token, "miren/v2").await.problem(403, "DENIED");
    let asked = issuer.requests();
    publish(&server, &token, "miren/v1").await.expect(200);
    assert_eq!(issuer.requests(), asked, "what was verified is remembered");
    let branch = json!({"ref": "refs/heads/main"});
    let mut claims = TestIssuer::github("v1");
    claims.as_object_mut().unwrap().extend(branch.as_object().unwrap().clone());
    let refused = publish(&server, &issuer.token(&claims), "miren/v1").await.problem(401, "UNAUTHORIZED");
    assert!(refused["detail"].as_str().unwrap().contains("refs/heads/main"), "{refused}");
    let elsewhere = raw.replacen("names = [\"miren/{ref_name}\"]", "names = [\"**\"], surfaces = [\"assets\"]", 1);
    let elsewhere = access(&issuer, &format!("[[rules]]\n{elsewhere}"));
    let limited = TestServer::with(|config| config.access = elsewhere).await;
    limited.put_blob(b"a").await;
    publish(&limited, &token, "miren/v1").await.problem(403, "DENIED");
}

#[tokio::test]
async fn only_the_owner_of_the_directory_reads_the_keys_and_nothing_logs_them() {
    use std::os::unix::fs::PermissionsExt as _;
    let issuer = TestIssuer::start();
    let server = server(&issuer).await;
    exchanged(&server, &issuer.token(&TestIssuer::github("v1"))).await;
    let keys = server.data.join("objects/aux/keys/@");
    let files: Vec<_> = std::fs::read_dir(keys).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "one server made the ring once");
    let mode = std::fs::metadata(&files[0]).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600, "{mode:o}");
}
