//! Publishing as the workflow does, and what it makes of a name.

use larder::domain::Digest;
use reqwest::Method;
use serde_json::json;

use super::*;

#[tokio::test]
async fn the_workflow_publishes_a_tag_and_latest_each_in_one_step() {
    let server = start().await;
    let files = build("v1.0.0");
    let puts = puts(&["v1.0.0", "latest"], "v1.0.0", &files);
    assert_eq!(puts.len(), 30);
    for (path, bytes) in &puts[..28] {
        let answer = put(&server, path, bytes).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.text());
        server.get(path).await.expect(404);
    }
    server.get("/manifests/miren/v1.0.0").await.expect(404);
    let receipt = put(&server, &puts[28].0, &puts[28].1).await.expect(201).json();
    assert_eq!((&receipt["name"], &receipt["state"]), (&json!("miren/v1.0.0"), &json!("active")));
    for (path, _) in puts[..28].iter().filter(|(path, _)| path.contains("/latest/")) {
        server.get(path).await.expect(404);
    }
    put(&server, &puts[29].0, &puts[29].1).await.expect(201);
    for channel in ["v1.0.0", "latest"] {
        let (version, bytes) = upgrade(&server, channel, "miren-base-linux-arm64.tar.gz").await;
        assert_eq!((&version["version"], bytes), (&json!("v1.0.0"), files[1].1.to_vec()));
        upgrade(&server, channel, "docker-compose.yml").await;
    }
    let manifests = ["v1.0.0", "latest"].map(|channel| format!("/manifests/miren/{channel}"));
    let tag = server.get(&manifests[0]).await.json();
    assert_eq!(tag, server.get(&manifests[1]).await.json(), "the same bytes make the same manifest");
    assert_eq!(
        (&tag["version"], &tag["branch"], &tag["commit"]),
        (&json!("v1.0.0"), &json!("main"), &json!("abc1234"))
    );
    let names: Vec<_> = tag["artifacts"].as_array().unwrap().iter().map(|one| one["name"].clone()).collect();
    assert_eq!(names.len(), 8, "the files and version.json: {names:?}");
    let sessions = send(server.anonymous(Method::GET, "/sessions/miren/latest").bearer_auth(ADMIN)).await;
    assert_eq!(sessions.expect(200).json()["sessions"], json!([]), "the draft is settled");
}

#[tokio::test]
async fn latest_needs_no_second_upload() {
    let server = start().await;
    let files = publish(&server, "v1.0.0", "v1.0.0").await;
    put(&server, "/assets/release/miren/latest/version.json", listing("v1.0.0", &files).as_bytes()).await.expect(201);
    assert_eq!(upgrade(&server, "latest", "miren-linux-arm64.zip").await.1, files[3].1);
}

#[tokio::test]
async fn files_may_be_posted_or_put_as_they_are() {
    let server = start().await;
    let path = "/assets/release/miren/main/a.zip";
    let posted = send(as_form(&server, Method::POST, path, b"bytes")).await.expect(201).json();
    assert_eq!(posted["digest"], json!(Digest::of(b"bytes")));
    let raw = || server.anonymous(Method::PUT, path).bearer_auth(TOKEN).body("bytes");
    assert_eq!(send(raw()).await.expect(200).json(), posted, "the same bytes again");
    let typed = raw().header("content-type", "application/zip");
    send(typed).await.expect(200);
    let files = [("a.zip".to_owned(), Bytes::from_static(b"bytes"))];
    let version = server.anonymous(Method::PUT, "/assets/release/miren/main/version.json").bearer_auth(TOKEN);
    send(version.body(listing("main:1", &files))).await.expect(201);
    assert_eq!(server.get(path).await.expect(200).body, b"bytes");
}

