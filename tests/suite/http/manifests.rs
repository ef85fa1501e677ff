//! Publishing, reading and listing manifests.

use larder::domain::Digest;
use reqwest::Method;
use serde_json::json;

use crate::support::server::{TestServer, manifest, send};

const FILES: [(&str, &[u8]); 2] = [("a.zip", b"aaa"), ("b.zip", b"bbbb")];

#[tokio::test]
async fn a_manifest_is_served_byte_for_byte() {
    let server = TestServer::start().await;
    for (_, bytes) in FILES {
        server.put_blob(bytes).await;
    }
    let text = format!("{{ \"x\" : [1,  2],\n\t\"artifacts\":{}}}\n", manifest(&FILES)["artifacts"]);
    let digest = Digest::of(text.as_bytes());
    let answer = server.put("/manifests/miren/main", text.clone()).await.expect(201);
    assert_eq!(answer.header("location"), "/manifests/miren/main@1");
    let receipt = answer.json();
    assert_eq!(receipt["version"], 1);
    assert_eq!(receipt["state"], "active");
    assert_eq!(receipt["manifest"], digest.to_string());
    let answer = server.get("/manifests/miren/main").await.expect(200);
    assert_eq!(answer.text(), text);
    assert_eq!(answer.header("etag"), format!("\"{digest}\""));
    assert_eq!(answer.header("cache-control"), "no-cache, no-transform");
    assert_eq!(answer.header("larder-version"), "1");
    assert_eq!(answer.header("larder-generation"), "2");
    assert_eq!(answer.header("content-type"), "application/json");
    let head = server.head("/manifests/miren/main").await.expect(200);
    assert_eq!(head.header("content-length"), text.len().to_string());
    let pinned = server.get(&format!("/manifests/miren/main@{digest}")).await.expect(200);
    assert!(pinned.header("cache-control").contains("immutable"));
    server.get(&format!("/blobs/{digest}")).await.expect(200);
}

#[tokio::test]
async fn every_missing_blob_and_every_wrong_size_is_listed_and_nothing_is_published() {
    let server = TestServer::start().await;
    server.put_blob(b"there").await;
    let document = json!({"artifacts": [
        {"name": "a", "blob": Digest::of(b"gone 1"), "size": 6},
        {"name": "b", "blob": Digest::of(b"gone 2"), "size": 6},
        {"name": "c", "blob": Digest::of(b"there"), "size": 4},
    ]});
    let problem = server.put("/manifests/main", document.to_string()).await.problem(409, "MANIFEST_BLOB_UNKNOWN");
    assert_eq!(problem["missing"], json!([Digest::of(b"gone 1"), Digest::of(b"gone 2")]));
    assert_eq!(problem["wrong_size"], json!([{"digest": Digest::of(b"there"), "expected": 4, "actual": 5}]));
    server.get("/manifests/main").await.problem(404, "VERSION_UNKNOWN");
    server.get("/manifests/other").await.problem(404, "MANIFEST_UNKNOWN");
    assert_eq!(server.get("/manifests").await.json()["manifests"], json!([]));
}

#[tokio::test]
async fn invalid_manifests_are_refused_with_all_their_problems() {
    let server = TestServer::start().await;
    let blob = Digest::of(b"x");
    let document = json!({"artifacts": [
        {"name": "same", "blob": blob, "size": 1}, {"name": "same", "blob": blob, "size": 2}, {"name": "../x", "blob": "sha1:2", "size": 1},
    ]});
    let problem = server.put("/manifests/main", document.to_string()).await.problem(422, "MANIFEST_INVALID");
    assert!(problem["problems"].as_array().unwrap().len() >= 4, "{problem:#}");
    let deep = format!("{{\"artifacts\":{}{}}}", "[".repeat(50_000), "]".repeat(50_000));
    let out_of_range = format!("{{\"artifacts\":[{{\"name\":\"a\",\"blob\":\"{blob}\",\"size\":1e400}}]}}");
    for text in
        [b"".to_vec(), b"nonsense".to_vec(), b"{}".to_vec(), b"\xff\xfe{".to_vec(), deep.into(), out_of_range.into()]
    {
        server.put("/manifests/main", text).await.problem(400, "MANIFEST_INVALID");
    }
    let empty = server.put("/manifests/main", "{\"artifacts\":[]}").await;
    empty.problem(422, "MANIFEST_INVALID");
    server.get("/manifests/main").await.expect(404);
}

