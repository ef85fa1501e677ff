//! Logging in: challenges, the token endpoint, and passwords that are tokens.

use larder::clock::{Clock as _, SystemClock};
use larder::config::{Access, Token};
use larder::domain::{Permission, Reads};
use reqwest::Method;
use serde_json::Value;

use super::{basic, some_tokens, token};
use crate::oci::registry::{Registry, location, refused, with_digest};
use crate::support::issuer::{AUDIENCE, TestIssuer};
use crate::support::process::{ServerProcess, exchange};
use crate::support::server::{Answer, TestServer, send};

const ANONYMOUS: &str = "larder-anonymous";

async fn with(server: &TestServer, method: &str, path: &str, authorization: &str) -> Answer {
    Registry::of(server).anonymous().ask(method, path, &[("authorization", authorization)], "").await
}

/// What the token endpoint gives for these credentials.
async fn token_for(server: &TestServer, query: &str, authorization: Option<&str>) -> Value {
    let headers: Vec<_> = authorization.iter().map(|value| ("authorization", *value)).collect();
    let path = format!("/v2/token{query}");
    let answer = Registry::of(server).anonymous().ask("GET", &path, &headers, "").await.expect(200);
    assert_eq!(answer.header("cache-control"), "no-store");
    let answer = answer.json();
    assert_eq!(answer["token"], answer["access_token"]);
    let issued: jiff::Timestamp = answer["issued_at"].as_str().unwrap().parse().unwrap();
    assert!(SystemClock.now().duration_since(issued).abs().as_secs() < 60, "{answer}");
    answer
}

#[tokio::test]
async fn only_good_credentials_pass_the_first_question() {
    let server = TestServer::with(some_tokens).await;
    let good = [
        "Bearer secret of ci".to_owned(),
        format!("bearer {ANONYMOUS}"),
        basic("any", "secret of ci"),
        basic("", "secret of reader"),
        basic("x", ANONYMOUS),
    ];
    let bad = [
        "Bearer wrong".to_owned(),
        "Bearer secret of old".to_owned(),
        "Bearer".to_owned(),
        "Negotiate YII=".to_owned(),
        "Basic ????".to_owned(),
        basic("secret of ci", ""),
        basic("x", ""),
        basic("x", "secret of ci "),
        basic("x", "secret of old"),
    ];
    for path in ["/v2/", "/v2"] {
        for method in ["GET", "HEAD"] {
            for value in &good {
                with(&server, method, path, value).await.expect(200);
            }
            for value in &bad {
                let answer = with(&server, method, path, value).await.expect(401);
                assert!(answer.header("www-authenticate").ends_with(",error=\"invalid_token\""), "{answer:?}");
            }
            let answer = Registry::of(&server).anonymous().ask(method, path, &[], "").await.expect(401);
            let host = server.address;
            let challenge = format!("Bearer realm=\"http://{host}/v2/token\",service=\"{host}\"");
            assert_eq!(answer.header("www-authenticate"), challenge);
            // Neither user nor password is what some clients send who have neither: they get the token of nobody next.
            with(&server, method, path, &basic("", "")).await.expect(200);
        }
    }
    for value in &bad {
        let why = refused(with(&server, "GET", "/v2/token", value).await, 401, "UNAUTHORIZED");
        assert!(why["message"].as_str().unwrap().ends_with('.'), "{why}");
    }
    for value in good {
        with(&server, "HEAD", "/v2/token", &value).await.expect(200);
    }
}

#[tokio::test]
async fn the_token_endpoint_gives_back_the_password_whatever_is_asked_for() {
    let server = TestServer::with(some_tokens).await;
    let one = "scope=repository:team/app:pull";
    for query in [
        "",
        "?",
        "?service=x",
        &format!("?service=x&{one}"),
        &format!("?{one}&scope=repository%3Aother%2Fb%3Apush%2Cpull"),
        "?scope=repository:a/b:pull%20repository:c/d:push,pull",
        "?scope=registry:catalog:*&account=me&client_id=docker&offline_token=true",
        "?scope=nonsense&scope=&=&&service",
        &format!("?{}", vec![one; 100].join("&")),
    ] {
        let known = token_for(&server, query, Some(&basic("me", "secret of ci"))).await;
        assert_eq!(
            (known["token"].as_str(), known["expires_in"].as_i64()),
            (Some("secret of ci"), Some(300)),
            "{query}"
        );
        assert_eq!(token_for(&server, query, None).await["token"], ANONYMOUS, "{query}");
        assert_eq!(token_for(&server, query, Some(&basic("", ""))).await["token"], ANONYMOUS, "{query}");
    }
    let form = [("content-type", "application/x-www-form-urlencoded")];
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let body = "grant_type=password&password=secret+of+ci";
        Registry::of(&server).ask(method, "/v2/token", &form, body).await.expect(404);
    }
}

