//! Who may do what.

use larder::config::{NameRule, Token};
use larder::domain::Digest;
use larder::domain::{Cas, Permission, Reads};
use reqwest::Method;
use serde_json::json;

use crate::support::server::{Answer, TestServer, manifest, send};

fn token(id: &str, actions: &[Permission], names: &str) -> Token {
    Token {
        id: id.into(),
        sha256: Digest::of(format!("secret of {id}").as_bytes()).hex(),
        actions: actions.to_vec(),
        names: vec![names.parse().unwrap()],
        surfaces: None,
        until: None,
    }
}

async fn guarded() -> TestServer {
    TestServer::with(|config| {
        config.access.tokens = vec![
            token("ci", &[Permission::Publish], "miren/*"),
            token("ops", &[Permission::Promote, Permission::Pin, Permission::Retire], "**"),
            token("reader", &[Permission::Read], "private/**"),
            token("admin", &[Permission::Admin], "**"),
        ];
        let rule = |pattern: &str| NameRule { matches: vec![pattern.parse().unwrap()], ..NameRule::default() };
        config.names = vec![
            NameRule { read: Some(Reads::Token), ..rule("private/**") },
            NameRule { cas: Some(Cas::Required), ..rule("miren/locked") },
        ];
    })
    .await
}

async fn as_who(server: &TestServer, who: &str, method: Method, path: &str, body: String) -> Answer {
    send(server.anonymous(method, path).bearer_auth(format!("secret of {who}")).body(body)).await
}

fn release() -> String {
    manifest(&[("a", b"a")]).to_string()
}

#[tokio::test]
async fn writes_need_a_token_that_covers_action_and_name() {
    let server = guarded().await;
    assert!(!server.data.join("admin.token").exists(), "tokens are configured, so none is made");
    let blob = format!("/blobs/{}", Digest::of(b"a"));
    send(server.anonymous(Method::PUT, &blob).body("a")).await.problem(401, "UNAUTHORIZED");
    as_who(&server, "nobody", Method::PUT, &blob, "a".into()).await.problem(401, "UNAUTHORIZED");
    let denied = as_who(&server, "ops", Method::PUT, &blob, "a".into()).await;
    assert!(denied.header("www-authenticate").contains("insufficient_scope"));
    denied.problem(403, "DENIED");
    as_who(&server, "ci", Method::PUT, &blob, "a".into()).await.expect(201);
    as_who(&server, "ci", Method::PUT, "/manifests/other/main", release()).await.problem(403, "DENIED");
    as_who(&server, "ci", Method::PUT, "/manifests/miren/main", release()).await.expect(201);
    as_who(&server, "ci", Method::POST, "/versions/miren/main@1/promote", String::new()).await.expect(403);
    as_who(&server, "ci", Method::DELETE, "/manifests/miren/main@1", String::new()).await.expect(403);
    as_who(&server, "ops", Method::PUT, "/versions/miren/main@1/pin", String::new()).await.expect(200);
    as_who(&server, "ci", Method::POST, "/versions/miren/main@1/copy", json!({"to": "latest"}).to_string())
        .await
        .expect(403);
    as_who(&server, "ci", Method::POST, "/versions/miren/main@1/copy", json!({"to": "miren/latest"}).to_string())
        .await
        .expect(201);
    let history = server.get("/versions/miren/main").await.json();
    assert_eq!(history["versions"][0]["created_by"], "token:ci");
}

#[tokio::test]
async fn reading_a_private_name_needs_a_token() {
    let server = guarded().await;
    as_who(&server, "admin", Method::PUT, &format!("/blobs/{}", Digest::of(b"a")), "a".into()).await.expect(201);
    as_who(&server, "admin", Method::PUT, "/manifests/private/x", release()).await.expect(201);
    for path in ["/manifests/private/x", "/refs/private/x/a", "/versions/private/x", "/versions/private/x@1"] {
        server.get(path).await.problem(401, "UNAUTHORIZED");
        as_who(&server, "ci", Method::GET, path, String::new()).await.problem(403, "DENIED");
        let answer = as_who(&server, "reader", Method::GET, path, String::new()).await;
        assert!(answer.status.is_success() || answer.status == 307, "{path}");
        assert!(answer.header("cache-control").starts_with("private"), "{path}");
    }
    assert_eq!(server.get("/manifests").await.json()["manifests"], json!([]));
    let listed = as_who(&server, "reader", Method::GET, "/manifests", String::new()).await.json();
    assert_eq!(listed["manifests"][0]["name"], "private/x");
}