#[tokio::test]
async fn compare_and_swap_lets_one_of_two_win() {
    let server = TestServer::start().await;
    let first = server.publish("main", &FILES).await;
    let etag = format!("\"{}\"", first["manifest"].as_str().unwrap());
    server.put_blob(b"2").await;
    server.put_blob(b"3").await;
    let publish = |name: &'static str, bytes: &'static [u8], condition: (&'static str, String)| {
        let request = server.request(Method::PUT, "/manifests/main").header(condition.0, condition.1);
        send(request.body(manifest(&[(name, bytes)]).to_string()))
    };
    publish("x", b"2", ("if-none-match", "*".into())).await.problem(412, "PRECONDITION_FAILED");
    publish("x", b"2", ("if-match", etag.clone())).await.expect(201);
    let problem = publish("x", b"3", ("if-match", etag)).await.problem(412, "PRECONDITION_FAILED");
    let current = server.get("/manifests/main").await;
    assert_eq!(problem["current_etag"], current.header("etag"));
    publish("x", b"3", ("if-match", "*".into())).await.expect(201);
    let request = server.request(Method::PUT, "/manifests/new").header("if-match", "*");
    send(request.body(manifest(&FILES).to_string())).await.problem(412, "PRECONDITION_FAILED");
    let request = server.request(Method::PUT, "/manifests/new").header("if-none-match", "*");
    send(request.body(manifest(&FILES).to_string())).await.expect(201);
}

#[tokio::test]
async fn a_repeated_publish_is_a_success_that_changes_nothing() {
    let server = TestServer::start().await;
    let first = server.publish("main", &FILES).await;
    let request = server.request(Method::PUT, "/manifests/main").header("if-none-match", "*");
    let again = send(request.body(manifest(&FILES).to_string())).await.expect(200).json();
    assert_eq!(again["unchanged"], true);
    assert_eq!((&again["version"], &again["generation"]), (&first["version"], &first["generation"]));
}

#[tokio::test]
async fn racing_publishers_each_get_a_version_of_their_own() {
    let server = TestServer::start().await;
    let contents: Vec<String> = (0..20).map(|i| format!("content {i}")).collect();
    for content in &contents {
        server.put_blob(content.as_bytes()).await;
    }
    let publishes = contents
        .iter()
        .map(|content| server.put("/manifests/main", manifest(&[("file", content.as_bytes())]).to_string()));
    let answers = futures_util::future::join_all(publishes).await;
    let mut versions: Vec<u64> =
        answers.into_iter().map(|answer| answer.expect(201).json()["version"].as_u64().unwrap()).collect();
    versions.sort_unstable();
    assert_eq!(versions, (1..=20).collect::<Vec<u64>>());
    let history = server.get("/versions/main?limit=100").await.json();
    let active = history["versions"].as_array().unwrap().iter().filter(|row| row["state"] == "active").count();
    assert_eq!((history["versions"].as_array().unwrap().len(), active), (20, 1));
}

#[tokio::test]
async fn racing_swaps_from_one_state_have_one_winner() {
    let server = TestServer::start().await;
    let first = server.publish("main", &FILES).await;
    let etag = format!("\"{}\"", first["manifest"].as_str().unwrap());
    let contents: Vec<String> = (0..10).map(|i| format!("content {i}")).collect();
    for content in &contents {
        server.put_blob(content.as_bytes()).await;
    }
    let publishes = contents.iter().map(|content| {
        let request = server.request(Method::PUT, "/manifests/main").header("if-match", &etag);
        send(request.body(manifest(&[("file", content.as_bytes())]).to_string()))
    });
    let mut statuses: Vec<u16> =
        futures_util::future::join_all(publishes).await.iter().map(|answer| answer.status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses[..2], [201, 412]);
    assert!(statuses[1..].iter().all(|status| *status == 412));
}