#[tokio::test]
async fn identity_tokens_log_in_for_as_long_as_they_live() {
    let issuer = TestIssuer::start();
    let text = format!(
        "audience = '{AUDIENCE}'\n[[issuers]]\nid = 'github'\nkind = 'github'\nurl = '{}'\n\
         algorithms = ['ES256', 'RS256']\n[[rules]]\nid = 'r'\nissuer = 'github'\nttl = '2m'\n\
         grants = [{{ actions = ['publish'], names = ['team/{{ref_name}}'] }}]\n\
         [rules.claims]\nrepository_id = '1000001'\nrepository = 'mirendev/runtime'\nref = 'refs/tags/v*'\n",
        issuer.url()
    );
    let access: Access = toml::from_str(&text).unwrap();
    let server = TestServer::with(|config| config.access = access).await;
    let identity = issuer.token(&TestIssuer::github("v1"));
    let why = refused(with(&server, "GET", "/v2/token", &basic("x", &identity)).await, 401, "UNAUTHORIZED");
    assert!(why["message"].as_str().unwrap().contains("/auth/oidc/token"), "{why}");
    let body = serde_json::json!({ "token": identity }).to_string();
    let exchanged = send(server.anonymous(Method::POST, "/auth/oidc/token").body(body)).await.expect(200).json();
    let exchanged = exchanged["access_token"].as_str().unwrap();
    let answer = token_for(&server, "", Some(&basic("x", exchanged))).await;
    assert_eq!(answer["token"], exchanged);
    assert!((60..=120).contains(&answer["expires_in"].as_i64().unwrap()), "{answer}");
    with(&server, "GET", "/v2/", &format!("Bearer {exchanged}")).await.expect(200);
    // A token that was revoked does not log in any more.
    let revoke = server.anonymous(Method::DELETE, "/auth/oidc/token").bearer_auth(exchanged);
    send(revoke).await.expect(204);
    refused(with(&server, "GET", "/v2/token", &basic("x", exchanged)).await, 401, "UNAUTHORIZED");
    refused(with(&server, "GET", "/v2/", &basic("x", exchanged)).await, 401, "UNAUTHORIZED");
}

#[tokio::test]
async fn the_challenge_leads_back_to_where_the_client_came_from() {
    let server = TestServer::start().await;
    let anonymous = Registry::of(&server).anonymous();
    let asked = async |headers: &[(&str, &str)]| {
        let answer = anonymous.ask("GET", "/v2/", headers, "").await.expect(401);
        let challenge = answer.header("www-authenticate").to_owned();
        challenge.split('"').nth(1).unwrap().to_owned()
    };
    for (headers, origin) in [
        (&[("host", "assets.example")][..], "https://assets.example"),
        (&[("host", "assets.example:8443")], "https://assets.example:8443"),
        (&[("host", "assets.example:8443"), ("x-forwarded-proto", "https")], "https://assets.example:8443"),
        (&[("host", "assets.example"), ("forwarded", "for=1.2.3.4;proto=https")], "https://assets.example"),
        // What a proxy in front of a proxy often gets wrong must not have passwords sent in clear.
        (&[("host", "assets.example"), ("x-forwarded-proto", "http")], "https://assets.example"),
        (&[("host", "localhost:5000")], "http://localhost:5000"),
        (&[("host", "localhost:5000"), ("x-forwarded-proto", "https")], "https://localhost:5000"),
        (&[("host", "assets.example"), ("x-forwarded-host", "evil.example")], "https://assets.example"),
    ] {
        assert_eq!(asked(headers).await, format!("{origin}/v2/token"), "{headers:?}");
    }
    let http2 = reqwest::Client::builder().http2_prior_knowledge().no_proxy().build().unwrap();
    let answer = http2.get(server.url("/v2/")).send().await.unwrap();
    let challenge = answer.headers()["www-authenticate"].to_str().unwrap();
    assert!(challenge.contains(&format!("realm=\"http://{}/v2/token\"", server.address)), "{challenge}");
    for url in ["https://assets.example", "http://lab.example:5000", "https://assets.example/larder"] {
        let server = TestServer::with(|config| config.server.public_url = Some(url.parse().unwrap())).await;
        let anonymous = Registry::of(&server).anonymous();
        let answer = anonymous.ask("GET", "/v2/", &[("host", "inner:8080")], "").await.expect(401);
        let realm = format!("{}/v2/token\"", url.trim_end_matches("/larder"));
        assert!(answer.header("www-authenticate").contains(&realm), "{answer:?}");
    }
}

#[tokio::test]
async fn uploads_stay_on_the_host_and_port_that_the_client_knows() {
    let server = TestServer::with(|config| {
        some_tokens(config);
        config.server.public_url = Some("https://assets.example/larder".parse().unwrap());
    })
    .await;
    let registry = Registry::of(&server).with_token("secret of ci");
    for headers in [
        &[("host", "inner:8080"), ("x-forwarded-proto", "https"), ("x-forwarded-host", "assets.example:8443")][..],
        &[("host", "assets.example:8443"), ("forwarded", "proto=https;host=assets.example")],
        &[("host", "[::1]:9000")],
    ] {
        let answer = registry.ask("POST", "/v2/team/app/blobs/uploads/", headers, "").await.expect(202);
        let upload = location(&answer);
        let path = with_digest(&upload, larder::domain::Digest::of(b"x"));
        let answer = registry.ask("PUT", &path, headers, "x").await.expect(201);
        assert!(location(&answer).starts_with("/v2/team/app/blobs/sha256:"), "{answer:?}");
    }
}

