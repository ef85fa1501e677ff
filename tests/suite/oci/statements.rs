//! What is attached to versions and what describes manifests: the same statements for clients of both kinds.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use larder::config::NameRule;
use larder::domain::{Digest, Permission, Reads};
use reqwest::Method;
use serde_json::{Value, json};

use super::access::token;
use super::collected::{Place, REPOSITORY};
use super::image::{EMPTY, Image, MANIFEST, descriptor};
use super::registry::Registry;
use crate::support::collecting::{findings, greedy};
use crate::support::server::{TestServer, manifest, send};
use crate::support::signing::Signer;

const MINISIGN: &str = "text/x-minisign";
const SPDX: &str = "application/spdx+json";

async fn attach(server: &TestServer, target: &str, media_type: &str, bytes: &[u8]) {
    let request = server.request(Method::POST, &format!("/versions/{target}/attachments"));
    send(request.header("content-type", media_type).body(bytes.to_vec())).await.expect(201);
}

async fn attached(server: &TestServer, target: &str) -> Vec<Value> {
    let list = send(server.request(Method::GET, &format!("/versions/{target}/attachments"))).await.expect(200);
    list.json()["attachments"].as_array().unwrap().clone()
}

/// The digest of what clients pull of a tag.
async fn pulled(registry: &Registry, repository: &str, tag: &str) -> Digest {
    let head = registry.head(&format!("/v2/{repository}/manifests/{tag}")).await.expect(200);
    head.header("docker-content-digest").parse().unwrap()
}

/// Pulls what describes a manifest, as clients do: its type and the bytes of its layer.
async fn statements(registry: &Registry, repository: &str, subject: Digest) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for listed in registry.referrers(repository, subject, "").await {
        let digest = listed["digest"].as_str().unwrap();
        let answer = registry.get(&format!("/v2/{repository}/manifests/{digest}")).await.expect(200);
        assert_eq!(Digest::of(&answer.body).to_string(), digest);
        let manifest = answer.json();
        assert_eq!(manifest["subject"]["digest"], subject.to_string());
        let [layer] = &manifest["layers"].as_array().unwrap()[..] else { panic!("{manifest:#}") };
        assert_eq!(layer["mediaType"], listed["artifactType"]);
        for blob in [layer, &manifest["config"]] {
            let path = format!("/v2/{repository}/blobs/{}", blob["digest"].as_str().unwrap());
            registry.get(&path).await.expect(200);
        }
        let path = format!("/v2/{repository}/blobs/{}", layer["digest"].as_str().unwrap());
        found.push((layer["mediaType"].as_str().unwrap().to_owned(), registry.get(&path).await.body));
    }
    found.sort();
    found
}

/// A statement about a manifest, as clients push it.
fn statement(subject: &Value, media_type: &str, bytes: &[u8]) -> Image {
    let members = json!({"subject": subject, "artifactType": media_type, "layers": [descriptor(media_type, bytes)]});
    Image::artifact(bytes, &members)
}

#[tokio::test]
async fn what_is_attached_is_seen_by_container_clients_for_as_long_as_its_version_is_there() {
    let place = Place::new().await;
    let (server, registry, signer) = (&place.server, &place.registry, Signer::new());
    let name = format!("{REPOSITORY}/files");
    let files = manifest(&[("tool", b"a tool")]).to_string();
    server.publish(&name, &[("tool", b"a tool")]).await;
    let subject = pulled(registry, REPOSITORY, "files").await;
    let signature = signer.state(files.as_bytes(), "scope=** serial=1").into_bytes();
    let sbom = vec![b'x'; 5000];
    attach(server, &format!("{name}@1"), MINISIGN, &signature).await;
    attach(server, &format!("{name}@1"), SPDX, &sbom).await;
    let expected = [(SPDX.to_owned(), sbom), (MINISIGN.to_owned(), signature.clone())];
    for _ in 0..2 {
        assert_eq!(statements(registry, REPOSITORY, subject).await, expected);
        let only = registry.referrers(REPOSITORY, subject, "?artifactType=text%2Fx-minisign").await;
        assert_eq!(only.len(), 1);
        // Not even a run that keeps nothing which it may delete takes them away.
        place.collect(greedy()).await;
    }
    assert_eq!(findings(&place.store()).await, []);
    // What is about one of the files is about no manifest.
    let request = server.request(Method::POST, &format!("/versions/{name}@1/attachments?file=tool"));
    send(request.header("content-type", "text/plain").body("notes")).await.expect(201);
    assert_eq!(statements(registry, REPOSITORY, subject).await.len(), 2);
    // A copy takes them along to another repository.
    server.post(&format!("/versions/{name}@1/copy"), &json!({"to": "other/app/latest"})).await.expect(201);
    assert_eq!(statements(registry, "other/app", subject).await, expected);
    // With the version they go.
    server.delete(&format!("/manifests/{name}")).await.expect(200);
    for _ in 0..3 {
        place.collect(greedy()).await;
    }
    assert_eq!(registry.referrers(REPOSITORY, subject, "").await, Vec::<Value>::new());
    assert_eq!(statements(registry, "other/app", subject).await, expected);
}

