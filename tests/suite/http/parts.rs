//! One release made of parts that several jobs send.

use larder::config::NameRule;
use larder::domain::Digest;
use larder::domain::policy::Labels;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::server::{Answer, TestServer, send};

/// A part with these files, and other members.
fn part(files: &[(&str, &[u8])], members: &Value) -> String {
    let mut part = members.clone();
    let artifact =
        |(name, bytes): &(&str, &[u8])| json!({"name": name, "blob": Digest::of(bytes), "size": bytes.len()});
    part["artifacts"] = files.iter().map(artifact).collect();
    part.to_string()
}

async fn begin(server: &TestServer, label: &str, parts: &[&str]) -> Answer {
    server.post("/sessions/main", &json!({"label": label, "parts": parts})).await
}

#[tokio::test]
async fn jobs_find_one_session_and_the_last_one_completes_it() {
    let server = TestServer::start().await;
    let begun = begin(&server, "v1", &["linux", "macos"]).await.expect(201);
    assert_eq!(begun.header("location"), "/sessions/main@1");
    assert_eq!(begun.json()["parts"], json!({"done": [], "waiting": ["linux", "macos"]}));
    let again = begin(&server, "v1", &["macos", "linux"]).await.expect(200).json();
    assert_eq!((&again["version"], &again["label"]), (&json!(1), &json!("v1")));
    let other = begin(&server, "v1", &["linux"]).await.problem(409, "PARTS_CONFLICT");
    assert_eq!(other["parts"], json!(["linux", "macos"]));
    assert!(other["detail"].as_str().unwrap().contains("linux, macos, not linux"), "{other}");
    assert_eq!(begin(&server, "v2", &["linux"]).await.expect(201).json()["version"], 2);

    // Declared before the upload, and replaced as a whole.
    server.put("/sessions/main@1/parts/linux", part(&[("wrong", b"w")], &json!({}))).await.expect(200);
    let linux = part(&[("z-linux", b"lll"), ("notes", b"n")], &json!({"commit": "abc", "metadata": {"a": 1}}));
    let put = server.put("/sessions/main@1/parts/linux", linux.clone()).await.expect(200).json();
    assert_eq!(put["parts"], json!({"done": ["linux"], "waiting": ["macos"]}));
    let mut lacking: Vec<_> = put["missing"].as_array().unwrap().clone();
    lacking.sort_by_key(ToString::to_string);
    assert_eq!(lacking, [json!(Digest::of(b"n")), json!(Digest::of(b"lll"))]);
    let waits = server.put("/sessions/main@1", "").await.problem(409, "PARTS_MISSING");
    assert_eq!(waits["missing_parts"], json!(["macos"]));
    server
        .put("/sessions/main@1/parts/macos", part(&[("a-macos", b"mmm")], &json!({"commit": "abc"})))
        .await
        .expect(200);
    let lacks = server.put("/sessions/main@1", "").await.problem(409, "MANIFEST_BLOB_UNKNOWN");
    assert_eq!(lacks["missing"].as_array().unwrap().len(), 3);
    server.get("/manifests/main").await.expect(404);
    for bytes in [&b"lll"[..], b"n", b"mmm"] {
        server.put_blob(bytes).await;
    }
    let receipt = server.put("/sessions/main@1", "").await.expect(201).json();
    assert_eq!((&receipt["version"], &receipt["state"]), (&json!(1), &json!("active")));
    let manifest = server.get("/manifests/main").await.expect(200).json();
    assert_eq!(
        (&manifest["version"], &manifest["commit"], &manifest["metadata"]["a"]),
        (&json!("v1"), &json!("abc"), &json!(1))
    );
    let names: Vec<_> = manifest["artifacts"].as_array().unwrap().iter().map(|file| file["name"].clone()).collect();
    assert_eq!(names, ["a-macos", "notes", "z-linux"]);

    // Whoever comes later gets what there is; what differs from it is refused.
    assert_eq!(server.put("/sessions/main@1", "").await.expect(200).json()["unchanged"], true);
    let late = begin(&server, "v1", &["linux", "macos"]).await.expect(200).json();
    assert_eq!((&late["version"], &late["state"]), (&json!(1), &json!("active")));
    server.put("/sessions/main@1/parts/linux", linux).await.expect(200);
    let changed = part(&[("z-linux", b"other")], &json!({}));
    server.put("/sessions/main@1/parts/linux", changed).await.problem(409, "VERSION_STATE");
}

