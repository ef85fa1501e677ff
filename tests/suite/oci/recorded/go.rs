//! crane and what is built on go-containerregistry, oras and helm, regctl.

use larder::domain::Digest;
use serde_json::json;

use super::{ACCEPT, asks_for_push, basic, blob, challenge, log_in, manifest, realm, upload_by_patch, upload_by_put};
use crate::oci::image::{EXAMPLE, INDEX, Image, MANIFEST};
use crate::oci::registry::{OCTETS, Registry, location, refused, with_digest};
use crate::support::server::TestServer;

const REPOSITORY: &str = "team/app";
const UPLOADS: &str = "/v2/team/app/blobs/uploads/";
const BOTH: &str = "repository:team/app:push,pull";

#[tokio::test]
async fn crane_pushes_two_blobs_at_once_and_an_index() {
    let server = TestServer::start().await;
    let registry = Registry::of(&server).anonymous();
    let index = Image::index(vec![Image::of("one"), Image::of("two")], &json!({}));
    let first = challenge(&registry, "GET", "/v2/").await;
    let pusher = log_in(&registry, Some(&server.token), &first, &[BOTH]).await;
    for child in &index.children {
        let uploads = child.blobs.iter().map(async |bytes| {
            let digest = Digest::of(bytes).to_string().replace(':', "%3A");
            pusher.head(&blob(REPOSITORY, Digest::of(bytes))).await.expect(404);
            let begin = format!("{UPLOADS}?from=team%2Fbase&mount={digest}&origin=127.0.0.1%3A5000");
            upload_by_patch(&pusher, &begin, bytes, true).await;
        });
        futures_util::future::join_all(uploads).await;
        pusher.head(&manifest(REPOSITORY, child.digest())).await.expect(404);
        let reference = child.digest().to_string();
        pusher.put_manifest(REPOSITORY, &reference, MANIFEST, &child.manifest).await.expect(201);
        // On the second run it is there, with everything that it names.
        pusher.head(&manifest(REPOSITORY, child.digest())).await.expect(200);
    }
    pusher.put_manifest(REPOSITORY, "latest", INDEX, &index.manifest).await.expect(201);
    registry.assert_pulls(REPOSITORY, "latest", &index).await;
    assert_eq!(registry.tags("/v2/team/app/tags/list?n=1000").await, (vec!["latest".to_owned()], None));
}

#[tokio::test]
async fn oras_pushes_without_a_first_request_and_attaches() {
    let server = TestServer::start().await;
    let registry = Registry::of(&server).anonymous();
    let artifact = Image::artifact(b"a file", &json!({}));
    let refusal = challenge(&registry, "HEAD", &manifest(REPOSITORY, "1")).await;
    asks_for_push(&refusal, REPOSITORY);
    let pusher = log_in(&registry, Some(&server.token), &refusal, &["repository:team/app:pull,push"]).await;
    pusher.ask("HEAD", &manifest(REPOSITORY, "1"), &[("accept", ACCEPT)], "").await.expect(404);
    for bytes in &artifact.blobs {
        pusher.head(&blob(REPOSITORY, Digest::of(bytes))).await.expect(404);
        upload_by_put(&pusher, UPLOADS, bytes).await;
    }
    pusher.put_manifest(REPOSITORY, "1", MANIFEST, &artifact.manifest).await.expect(201);
    registry.assert_pulls(REPOSITORY, "1", &artifact).await;
    // oras attach
    let head = pusher.head(&manifest(REPOSITORY, "1")).await.expect(200);
    assert_eq!(head.header("docker-content-digest"), artifact.digest().to_string());
    let note = Image::artifact(b"looks good", &json!({"subject": artifact.descriptor()}));
    upload_by_put(&pusher, UPLOADS, &note.blobs[1]).await;
    let reference = note.digest().to_string();
    let answer = pusher.put_manifest(REPOSITORY, &reference, MANIFEST, &note.manifest).await.expect(201);
    // Without this header oras would push a tag that lists the referrers.
    assert_eq!(answer.header("oci-subject"), artifact.digest().to_string());
    // oras discover
    let found = registry.referrers(REPOSITORY, artifact.digest(), "").await;
    assert_eq!(found.len(), 1);
    assert_eq!((&found[0]["digest"], &found[0]["artifactType"]), (&json!(reference), &json!(EXAMPLE)));
    registry.assert_pulls(REPOSITORY, &reference, &note).await;
}