#[tokio::test]
async fn a_staged_version_is_seen_only_by_its_number() {
    let server = TestServer::start().await;
    server.publish("main", &FILES).await;
    server.put_blob(b"next").await;
    let document = manifest(&[("a.zip", b"next")]).to_string();
    let staged = server.put("/manifests/main?activate=false", document.clone()).await.expect(201).json();
    assert_eq!((&staged["state"], &staged["version"]), (&json!("ready"), &json!(2)));
    assert_eq!(server.get("/manifests/main").await.header("larder-version"), "1");
    assert_eq!(server.get("/manifests/main@2").await.expect(200).text(), document);
    server.get("/refs/main@2/a.zip").await.expect(307);
    let again = server.put("/manifests/main?activate=false", document).await.expect(200).json();
    assert_eq!((&again["unchanged"], &again["version"]), (&json!(true), &json!(2)));
    server.post("/versions/main@2/promote", &json!(null)).await.expect(200);
    assert_eq!(server.get("/manifests/main").await.header("larder-version"), "2");
    let wrong = server.put("/manifests/main?activate=maybe", "{}").await;
    wrong.problem(400, "QUERY_INVALID");
}

#[tokio::test]
async fn names_are_listed_in_pages() {
    let server = TestServer::start().await;
    for name in ["b", "a/one", "a/two", "a/three", "Main", "main"] {
        server.publish(name, &FILES).await;
    }
    let mut names = Vec::new();
    let mut path = "/manifests?limit=2".to_owned();
    loop {
        let page = server.get(&path).await.expect(200);
        let body = page.json();
        names.extend(body["manifests"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap().to_owned()));
        let Some(next) = body["next"].as_str() else { break };
        assert!(page.header("link").ends_with("rel=\"next\""));
        path = format!("/manifests?limit=2&after={next}");
    }
    names.sort();
    assert_eq!(names, ["Main", "a/one", "a/three", "a/two", "b", "main"]);
    let page = server.get("/manifests?prefix=a/t").await.json();
    let names: Vec<_> = page["manifests"].as_array().unwrap().iter().map(|row| &row["name"]).collect();
    assert_eq!(names, ["a/three", "a/two"]);
    assert_eq!(page["manifests"][0]["version"], 1);
    assert_eq!(page["manifests"][0]["total_bytes"], 7);
    assert_eq!(server.get("/manifests?prefix=M").await.json()["manifests"][0]["name"], "Main");
    assert_eq!(server.get("/manifests?prefix=..%2f").await.json()["manifests"], json!([]));
}

#[tokio::test]
async fn a_deleted_name_answers_gone_until_it_is_published_to_again() {
    let server = TestServer::start().await;
    server.publish("main", &FILES).await;
    server.publish("main", &FILES[..1]).await;
    let answer = server.delete("/manifests/main?reason=withdrawn%20by%20legal").await.expect(200);
    assert_eq!(answer.json()["deleted"], true);
    let problem = server.get("/manifests/main").await.problem(410, "MANIFEST_DELETED");
    assert_eq!(problem["reason"], "withdrawn by legal");
    server.get("/refs/main/a.zip").await.expect(410);
    server.get("/manifests/main@1").await.problem(410, "VERSION_RETIRED");
    assert_eq!(server.get("/manifests").await.json()["manifests"], json!([]));
    assert_eq!(server.get("/versions/main").await.json()["versions"].as_array().unwrap().len(), 2);
    server.delete("/manifests/main").await.problem(410, "MANIFEST_DELETED");
    let receipt = server.publish("main", &FILES).await;
    assert_eq!(receipt["version"], 3);
    server.get("/manifests/main").await.expect(200);
}

#[tokio::test]
async fn reads_of_a_moving_name_are_revalidated() {
    let server = TestServer::start().await;
    server.publish("main", &FILES).await;
    let etag = server.get("/manifests/main").await.header("etag").to_owned();
    let revalidate = || send(server.anonymous(Method::GET, "/manifests/main").header("if-none-match", etag.clone()));
    let answer = revalidate().await.expect(304);
    assert_eq!(answer.header("larder-version"), "1");
    server.publish("main", &FILES[..1]).await;
    revalidate().await.expect(200);
}

#[tokio::test]
async fn publishing_what_is_active_again_heals_what_was_lost_of_it() {
    let server = TestServer::start().await;
    server.publish("main", &FILES).await;
    let digest = Digest::of(FILES[0].1);
    let hex = digest.hex();
    let file = server.data.join(format!("objects/blobs/sha256/{}/{}/{hex}.0", &hex[..2], &hex[2..4]));
    std::fs::remove_file(file).unwrap();
    let problem = server.put("/manifests/main", manifest(&FILES).to_string()).await;
    assert_eq!(problem.problem(409, "MANIFEST_BLOB_UNKNOWN")["missing"], json!([digest]));
    server.publish("main", &FILES).await;
    server.get(&format!("/blobs/{digest}")).await.expect(200);
}