#[tokio::test]
async fn passwords_count_here_and_nowhere_else() {
    let server = TestServer::with(|config| {
        some_tokens(config);
        config.access.blob_reads = Reads::Token;
    })
    .await;
    let value = basic("x", "secret of reader");
    for path in ["/collector/runs", &format!("/blobs/{}", larder::domain::Digest::of(b"x"))] {
        let request = server.anonymous(Method::GET, path).header("authorization", &value);
        send(request).await.problem(401, "UNAUTHORIZED");
    }
    let request =
        server.anonymous(Method::PUT, "/manifests/team/app/x").header("authorization", basic("x", "secret of ci"));
    send(request).await.problem(401, "UNAUTHORIZED");
    let request = server.anonymous(Method::GET, "/collector/runs").bearer_auth(ANONYMOUS);
    send(request).await.problem(401, "UNAUTHORIZED");
}

#[tokio::test]
async fn a_token_for_other_surfaces_logs_in_and_is_told_what_it_may_not_do() {
    let server = TestServer::with(|config| {
        let elsewhere = Some(vec!["native".parse().unwrap()]);
        let publish = token("native", &[Permission::Publish], &["**"]);
        config.access.tokens = vec![Token { surfaces: elsewhere, ..publish }];
    })
    .await;
    with(&server, "GET", "/v2/", &basic("x", "secret of native")).await.expect(200);
    let answer = with(&server, "POST", "/v2/team/app/blobs/uploads/", &basic("x", "secret of native")).await;
    assert!(!answer.headers.contains_key("www-authenticate"), "another login would not help: {answer:?}");
    let why = refused(answer, 403, "DENIED");
    assert!(why["message"].as_str().unwrap().contains("`upload`"), "{why}");
}

#[tokio::test]
async fn who_is_refused_is_told_where_to_log_in_or_what_is_missing() {
    let server = TestServer::with(some_tokens).await;
    let uploads = "/v2/team/app/blobs/uploads/";
    let anonymous = Registry::of(&server).anonymous();
    let challenged = async |path: &str, authorization: Option<&str>| {
        let headers: Vec<_> = authorization.iter().map(|value| ("authorization", *value)).collect();
        let answer = anonymous.ask("POST", path, &headers, "").await;
        let challenge = answer.header("www-authenticate").to_owned();
        refused(answer, 401, "UNAUTHORIZED");
        challenge.split_once("service=").unwrap().1.split_once(',').unwrap().1.to_owned()
    };
    let scope = "scope=\"repository:team/app:pull,push\"";
    assert_eq!(challenged(uploads, None).await, scope);
    let nobody = format!("Bearer {ANONYMOUS}");
    assert_eq!(challenged(uploads, Some(&nobody)).await, format!("{scope},error=\"insufficient_scope\""));
    assert_eq!(challenged(uploads, Some("Bearer wrong")).await, format!("{scope},error=\"invalid_token\""));
    let deep = "/v2/blobs/uploads/manifests/blobs/uploads/";
    assert_eq!(challenged(deep, None).await, scope.replace("team/app", "blobs/uploads/manifests"));
    for (id, path) in [("ci", "/v2/team/other/blobs/uploads/"), ("reader", uploads)] {
        let answer = with(&server, "POST", path, &format!("Bearer secret of {id}")).await;
        assert!(!answer.headers.contains_key("www-authenticate"), "{answer:?}");
        let why = refused(answer, 403, "DENIED");
        assert!(why["message"].as_str().unwrap().contains(&format!("token:{id} was not granted")), "{why}");
    }
}

#[test]
fn no_log_ever_holds_a_password() {
    let config = tempfile::TempDir::new().unwrap();
    let file = config.path().join("larder.toml");
    std::fs::write(&file, "[log]\nfilter = 'trace'\n").unwrap();
    let server = ServerProcess::with(&format!("--config {}", file.display()));
    let secret = server.token();
    let value = basic("larder", &secret);
    let encoded = value.trim_start_matches("Basic ");
    let ask = |line: &str, authorization: &str| {
        let head = format!("{line} HTTP/1.1\r\nhost: x\r\nauthorization: {authorization}\r\nconnection: close\r\n\r\n");
        exchange(server.address, &head, b"").unwrap().status
    };
    assert_eq!(ask("GET /v2/token?service=x&account=larder", &value), 200);
    assert_eq!(ask("GET /v2/", &value), 200);
    assert_eq!(ask(&format!("GET /v2/token?password={secret}"), &format!("Basic {encoded}x")), 401);
    assert_eq!(ask("GET /v2/token", &basic(&secret, "wrong")), 401);
    let log = server.log();
    assert!(log.contains("/v2/token") && log.contains("larder:admin"), "{log}");
    for part in [secret.trim_start_matches("larder_"), &encoded[..24]] {
        assert!(!log.contains(part), "{log}");
    }
}
