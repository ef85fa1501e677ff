//! containerd's client, which ctr, nerdctl and BuildKit are built on.

use larder::domain::Digest;
use serde_json::json;

use super::{ACCEPT, asks_for_push, blob, challenge, log_in, manifest, upload_by_put};
use crate::oci::image::{INDEX, Image, LAYER, MANIFEST, descriptor};
use crate::oci::registry::{Registry, location};
use crate::support::server::TestServer;

const REPOSITORY: &str = "team/app";
const UPLOADS: &str = "/v2/team/app/blobs/uploads/";

/// Pushes as it does: asks for everything, uploads what is missing, children by digest, the root by tag.
async fn push(pusher: &Registry, tag: &str, image: &Image) {
    for one in image.all() {
        for bytes in &one.blobs {
            let address = blob(REPOSITORY, Digest::of(bytes));
            if pusher.ask("HEAD", &address, &[("accept", "application/octet-stream, */*")], "").await.status == 404 {
                upload_by_put(pusher, UPLOADS, bytes).await;
            }
        }
        let reference = if one.digest() == image.digest() { tag.to_owned() } else { one.digest().to_string() };
        let accept = format!("{}, */*", one.media_type);
        let head = pusher.ask("HEAD", &manifest(REPOSITORY, &reference), &[("accept", &accept)], "").await;
        if head.status == 200 && head.header("docker-content-digest") == one.digest().to_string() {
            continue;
        }
        pusher.put_manifest(REPOSITORY, &reference, &one.media_type, &one.manifest).await.expect(201);
    }
}

/// Pulls as it does: HEAD by tag, the rest by digest, each with the host that it was meant for.
async fn pull(puller: &Registry, tag: &str, image: &Image) {
    let path = format!("{}?ns=registry.example.com", manifest(REPOSITORY, tag));
    let head = puller.ask("HEAD", &path, &[("accept", ACCEPT)], "").await.expect(200);
    assert_eq!(head.header("content-type"), image.media_type);
    assert_eq!(head.header("docker-content-digest"), image.digest().to_string());
    for one in image.all() {
        let path = format!("{}?ns=registry.example.com", manifest(REPOSITORY, one.digest()));
        let got = puller.ask("GET", &path, &[("accept", &format!("{}, */*", one.media_type))], "").await.expect(200);
        assert!(got.body == one.manifest);
        for bytes in &one.blobs {
            let path = format!("{}?ns=registry.example.com", blob(REPOSITORY, Digest::of(bytes)));
            // It asks for a range from the start, to learn whether ranges are understood.
            let got = puller.ask("GET", &path, &[("range", "bytes=0-"), ("accept", "*/*")], "").await;
            assert!([200, 206].contains(&got.status.as_u16()) && got.body == *bytes, "{}", got.text());
        }
    }
}

#[tokio::test]
async fn containerd_is_refused_asks_for_a_token_by_post_and_then_by_get() {
    let server = TestServer::start().await;
    let registry = Registry::of(&server).anonymous();
    asks_for_push(&challenge(&registry, "POST", UPLOADS).await, REPOSITORY);
    // When all layers are there, this is where it has to be refused: it cannot send the body of a PUT twice.
    let refusal = challenge(&registry, "HEAD", &manifest(REPOSITORY, "1")).await;
    asks_for_push(&refusal, REPOSITORY);
    let form = [("content-type", "application/x-www-form-urlencoded; charset=utf-8")];
    let body = format!("client_id=containerd-client&grant_type=password&password={}&username=x", server.token);
    // It goes on with GET after this answer only, 400, 401 or 405.
    registry.ask("POST", "/v2/token", &form, body).await.expect(404);
    let scopes = ["repository:team/app:pull,push"];
    let pusher = log_in(&registry, Some(&server.token), &refusal, &scopes).await;
    let index = Image::index(vec![Image::of("containerd"), Image::layered("arm64", &["a", "b"])], &json!({}));
    push(&pusher, "1", &index).await;
    pull(&registry, "1", &index).await;
    // The second push sends nothing.
    push(&pusher, "1", &index).await;
    // Without the token for it, it repeats HEAD as GET to show what it is told.
    let wrong = registry.with_token("larder_wrong").ask("POST", UPLOADS, &[], "").await;
    assert_eq!(wrong.status, 401, "{}", wrong.text());
}

#[tokio::test]
async fn buildkit_pushes_attestations_before_their_subjects_and_a_cache() {
    let server = TestServer::start().await;
    let registry = Registry::of(&server);
    let image = Image::of("built");
    // An index with an attestation for its image, which is a child of platform unknown/unknown.
    let attestation = Image::artifact(b"provenance", &json!({"subject": image.descriptor()}));
    let mut entry = attestation.descriptor();
    entry["platform"] = json!({"os": "unknown", "architecture": "unknown"});
    entry["annotations"] = json!({"vnd.docker.reference.type": "attestation-manifest"});
    let entries = json!({ "manifests": [image.descriptor(), entry] });
    // The attestation first.
    let mut index = Image::index(vec![attestation.clone(), image.clone()], &json!({}));
    index = index.with(&entries);
    push(&registry, "latest", &index).await;
    pull(&registry, "latest", &index).await;
    let found = registry.referrers(REPOSITORY, image.digest(), "").await;
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0]["digest"], attestation.digest().to_string());

    // A cache: an index whose entries are layers. Layers are mounted from where they are.
    let (layer, config) = (image.blobs[1].clone(), b"{\"layers\":[{}],\"records\":[]}".to_vec());
    let path = format!("{UPLOADS}?from=team%2Fapp&mount={}", Digest::of(&layer));
    registry.ask("POST", &path, &[], "").await.expect(201);
    upload_by_put(&registry, UPLOADS, &config).await;
    let cached = json!([descriptor(LAYER, &layer), descriptor("application/vnd.buildkit.cacheconfig.v0", &config)]);
    let cache = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": cached}).to_string();
    registry.put_manifest(REPOSITORY, "cache", INDEX, cache.as_bytes()).await.expect(201);
    let got = registry.get(&manifest(REPOSITORY, "cache")).await.expect(200);
    assert!(got.body == cache.as_bytes());
    // Newer ones write an image manifest.
    let cache = Image::artifact(&layer, &json!({"artifactType": "application/vnd.buildkit.cacheconfig.v0"}));
    registry.push_blob(REPOSITORY, b"{}").await;
    registry.put_manifest(REPOSITORY, "cache", MANIFEST, &cache.manifest).await.expect(201);
}

#[tokio::test]
async fn a_mount_that_fails_is_an_upload_that_goes_on() {
    let server = TestServer::start().await;
    let registry = Registry::of(&server);
    let bytes = b"not there yet".to_vec();
    let path = format!("{UPLOADS}?mount={}&from=team%2Fbase", Digest::of(&bytes));
    let upload = location(&registry.ask("POST", &path, &[], "").await.expect(202));
    let path = crate::oci::registry::with_digest(&upload, Digest::of(&bytes));
    registry.ask("PUT", &path, &[("content-length", "13")], bytes.clone()).await.expect(201);
    registry.assert_blob(REPOSITORY, &bytes).await;
}