#[tokio::test]
async fn a_signature_that_comes_with_a_publish_is_seen_once_the_version_is_complete() {
    let server = TestServer::start().await;
    let (registry, signer) = (Registry::of(&server), Signer::new());
    server.put_blob(b"1").await;
    let bytes = manifest(&[("f", b"1")]).to_string().into_bytes();
    let signature = signer.state(&bytes, "scope=** serial=1");
    let header = format!(":{}:", STANDARD.encode(&signature));
    let put = server.request(Method::PUT, "/manifests/team/app/v1").header("larder-signature", &header);
    send(put.body(bytes.clone())).await.expect(201);
    let subject = pulled(&registry, "team/app", "v1").await;
    let expected = [(MINISIGN.to_owned(), signature.into_bytes())];
    assert_eq!(statements(&registry, "team/app", subject).await, expected);
    let post = server.request(Method::POST, "/sessions/team/tool/v1").header("larder-signature", &header);
    let session = send(post.body(bytes)).await.expect(201).json();
    assert_eq!(registry.referrers("team/tool", subject, "").await, Vec::<Value>::new());
    server.put(&format!("/sessions/team/tool/v1@{}", session["version"]), "").await.expect(201);
    assert_eq!(statements(&registry, "team/tool", subject).await, expected);
}

#[tokio::test]
async fn a_statement_that_a_container_client_pushes_is_attached_to_the_versions_it_is_about() {
    let place = Place::new().await;
    let (server, registry, image) = (&place.server, &place.registry, Image::of("hello"));
    let about = image.descriptor();
    let early = statement(&about, "application/vnd.in-toto+json", b"{}{}");
    registry.push(REPOSITORY, &early.digest().to_string(), &early).await;
    for tag in ["v1", "latest"] {
        registry.push(REPOSITORY, tag, &image).await;
        // It came before its subject, and may do so.
        assert_eq!(attached(server, &format!("{REPOSITORY}/{tag}@1")).await, Vec::<Value>::new());
    }
    let sbom = statement(&about, SPDX, &vec![b'x'; 5000]);
    for pushed in [&sbom, &early] {
        // Pushed once more changes nothing.
        for _ in 0..2 {
            registry.push(REPOSITORY, &pushed.digest().to_string(), pushed).await;
        }
    }
    for tag in ["v1", "latest"] {
        let list = attached(server, &format!("{REPOSITORY}/{tag}@1")).await;
        let shown: Vec<_> = list.iter().map(|one| (&one["media_type"], &one["role"], &one["referrer"])).collect();
        let (spdx, role) = (json!(SPDX), json!("sbom"));
        let (in_toto, provenance) = (json!("application/vnd.in-toto+json"), json!("provenance"));
        let (one, two) = (json!(sbom.digest()), json!(early.digest()));
        assert_eq!(shown, [(&spdx, &role, &one), (&in_toto, &provenance, &two)]);
    }
    assert_eq!(registry.referrers(REPOSITORY, image.digest(), "").await.len(), 2, "none is listed twice");
    // Of files for everybody, the subject is what these clients see.
    server.publish(&format!("{REPOSITORY}/files"), &[("tool", b"a tool")]).await;
    let head = registry.head(&format!("/v2/{REPOSITORY}/manifests/files")).await.expect(200);
    let length: u64 = head.header("content-length").parse().unwrap();
    let about = json!({"mediaType": MANIFEST, "digest": head.header("docker-content-digest"), "size": length});
    let signer = Signer::new();
    let signature = signer.state(manifest(&[("tool", b"a tool")]).to_string().as_bytes(), "scope=** serial=1");
    let signed = statement(&about, MINISIGN, signature.as_bytes());
    registry.push(REPOSITORY, "files-signature", &signed).await;
    let list = attached(server, &format!("{REPOSITORY}/files@1")).await;
    assert_eq!((list.len(), &list[0]["key"]), (1, &json!(signer.id())));
    place.collect(greedy()).await;
    assert_eq!(findings(&place.store()).await, []);
    // A copy takes it along as it was pushed.
    server.post(&format!("/versions/{REPOSITORY}/v1@1/copy"), &json!({"to": "other/app/v1"})).await.expect(201);
    let listed = place.registry.referrers("other/app", image.digest(), "").await;
    let digests: Vec<_> = listed.iter().map(|one| one["digest"].as_str().unwrap().to_owned()).collect();
    let mut expected = vec![sbom.digest().to_string(), early.digest().to_string()];
    expected.sort();
    assert_eq!(digests, expected);
}

