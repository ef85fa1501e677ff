//! The whole of a pipeline, old and new, on one server: the old workflow publishes file by file with its job's identity,
//! installed clients upgrade, the next version comes from `larder publish`, is taken back, and an old tree is imported.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use larder::domain::Digest;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::fake::{Fake, answer};
use crate::support::issuer::TestIssuer;
use crate::support::process::{Larder, Reply, ServerProcess, exchange};

/// What a job shows to its platform.
const JOB_SECRET: &str = "a-job-has-this";
const AUDIENCE: &str = "http://127.0.0.1";
const FILES: usize = 14;

/// The claims of a job on the main branch.
fn job() -> Value {
    let mut claims = TestIssuer::github("unused");
    let workflow = "mirendev/runtime/.github/workflows/release.yml@refs/heads/main";
    for (claim, value) in [
        ("sub", "repo:mirendev/runtime:ref:refs/heads/main"),
        ("ref", "refs/heads/main"),
        ("ref_type", "branch"),
        ("workflow_ref", workflow),
        ("job_workflow_ref", workflow),
        ("aud", AUDIENCE),
    ] {
        claims[claim] = json!(value);
    }
    claims
}

/// The platform of a job, which gives identity tokens to whoever has the job's secret.
fn platform(issuer: &Arc<TestIssuer>) -> Fake {
    let issuer = Arc::clone(issuer);
    Fake::start(move |request, _| {
        assert_eq!(request.header("authorization"), Some(&*format!("Bearer {JOB_SECRET}")));
        assert!(request.path.contains("audience=http"), "{}", request.path);
        let body = json!({"value": issuer.token(&job())}).to_string();
        answer(200, &[("content-type", "application/json")], body.as_bytes())
    })
}

fn server(directory: &Path, issuer: &TestIssuer) -> ServerProcess {
    let config = directory.join("larder.toml");
    let policy = format!(
        r#"
        [access]
        audience = "{AUDIENCE}"
        [[access.issuers]]
        id = "github"
        kind = "github"
        url = "{}"
        algorithms = ["ES256"]
        [[access.rules]]
        id = "old-workflow"
        issuer = "github"
        raw_bearer = true
        grants = [{{ actions = ["publish"], names = ["miren/**"], surfaces = ["assets"] }}]
        claims = {{ repository_id = "1000001", repository_owner_id = "2000002" }}
        [[access.rules]]
        id = "release"
        issuer = "github"
        grants = [{{ actions = ["publish", "promote"], names = ["miren/{{ref_name}}"] }}]
        claims = {{ repository_id = "1000001", repository_owner_id = "2000002", ref = "refs/heads/main" }}
        [[assets.paths]]
        prefix = "release/miren"
        name = "miren/{{channel}}"
        "#,
        issuer.url()
    );
    fs::write(&config, policy).unwrap();
    ServerProcess::with(&format!("--config {}", config.display()))
}

/// One file as the only part of a form, as `curl -F` sends it.
fn put(server: &ServerProcess, token: &str, path: &str, bytes: &[u8]) -> Reply {
    let name = path.rsplit('/').next().unwrap();
    let boundary = "------------------------d74496d66958873e";
    let head = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    );
    let body = [head.as_bytes(), bytes, format!("\r\n--{boundary}--\r\n").as_bytes()].concat();
    let head = format!(
        "PUT /assets/release/miren/{path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
         content-type: multipart/form-data; boundary={boundary}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    exchange(server.address, &head, &body).unwrap()
}

fn file(of: usize, version: &str) -> (String, Vec<u8>) {
    (format!("miren-{of}-linux-amd64.tar.gz"), format!("{version}, file {of}").into_bytes())
}

fn version_json(version: &str) -> String {
    let artifact = |of| {
        let (name, bytes) = file(of, version);
        json!({"name": name, "sha256": Digest::of(&bytes).hex(), "size": bytes.len(), "platform": "linux", "arch": "amd64"})
    };
    let artifacts: Vec<Value> = (0..FILES).map(artifact).collect();
    json!({"version": version, "commit": "abc1234", "branch": "main", "build_date": "2026-05-27T10:00:00Z",
        "artifacts": artifacts})
    .to_string()
}

/// What an installed client does: which version is there, its digest, its bytes. Returns the version.
fn upgrade(server: &ServerProcess, channel: &str) -> String {
    let get = |file: &str| {
        let reply = server.get(&format!("/assets/release/miren/{channel}/{file}")).unwrap();
        assert_eq!(reply.status, 200, "{file}: {}", String::from_utf8_lossy(&reply.body));
        assert!(reply.header("content-length").is_some() && reply.header("content-encoding").is_none(), "{reply:?}");
        reply.body
    };
    let described: Value = serde_json::from_slice(&get("version.json")).unwrap();
    for of in 0..FILES {
        let (name, _) = file(of, "");
        let bytes = get(&name);
        let stated = String::from_utf8(get(&format!("{name}.sha256"))).unwrap();
        assert_eq!(stated.split_whitespace().next().unwrap(), Digest::of(&bytes).hex(), "{name}");
    }
    described["version"].as_str().unwrap().to_owned()
}