#[tokio::test]
async fn the_bytes_do_not_depend_on_the_order_of_the_parts() {
    let server = TestServer::start().await;
    server.put_blob(b"x").await;
    let mut manifests = Vec::new();
    for (name, order) in [("one", ["a", "b", "c"]), ("other", ["c", "a", "b"])] {
        let wanted = json!({"label": "v1", "parts": order});
        server.post(&format!("/sessions/{name}"), &wanted).await.expect(201);
        for one in order {
            let sent = part(&[(one, b"x")], &json!({"metadata": {one: one}, "kind": "files"}));
            server.put(&format!("/sessions/{name}@1/parts/{one}"), sent).await.expect(200);
        }
        manifests.push(server.put(&format!("/sessions/{name}@1"), "").await.expect(201).json()["manifest"].clone());
    }
    assert_eq!(manifests[0], manifests[1]);
}

#[tokio::test]
async fn parts_that_contradict_each_other_are_refused() {
    let server = TestServer::start().await;
    begin(&server, "v1", &["a", "b"]).await.expect(201);
    let put = async |name: &str, files: &[(&str, &[u8])], members: Value| {
        server.put(&format!("/sessions/main@1/parts/{name}"), part(files, &members)).await
    };
    put("a", &[("f", b"1"), ("g", b"1")], json!({"commit": "1", "metadata": {"m": 1}})).await.expect(200);
    let twice = put("b", &[("g", b"1")], json!({})).await.problem(409, "PARTS_CONFLICT");
    assert_eq!((&twice["file"], &twice["parts"]), (&json!("g"), &json!(["a", "b"])));
    let commit = put("b", &[("h", b"1")], json!({"commit": "2"})).await.problem(409, "PARTS_CONFLICT");
    assert_eq!(commit["member"], "commit");
    let metadata = put("b", &[("h", b"1")], json!({"metadata": {"m": 2}})).await.problem(409, "PARTS_CONFLICT");
    assert_eq!(metadata["member"], "metadata.m");
    let unknown = put("c", &[("h", b"1")], json!({})).await.problem(404, "PART_UNKNOWN");
    assert_eq!(unknown["parts"], json!(["a", "b"]));
    put("b", &[("../h", b"1")], json!({"version": "v2"})).await.problem(422, "MANIFEST_INVALID");
    put("b", &[], json!({})).await.problem(422, "MANIFEST_INVALID");
    let session = server.get("/sessions/main@1").await;
    session.expect(401);
    let session = send(server.request(Method::GET, "/sessions/main@1")).await.expect(200).json();
    assert_eq!(session["parts"], json!({"done": ["a"], "waiting": ["b"]}), "a refused part changes nothing");
}

#[tokio::test]
async fn what_begins_no_release_is_refused() {
    let server = TestServer::start().await;
    let many: Vec<String> = (0..65).map(|number| number.to_string()).collect();
    for body in [
        json!({"label": "", "parts": ["a"]}),
        json!({"label": "a\nb", "parts": ["a"]}),
        json!({"label": "x".repeat(191), "parts": ["a"]}),
        json!({"label": "v1", "parts": []}),
        json!({"label": "v1", "parts": ["a", "a"]}),
        json!({"label": "v1", "parts": ["a/b"]}),
        json!({"label": "v1", "parts": many}),
        json!({"label": "v1", "parts": ["a"], "more": 1}),
        json!({"parts": ["a"]}),
    ] {
        let problem = server.post("/sessions/main", &body).await.problem(400, "MANIFEST_INVALID");
        assert!(problem["detail"].as_str().unwrap().len() < 400, "{problem}");
    }
    assert_eq!(server.get("/versions/main").await.status, 404);
    server.put_blob(b"x").await;
    server.publish("main", &[("f", b"x")]).await;
    let sent = part(&[("g", b"x")], &json!({}));
    server.put("/sessions/main@1/parts/a", sent.clone()).await.problem(409, "VERSION_STATE");
    server.put("/sessions/main@9/parts/a", sent.clone()).await.problem(404, "VERSION_UNKNOWN");
    server.put("/sessions/main@1/part/a", sent).await.problem(400, "SELECTOR_INVALID");
    let allowed = send(server.request(Method::PATCH, "/sessions/main@1/parts/a")).await.expect(405);
    assert_eq!(allowed.header("allow"), "PUT,OPTIONS");
    let anonymous = server.anonymous(Method::PUT, "/sessions/main@1/parts/a").body(part(&[], &json!({})));
    send(anonymous).await.expect(401);
}