#[tokio::test]
async fn only_statements_are_attached_and_only_by_who_may() {
    let server = TestServer::with(|config| {
        let all = &["**"][..];
        config.access.tokens = vec![
            token("root", &[Permission::Admin], all),
            token("pusher", &[Permission::Publish], &["team/app/signature*"]),
        ];
    })
    .await;
    let registry = Registry::of(&server).with_token("secret of root");
    let image = Image::of("hello");
    registry.push("team/app", "v1", &image).await;
    let about = image.descriptor();
    let large = vec![b'x'; (256 << 10) + 1];
    let two = json!({"subject": about, "layers": [descriptor(SPDX, b"1"), descriptor(SPDX, b"2")]});
    let mut several = Image::artifact(b"1", &two);
    several.blobs.push(b"2".to_vec());
    for other in [
        statement(&about, "text/plain", b"notes"),
        statement(&about, "application/vnd.example", b"?"),
        statement(&about, MINISIGN, b"no signature"),
        statement(&about, SPDX, &large),
        statement(&descriptor(MANIFEST, b"unknown"), SPDX, b"{}"),
        statement(&descriptor(EMPTY, b"{}"), SPDX, b"{ }"),
        several,
    ] {
        registry.push("team/app", &other.digest().to_string(), &other).await;
    }
    let sbom = statement(&about, SPDX, b"sbom");
    Registry::of(&server).with_token("secret of pusher").push("team/app", "signature", &sbom).await;
    let list = send(server.anonymous(Method::GET, "/versions/team/app/v1@1/attachments")).await.expect(200).json();
    assert_eq!(list["attachments"], json!([]));
    registry.push("team/app", &sbom.digest().to_string(), &sbom).await;
    let list = send(server.anonymous(Method::GET, "/versions/team/app/v1@1/attachments")).await.expect(200).json();
    assert_eq!(list["attachments"][0]["digest"], Digest::of(b"sbom").to_string());
}

#[tokio::test]
async fn what_is_attached_to_a_private_name_is_shown_to_nobody_else() {
    let server = TestServer::with(|config| {
        let rule = NameRule { matches: vec!["team/app/secret".parse().unwrap()], ..NameRule::default() };
        config.names = vec![NameRule { read: Some(Reads::Token), ..rule }];
    })
    .await;
    let registry = Registry::of(&server);
    for name in ["team/tool/open", "team/app/secret"] {
        server.publish(name, &[("f", name.as_bytes())]).await;
        attach(&server, &format!("{name}@1"), SPDX, name.as_bytes()).await;
    }
    let open = pulled(&registry, "team/tool", "open").await;
    assert_eq!(registry.anonymous().referrers("team/tool", open, "").await.len(), 1);
    // Whoever may read another tag sees what has none.
    let secret = pulled(&registry, "team/app", "secret").await;
    assert_eq!(registry.referrers("team/app", secret, "").await, Vec::<Value>::new());
    assert_eq!(attached(&server, "team/app/secret@1").await.len(), 1);
}
