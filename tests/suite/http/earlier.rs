//! Files that the active version of a name lacks, answered from versions that were active before.

use larder::config::{Config, EarlierFiles, NameRule};
use larder::domain::Digest;
use reqwest::Method;
use serde_json::json;

use crate::readme::blocks;
use crate::support::replicas::Replicas;
use crate::support::server::{Answer, TestServer, send};
use crate::support::store::FsBackend;

/// Switches earlier files on for all names below `on/`.
fn on(config: &mut Config) {
    let earlier_files = Some(EarlierFiles { window: "1h".parse().unwrap(), versions: 20 });
    config.names.push(NameRule { matches: vec!["on/**".parse().unwrap()], earlier_files, ..NameRule::default() });
}

/// Asserts a redirect to these bytes, which are there.
async fn leads_to(server: &TestServer, path: &str, bytes: &[u8]) -> Answer {
    let answer = server.get(path).await.expect(307);
    let location = answer.header("location").to_owned();
    assert!(location.contains(&Digest::of(bytes).to_string()), "{path}: {location}");
    assert_eq!(server.get(&location).await.expect(200).body, bytes, "{path}");
    answer
}

#[tokio::test]
async fn a_file_that_the_active_version_lacks_is_that_of_an_earlier_one() {
    let server = TestServer::with(on).await;
    for name in ["on/app", "off/app"] {
        server.publish(name, &[("app-1.js", b"one"), ("index.html", b"page one")]).await;
        server.publish(name, &[("app-2.js", b"two"), ("index.html", b"page two")]).await;
        server.publish(name, &[("app-3.js", b"three"), ("index.html", b"page three")]).await;
    }
    // Twice: as handled, and as remembered.
    for _ in 0..2 {
        let answer = leads_to(&server, "/refs/on/app/app-1.js", b"one").await;
        assert_eq!((answer.header("larder-version"), answer.header("larder-earlier")), ("1", "?1"));
        assert_eq!(answer.header("cache-control"), "no-cache, no-transform");
        assert_eq!(answer.header("link"), "</manifests/on/app@1>; rel=\"describedby\"");
        assert_eq!(answer.header("larder-generation"), "6");
        assert!(!answer.headers.contains_key("last-modified"));
        let head = server.head("/refs/on/app/app-1.js").await.expect(307);
        assert_eq!((head.header("location"), head.body.len()), (answer.header("location"), 0));
    }
    leads_to(&server, "/refs/on/app@active/app-2.js", b"two").await;
    let active = leads_to(&server, "/refs/on/app/index.html", b"page three").await;
    assert!(!active.headers.contains_key("larder-earlier"));
    // Exact addresses mean what they say.
    for path in
        ["on/app@3/app-1.js", "on/app@2/app-1.js", "on/app@previous/app-1.js", "on/app/none", "off/app/app-1.js"]
    {
        server.get(&format!("/refs/{path}")).await.problem(404, "FILE_UNKNOWN");
    }
    leads_to(&server, "/refs/on/app@1/app-1.js", b"one").await;
    server.get("/refs/on/none/app-1.js").await.problem(404, "MANIFEST_UNKNOWN");
    let sums = server.get("/refs/on/app/SHA256SUMS").await.expect(200).text();
    assert!(sums.contains("app-3.js") && !sums.contains("app-1.js"), "{sums}");
    server.get("/refs/on/app/app-3.js.sha256").await.expect(200);
}

#[tokio::test]
async fn what_is_deleted_is_gone_at_once_and_a_rollback_keeps_what_it_replaced() {
    let server = TestServer::with(on).await;
    for (file, bytes) in [("1", b"one"), ("2", b"two"), ("3", b"333")] {
        server.publish("on/app", &[(file, bytes)]).await;
    }
    send(server.request(Method::POST, "/versions/on/app@1/promote")).await.expect(200);
    for (file, bytes, version) in [("1", b"one", "1"), ("2", b"two", "2"), ("3", b"333", "3")] {
        let answer = leads_to(&server, &format!("/refs/on/app/{file}"), bytes).await;
        assert_eq!(answer.header("larder-version"), version);
        assert_eq!(answer.headers.contains_key("larder-earlier"), file != "1");
    }
    assert!(server.delete("/manifests/on/app@3").await.status.is_success());
    server.get("/refs/on/app/3").await.problem(404, "FILE_UNKNOWN");
    leads_to(&server, "/refs/on/app/2", b"two").await;
    // A warning against a version goes with its files.
    let yank = json!({"reason": "it is wrong"});
    assert!(server.put("/versions/on/app@2/yank", yank.to_string()).await.status.is_success());
    assert_eq!(leads_to(&server, "/refs/on/app/2", b"two").await.header("larder-yanked"), "\"it is wrong\"");
    assert!(server.delete("/manifests/on/app").await.status.is_success());
    for file in ["1", "2"] {
        server.get(&format!("/refs/on/app/{file}")).await.problem(410, "MANIFEST_DELETED");
    }
}