#[tokio::test]
async fn helm_pushes_a_chart_by_digest_reads_it_and_tags_it() {
    let server = TestServer::start().await;
    let registry = Registry::of(&server).anonymous();
    // Scopes of several repositories, in one parameter.
    let scopes = ["repository:charts/demo:pull,push repository:team/app:pull"];
    let first = challenge(&registry, "GET", "/v2/").await;
    let pusher = log_in(&registry, Some(&server.token), &first, &scopes).await;
    let layer = json!({
        "mediaType": "application/vnd.cncf.helm.chart.content.v1.tar+gzip", "digest": Digest::of(b"chart"), "size": 5,
    });
    let annotations = json!({"org.opencontainers.image.title": "demo", "org.opencontainers.image.version": "0.1.0+x"});
    let chart = Image::artifact(b"chart", &json!({ "layers": [layer], "annotations": annotations }));
    for bytes in &chart.blobs {
        upload_by_put(&pusher, "/v2/charts/demo/blobs/uploads/", bytes).await;
    }
    let digest = chart.digest().to_string();
    pusher.put_manifest("charts/demo", &digest, MANIFEST, &chart.manifest).await.expect(201);
    let got = pusher.ask("GET", &manifest("charts/demo", &digest), &[("accept", MANIFEST)], "").await.expect(200);
    assert!(got.body == chart.manifest);
    // A tag has no plus sign.
    pusher.put_manifest("charts/demo", "0.1.0_x", MANIFEST, &chart.manifest).await.expect(201);
    registry.assert_pulls("charts/demo", "0.1.0_x", &chart).await;
}

#[tokio::test]
async fn regctl_sends_chunks_goes_on_after_an_interruption_and_deletes_a_tag() {
    let server = TestServer::start().await;
    let registry = Registry::of(&server).anonymous();
    let pusher = log_in(&registry, Some(&server.token), &challenge(&registry, "POST", UPLOADS).await, &[BOTH]).await;
    let begun = pusher.ask("POST", UPLOADS, &[], "").await.expect(202);
    let mut upload = location(&begun);
    // It sends chunks of 1 MiB unless it is asked for longer ones.
    let least = begun.headers.get("oci-chunk-min-length").map_or(0, |value| value.to_str().unwrap().parse().unwrap());
    let chunk = least.max(1 << 20);
    let bytes: Vec<u8> = (0..u32::try_from(3 * chunk / 4).unwrap()).flat_map(u32::to_le_bytes).collect();
    let digest = Digest::of(&bytes);
    for start in (0..bytes.len()).step_by(chunk) {
        let place = format!("{start}-{}", start + chunk - 1);
        let headers = [OCTETS, ("content-range", place.as_str())];
        let part = bytes[start..start + chunk].to_vec();
        let answer = pusher.ask("PATCH", &upload, &headers, part.clone()).await.expect(202);
        assert_eq!(answer.header("range"), format!("0-{}", start + chunk - 1));
        // The answer got lost on its way: it asks, and is told that it has gone on.
        let again = pusher.ask("PATCH", &upload, &headers, part).await;
        assert_eq!(again.status, 416, "{}", again.text());
        let state = pusher.get(&location(&again)).await.expect(204);
        assert_eq!(state.header("range"), format!("0-{}", start + chunk - 1));
        upload = location(&state);
    }
    for _ in 0..2 {
        // The second time it repeats what was done already.
        let answer = pusher.ask("PUT", &with_digest(&upload, digest), &[], "").await.expect(201);
        assert_eq!(answer.header("docker-content-digest"), digest.to_string());
    }
    registry.assert_blob(REPOSITORY, &bytes).await;
    // regctl tag delete
    let image = Image::of("regctl");
    pusher.push(REPOSITORY, "old", &image).await;
    pusher.push(REPOSITORY, "new", &image).await;
    pusher.delete(&manifest(REPOSITORY, "old")).await.expect(202);
    refused(registry.get(&manifest(REPOSITORY, "old")).await, 404, "MANIFEST_UNKNOWN");
    registry.assert_pulls(REPOSITORY, "new", &image).await;
}

#[tokio::test]
async fn tokens_are_asked_for_in_every_way_and_basic_credentials_work_without() {
    let server = TestServer::start().await;
    let registry = Registry::of(&server).anonymous();
    let first = challenge(&registry, "GET", "/v2/").await;
    let scopes: [&[&str]; 3] = [&[], &["repository:a/b:pull", "repository:c/d:pull,push"], &["registry:catalog:*"]];
    for scopes in scopes {
        log_in(&registry, Some(&server.token), &first, scopes).await.push(REPOSITORY, "x", &Image::of("x")).await;
        log_in(&registry, None, &first, scopes).await.get(&manifest(REPOSITORY, "x")).await.expect(200);
    }
    let form = [("content-type", "application/x-www-form-urlencoded")];
    registry.ask("POST", "/v2/token", &form, "grant_type=refresh_token&service=x").await.expect(404);
    let with = async |password: &str, method: &str, path: &str| {
        registry.ask(method, path, &[("authorization", &basic(password))], "").await
    };
    with(&server.token, "GET", "/v2/").await.expect(200);
    with(&server.token, "POST", UPLOADS).await.expect(202);
    refused(with("larder_wrong", "GET", "/v2/").await, 401, "UNAUTHORIZED");
    refused(with("larder_wrong", "GET", &realm(&first)).await, 401, "UNAUTHORIZED");
    refused(with("larder_wrong", "POST", UPLOADS).await, 401, "UNAUTHORIZED");
}