#[tokio::test]
async fn many_completions_at_once_make_one_version() {
    let server = TestServer::start().await;
    server.put_blob(b"x").await;
    begin(&server, "v1", &["a", "b", "c"]).await.expect(201);
    let job = async |name: &str| {
        begin(&server, "v1", &["a", "b", "c"]).await.expect(200);
        server.put(&format!("/sessions/main@1/parts/{name}"), part(&[(name, b"x")], &json!({}))).await.expect(200);
        server.put("/sessions/main@1", "").await
    };
    let (a, b, c) = tokio::join!(job("a"), job("b"), job("c"));
    let created = [&a, &b, &c].iter().filter(|answer| answer.status == 201).count();
    assert_eq!(created, 1, "{:?}", [a.text(), b.text(), c.text()]);
    let more: Vec<_> = futures_util::future::join_all((0..8).map(|_| server.put("/sessions/main@1", ""))).await;
    assert!(more.iter().all(|answer| answer.status == 200 && answer.json()["version"] == 1));
    let history = server.get("/versions/main").await.json();
    assert_eq!(history["versions"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_release_of_parts_is_staged_listed_and_given_up() {
    let server = TestServer::start().await;
    server.put_blob(b"x").await;
    let etag = |digest: &Value| format!("\"{}\"", digest.as_str().unwrap());
    let first = server.publish("main", &[("f", b"x")]).await;
    begin(&server, "v2", &["a"]).await.expect(201);
    begin(&server, "v3", &["a", "b"]).await.expect(201);
    server.put("/sessions/main@2/parts/a", part(&[("g", b"x")], &json!({}))).await.expect(200);
    let list = send(server.request(Method::GET, "/sessions/main")).await.expect(200).json();
    let parts: Vec<_> = list["sessions"].as_array().unwrap().iter().map(|one| one["parts"].clone()).collect();
    let expected = [json!({"done": ["a"], "waiting": []}), json!({"done": [], "waiting": ["a", "b"]})];
    assert_eq!(parts, expected);

    // A precondition that does not hold leaves the parts as they are.
    let refused = send(server.request(Method::PUT, "/sessions/main@2").header("if-none-match", "*")).await;
    refused.problem(412, "PRECONDITION_FAILED");
    server.put("/sessions/main@2/parts/a", part(&[("h", b"x")], &json!({}))).await.expect(200);
    let staged = send(
        server.request(Method::PUT, "/sessions/main@2?activate=false").header("if-match", etag(&first["manifest"])),
    );
    assert_eq!(staged.await.expect(201).json()["state"], "ready");
    server.delete("/sessions/main@3").await.expect(204);
    let gone = server.put("/sessions/main@3/parts/a", part(&[("g", b"x")], &json!({}))).await;
    let gone = gone.problem(404, "VERSION_UNKNOWN");
    assert!(gone["detail"].as_str().unwrap().contains("not completed in time"), "{gone}");
    assert_eq!(begin(&server, "v3", &["b"]).await.expect(201).json()["version"], 4, "a new one may have other parts");
}

#[tokio::test]
async fn a_release_of_parts_is_found_by_its_hash_at_once() {
    let server = TestServer::start().await;
    begin(&server, "v1", &["linux"]).await.expect(201);
    server.put_blob(b"l").await;
    server.put("/sessions/main@1/parts/linux", part(&[("f", b"l")], &json!({}))).await.expect(200);
    let receipt = server.put("/sessions/main@1", "").await.expect(201).json();
    let holders = server.get(&format!("/manifests/{}", receipt["manifest"].as_str().unwrap())).await.expect(200).json();
    assert_eq!((&holders["held_by"][0]["name"], &holders["held_by"][0]["number"]), (&json!("main"), &json!(1)));
}

#[tokio::test]
async fn a_draft_whose_label_was_taken_keeps_its_parts() {
    let server = TestServer::with(|config| {
        let matches = vec!["main".parse().unwrap()];
        config.names = vec![NameRule { matches, labels: Some(Labels::Once), ..NameRule::default() }];
    })
    .await;
    for bytes in [&b"l"[..], b"m", b"other"] {
        server.put_blob(bytes).await;
    }
    begin(&server, "v1", &["linux"]).await.expect(201);
    server.put("/sessions/main@1/parts/linux", part(&[("f", b"l")], &json!({}))).await.expect(200);
    let publish = async |bytes: &[u8]| {
        let plain = part(&[("f", bytes)], &json!({"version": "v1"}));
        server.put("/manifests/main", plain).await.expect(201).json()["version"].clone()
    };
    let taken = publish(b"other").await;
    let problem = server.put("/sessions/main@1", "").await.problem(409, "LABEL_TAKEN");
    assert_eq!(problem["version"], taken);
    // Nothing was lost by the attempt: the part can still be replaced, and the draft be given up.
    let session = server.put("/sessions/main@1/parts/linux", part(&[("f", b"m")], &json!({}))).await.expect(200).json();
    assert_eq!(session["parts"], json!({"done": ["linux"], "waiting": []}));
    server.put("/sessions/main@1", "").await.problem(409, "LABEL_TAKEN");
    send(server.request(Method::DELETE, "/sessions/main@1")).await.expect(204);
    assert_eq!(server.get("/manifests/main@v1").await.expect(200).header("larder-version"), taken.to_string());
}