#[tokio::test]
async fn a_server_that_is_behind_says_404_only_after_a_look() {
    let (backend, replicas) = (FsBackend::quick(), Replicas::new());
    let writer = replicas.with(&backend.store(), on).await;
    let behind = |config: &mut Config| {
        on(config);
        config.heads.max_staleness = "1h".parse().unwrap();
    };
    let reader = replicas.with(&backend.store(), behind).await;
    for name in ["on/app", "off/app"] {
        writer.publish(name, &[("1", b"one")]).await;
        leads_to(&reader, &format!("/refs/{name}/1"), b"one").await;
        writer.publish(name, &[("2", b"two")]).await;
    }
    reader.get("/refs/off/app/2").await.problem(404, "FILE_UNKNOWN");
    leads_to(&reader, "/refs/on/app/2", b"two").await;
    assert_eq!(leads_to(&reader, "/refs/on/app/1", b"one").await.header("larder-version"), "1");
    // What was retired elsewhere answers nothing, and a name that came back is not gone.
    writer.publish("on/app", &[("3", b"three")]).await;
    assert!(writer.delete("/manifests/on/app@2").await.status.is_success());
    leads_to(&reader, "/refs/on/app/3", b"three").await;
    reader.get("/refs/on/app/2").await.problem(404, "FILE_UNKNOWN");
    assert!(writer.delete("/manifests/on/app").await.status.is_success());
    reader.get("/refs/on/app/none").await.problem(410, "MANIFEST_DELETED");
    writer.publish("on/app", &[("4", b"four")]).await;
    leads_to(&reader, "/refs/on/app/4", b"four").await;
    let begun = tokio::time::Instant::now();
    for _ in 0..5 {
        reader.get("/refs/on/app/none").await.problem(404, "FILE_UNKNOWN");
    }
    assert!(begun.elapsed() >= std::time::Duration::from_millis(400), "a look each, and a pause between them");
}

#[tokio::test]
async fn an_index_is_found_by_its_digest_beside_the_file_that_replaced_it() {
    let server = TestServer::with(on).await;
    let hex = |bytes: &[u8]| Digest::of(bytes).hex();
    let directory = "dists/stable/main/binary-amd64";
    for name in ["on/apt", "off/apt"] {
        for (at, bytes) in [b"one", b"two"].iter().enumerate() {
            let package = format!("pool/p_{at}.deb");
            let list = format!("{directory}/Packages");
            server.publish(name, &[(&list, *bytes), (&package, bytes.as_slice()), ("Packages", *bytes)]).await;
        }
    }
    let by_hash = |name: &str, directory: &str, bytes: &[u8]| {
        let between = if directory.is_empty() { "" } else { "/" };
        format!("/refs/{name}@active/{directory}{between}by-hash/SHA256/{}", hex(bytes))
    };
    let active = leads_to(&server, &by_hash("on/apt", directory, b"two"), b"two").await;
    assert!(!active.headers.contains_key("larder-earlier"));
    assert_eq!(active.header("cache-control"), "no-cache, no-transform");
    let earlier = leads_to(&server, &by_hash("on/apt", directory, b"one"), b"one").await;
    assert_eq!((earlier.header("larder-earlier"), earlier.header("larder-version")), ("?1", "1"));
    assert!(earlier.header("location").ends_with("/Packages"), "{earlier:?}");
    leads_to(&server, &by_hash("on/apt", "pool", b"one"), b"one").await;
    // A repository without directories needs no selector.
    for bytes in [b"one", b"two"] {
        leads_to(&server, &format!("/refs/on/apt/by-hash/SHA256/{}", hex(bytes)), bytes).await;
    }
    for path in [
        by_hash("on/apt", "dists/stable", b"one"),
        by_hash("on/apt", directory, b"three"),
        by_hash("off/apt", directory, b"two"),
        by_hash("off/apt", directory, b"one"),
        by_hash("on/apt", directory, b"one").replace("@active", "@2"),
        by_hash("on/apt", directory, b"one").replace("SHA256", "SHA512"),
        format!("/refs/off/apt/by-hash/SHA256/{}", hex(b"two")),
    ] {
        server.get(&path).await.problem(404, "FILE_UNKNOWN");
    }
}

#[tokio::test]
async fn private_files_stay_private_and_are_cached_by_nobody_else() {
    let private = |config: &mut Config| {
        on(config);
        config.names[0].read = Some(larder::domain::Reads::Token);
    };
    let server = TestServer::with(private).await;
    server.publish("on/app", &[("1", b"one")]).await;
    server.publish("on/app", &[("2", b"two")]).await;
    for path in ["/refs/on/app/1", "/refs/on/app/none"] {
        server.get(path).await.problem(401, "UNAUTHORIZED");
    }
    let answer = send(server.request(Method::GET, "/refs/on/app/1")).await.expect(307);
    assert_eq!(
        (answer.header("larder-earlier"), answer.header("cache-control")),
        ("?1", "private, no-cache, no-transform")
    );
}

#[test]
fn the_policies_in_the_docs_switch_it_on() {
    for docs in [include_str!("../../../docs/downloads.md"), include_str!("../../../docs/retention.md")] {
        let rule = blocks(docs, "toml").into_iter().find(|block| block.contains("earlier_files")).expect("a rule");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), rule).unwrap();
        let policies = larder::config::load(Some(file.path()), []).unwrap().policies();
        let earlier = policies.rules()[0].keys.earlier_files.expect("what the docs are about");
        assert_eq!((earlier.window.as_hours(), earlier.versions), (7 * 24, 20));
    }
}