#[tokio::test]
async fn blobs_can_be_closed_too() {
    let server = TestServer::with(|config| config.access.blob_reads = Reads::Token).await;
    let path = format!("/blobs/{}", server.put_blob(b"secret").await);
    server.get(&path).await.problem(401, "UNAUTHORIZED");
    server.head(&path).await.expect(401);
    let answer = send(server.request(Method::GET, &path)).await.expect(200);
    assert!(answer.header("cache-control").starts_with("private"));
}

#[tokio::test]
async fn some_names_must_be_changed_with_a_precondition() {
    let server = guarded().await;
    as_who(&server, "ci", Method::PUT, &format!("/blobs/{}", Digest::of(b"a")), "a".into()).await.expect(201);
    as_who(&server, "ci", Method::PUT, "/manifests/miren/locked", release())
        .await
        .problem(428, "PRECONDITION_REQUIRED");
    let request = server.anonymous(Method::PUT, "/manifests/miren/locked").bearer_auth("secret of ci");
    send(request.header("if-none-match", "*").body(release())).await.expect(201);
    as_who(&server, "ops", Method::DELETE, "/manifests/miren/locked", String::new())
        .await
        .problem(428, "PRECONDITION_REQUIRED");
    as_who(&server, "ops", Method::DELETE, "/manifests/miren/locked@9", String::new()).await.expect(404);
    as_who(&server, "ops", Method::POST, "/versions/miren/locked@1/promote", String::new())
        .await
        .problem(428, "PRECONDITION_REQUIRED");
}

#[tokio::test]
async fn a_token_that_is_called_like_the_server_itself_is_somebody_else() {
    let directory = tempfile::TempDir::new().unwrap();
    let own = TestServer::on(directory.path(), |_| {}).await;
    let create = format!("/uploads?digest={}", Digest::of(b"a"));
    let began = send(own.request(Method::POST, &create).header("upload-complete", "?0")).await.expect(201);
    let upload = began.header("location").trim_start_matches(&own.url("")).to_owned();
    own.stop().await.unwrap();
    // Not checked as a file would be: the subject alone has to hold them apart.
    let server = TestServer::on(directory.path(), |config| {
        config.access.tokens = ["admin", "larder:admin"].map(|id| token(id, &[Permission::Publish], "**")).into();
    })
    .await;
    for who in ["admin", "larder:admin"] {
        as_who(&server, who, Method::HEAD, &upload, String::new()).await.expect(403);
        as_who(&server, who, Method::PUT, &format!("/blobs/{}", Digest::of(b"a")), "a".into()).await;
        let name = format!("by-{}", who.replace(':', "-"));
        as_who(&server, who, Method::PUT, &format!("/manifests/{name}"), release()).await.expect(201);
        let history = server.get(&format!("/versions/{name}")).await.json();
        assert_eq!(history["versions"][0]["created_by"], format!("token:{who}"));
    }
}

#[tokio::test]
async fn a_token_ends_when_its_time_is_over_and_reaches_no_other_surface() {
    let server = TestServer::with(|config| {
        let token = |id: &str| token(id, &[Permission::Admin], "**");
        let until = |time: &str| Some(time.parse().unwrap());
        config.access.tokens = vec![
            Token { until: until("2001-01-01T00:00:00Z"), ..token("old") },
            Token { until: until("2999-01-01T00:00:00Z"), surfaces: Some(vec!["native".into()]), ..token("new") },
            Token { surfaces: Some(vec!["other".into()]), ..token("elsewhere") },
        ];
    })
    .await;
    let runs = async |who| as_who(&server, who, Method::GET, "/collector/runs", String::new()).await;
    let refused = runs("old").await;
    assert!(refused.header("www-authenticate").contains("invalid_token"), "{refused:?}");
    assert!(refused.problem(401, "UNAUTHORIZED")["detail"].as_str().unwrap().contains("old"));
    runs("new").await.expect(200);
    runs("elsewhere").await.problem(403, "DENIED");
}

#[tokio::test]
async fn the_admin_token_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let server = TestServer::start().await;
    let file = server.data.join("admin.token");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(server.token.starts_with("larder_") && server.token.len() == 71);
    send(server.anonymous(Method::GET, "/collector/runs").header("authorization", "Basic eDp5"))
        .await
        .problem(401, "UNAUTHORIZED");
    send(server.anonymous(Method::GET, "/collector/runs").bearer_auth("wrong")).await.problem(401, "UNAUTHORIZED");
}