/// The requests of the old workflow, 30 of them with one identity token.
fn old_workflow(server: &ServerProcess, token: &str) {
    for of in 0..FILES {
        let (name, bytes) = file(of, "main:abc1234");
        let sidecar = format!("{}  {name}\n", Digest::of(&bytes).hex());
        assert!(put(server, token, &format!("main/{name}"), &bytes).status < 300);
        assert!(put(server, token, &format!("main/{name}.sha256"), sidecar.as_bytes()).status < 300);
        assert_eq!(server.get("/assets/release/miren/main/version.json").unwrap().status, 404, "nothing is there yet");
    }
    for channel in ["main", "latest"] {
        let stored = put(server, token, &format!("{channel}/version.json"), version_json("main:abc1234").as_bytes());
        assert!(stored.status < 300, "{}", String::from_utf8_lossy(&stored.body));
        assert_eq!(upgrade(server, channel), "main:abc1234");
    }
    let elsewhere = format!(
        "DELETE /manifests/miren/main HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\r\n"
    );
    assert_eq!(exchange(server.address, &elsewhere, &[]).unwrap().status, 403, "it is good for nothing else");
}

#[test]
fn an_old_pipeline_and_a_new_one_publish_to_the_same_server() {
    let directory = TempDir::new().unwrap();
    let issuer = Arc::new(TestIssuer::start());
    let server = server(directory.path(), &issuer);
    let platform = platform(&issuer);

    old_workflow(&server, &issuer.token(&job()));

    // The new workflow: `larder publish` proves by itself who it is.
    let job = |arguments: &str| -> Larder {
        let larder = server.larder(arguments).env("LARDER_TOKEN_FILE", "").env("GITHUB_ACTIONS", "true");
        let larder = larder.env("ACTIONS_ID_TOKEN_REQUEST_URL", format!("{}/id-token?api-version=2.0", platform.url()));
        larder.env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", JOB_SECRET)
    };
    let dist = TempDir::new().unwrap();
    for of in 0..FILES {
        let (name, bytes) = file(of, "main:def5678");
        fs::write(dist.path().join(name), bytes).unwrap();
    }
    let published = job("publish miren/main . --label main:def5678 --commit def5678").within(&dist).ok();
    assert!(published.stdout.starts_with("miren/main@3 "), "{published:?}");
    assert_eq!(upgrade(&server, "main"), "main:def5678");
    assert_eq!(upgrade(&server, "latest"), "main:abc1234");
    let (name, bytes) = file(3, "main:def5678");
    let manifest = server.get("/manifests/miren/main").unwrap().json();
    assert_eq!(manifest["artifacts"].as_array().unwrap().len(), FILES);
    let referred = server.get(&format!("/refs/miren/main/{name}")).unwrap();
    let blob = referred.header("location").unwrap().to_owned();
    assert_eq!(server.get(&blob).unwrap().body, bytes);
    // The first one was the draft.
    for (version, rule) in [(2, "rule=old-workflow\""), (3, "rule=old-workflow,release\"")] {
        let row = server.get(&format!("/versions/miren/main@{version}")).unwrap().json().to_string();
        for claim in [rule, "release.yml", "repository=mirendev/runtime", "commit=abc1234", "run=17/1"] {
            assert!(row.contains(claim), "{claim} is not in {row}");
        }
    }
    job("publish miren/other . --label x").within(&dist).exits(4).says("miren/other");

    // It was a bad one.
    job("rollback miren/main").ok();
    assert_eq!(upgrade(&server, "main"), "main:abc1234");

    import_of_an_old_tree_with_one_torn_pair(&server, &directory);
}

fn import_of_an_old_tree_with_one_torn_pair(server: &ServerProcess, directory: &TempDir) {
    let old = directory.path().join("old/release/miren/v0.5.0");
    fs::create_dir_all(&old).unwrap();
    for of in 0..FILES {
        let (name, bytes) = file(of, "v0.5.0");
        fs::write(old.join(format!("{name}.sha256")), format!("{}  {name}\n", Digest::of(&bytes).hex())).unwrap();
        fs::write(old.join(name), if of == 5 { b"newer bytes".to_vec() } else { bytes }).unwrap();
    }
    fs::write(old.join("version.json"), version_json("v0.5.0")).unwrap();
    server.larder("import flat old release/miren").within(directory).exits(8).says("TORN_PAIR");
    let imported = server.get("/manifests/miren/v0.5.0").unwrap().json();
    assert_eq!(imported["artifacts"].as_array().unwrap().len(), FILES - 1);
}

#[test]
fn two_runs_of_a_workflow_do_not_share_what_they_sent() {
    let directory = TempDir::new().unwrap();
    let issuer = TestIssuer::start();
    let server = server(directory.path(), &issuer);
    let run = |number: &str| {
        let mut claims = job();
        claims["run_id"] = json!(number);
        issuer.token(&claims)
    };
    let (one, other) = (run("17"), run("18"));
    for of in 0..FILES {
        let (name, bytes) = file(of, "main:abc1234");
        assert!(put(&server, &one, &format!("main/{name}"), &bytes).status < 300);
    }
    // No version.json lists it, so no digest tells whose it is.
    for (token, notes) in [(&one, "of one"), (&other, "of the other")] {
        assert!(put(&server, token, "main/notes.txt", notes.as_bytes()).status < 300);
    }
    let document = version_json("main:abc1234");
    assert!(put(&server, &one, "main/version.json", document.as_bytes()).status < 300);
    assert_eq!(server.get("/assets/release/miren/main/notes.txt").unwrap().body, b"of one");
}