#[tokio::test]
async fn names_without_a_version_json_are_published_file_by_file() {
    let server = start().await;
    let first = put(&server, "/assets/install.sh", b"one").await.expect(201).json();
    assert_eq!((&first["name"], &first["version"]), (&json!("miren/_root"), &json!(1)));
    assert_eq!(put(&server, "/assets/install.sh", b"one").await.expect(200).json()["version"], 1);
    put(&server, "/assets/install.sh.sha256", sum("install.sh", b"one").as_bytes()).await.expect(200);
    let problem = put(&server, "/assets/install.sh.sha256", sum("install.sh", b"two").as_bytes()).await;
    assert_eq!(problem.problem(409, "DIGEST_INVALID")["actual"], json!(Digest::of(b"one")));
    put(&server, "/assets/none.sha256", sum("none", b"two").as_bytes()).await.problem(409, "DIGEST_INVALID");
    put(&server, "/assets/docker-compose.yml", b"services:").await.expect(201);
    put(&server, "/assets/install.sh", b"two").await.expect(201);
    assert_eq!(server.get("/assets/install.sh").await.expect(200).body, b"two");
    assert_eq!(server.get("/assets/docker-compose.yml").await.expect(200).body, b"services:");
    let sum = server.get("/assets/install.sh.sha256").await.expect(200).text();
    assert_eq!(sum, format!("{}  install.sh\n", Digest::of(b"two").hex()));
    let puts = (0..8).map(|number| {
        let server = &server;
        async move {
            let path = format!("/assets/file-{number}");
            let answer = put(server, &path, number.to_string().as_bytes()).await;
            assert_eq!(answer.status, 201, "{}", answer.text());
        }
    });
    futures_util::future::join_all(puts).await;
    for number in 0..8 {
        server.get(&format!("/assets/file-{number}")).await.expect(200);
    }
}

#[tokio::test]
async fn the_token_of_the_workflow_reaches_nothing_else() {
    let server = start().await;
    let with = |method, path: &str| server.anonymous(method, path).bearer_auth(TOKEN);
    let blob = format!("/blobs/{}", Digest::of(b"x"));
    send(with(Method::PUT, &blob).body("x")).await.problem(403, "DENIED");
    send(with(Method::PUT, "/manifests/miren/main").body("{}")).await.problem(403, "DENIED");
    send(server.anonymous(Method::PUT, "/assets/install.sh").body("x")).await.problem(401, "UNAUTHORIZED");
    let unknown = server.anonymous(Method::PUT, "/assets/install.sh").bearer_auth("guessed").body("x");
    send(unknown).await.problem(401, "UNAUTHORIZED");
    send(with(Method::PUT, "/assets/release/other/main/a").body("x")).await.problem(404, "NOT_FOUND");
    send(with(Method::PUT, "/assets/release/miren/main:1/a").body("x")).await.problem(400, "NAME_INVALID");
    send(with(Method::PUT, "/assets/release/miren/main/a").header("if-match", "*").body("x")).await.expect(400);
}

#[tokio::test]
async fn two_jobs_with_one_token_do_not_mix_their_files() {
    let server = start().await;
    let (mine, theirs) = (build("main:1"), build("main:2"));
    let all = |version, files: &[(String, Bytes)]| puts(&["main"], version, files);
    let (mine_puts, theirs_puts) = (all("main:1", &mine), all("main:2", &theirs));
    // Neither job knows of the other: file by file, one after the other.
    for (one, other) in mine_puts[..14].iter().zip(&theirs_puts[..14]) {
        for (path, bytes) in [one, other] {
            let answer = put(&server, path, bytes).await;
            assert!(answer.status.is_success(), "{path}: {}", answer.text());
        }
    }
    for (puts, files) in [(&mine_puts, &mine), (&theirs_puts, &theirs)] {
        put(&server, &puts[14].0, &puts[14].1).await.expect(201);
        let listed = files.iter().filter(|(name, _)| !name.ends_with("yml"));
        for (name, bytes) in listed {
            assert_eq!(upgrade(&server, "main", name).await.1, *bytes, "{name}");
        }
    }
}
