//! docker 20.10 and what is built on containers/image: podman, skopeo, buildah.

use larder::domain::Digest;

use super::{
    ACCEPT, assert_wrong_password_is_refused, basic, blob, challenge, log_in, manifest, realm, upload_by_patch,
};
use crate::oci::image::{DOCKER_MANIFEST, Image, MANIFEST};
use crate::oci::registry::{Registry, location, refused};
use crate::support::server::TestServer;

const REPOSITORY: &str = "team/app";
const SCOPE: &str = "repository:team/app:push,pull";
const PULL: &str = "repository:team/app:pull";

#[tokio::test]
async fn docker_logs_in_pushes_and_anybody_pulls() {
    let server = TestServer::start().await;
    let registry = Registry::of(&server).anonymous();
    let token = server.token.as_str();
    // docker login
    let first = challenge(&registry, "GET", "/v2/").await;
    assert_wrong_password_is_refused(&registry, &first).await;
    let path = format!("{}&account=x&client_id=docker&offline_token=true", realm(&first));
    let answer = registry.ask("GET", &path, &[("authorization", &basic(token))], "").await.expect(200).json();
    registry.with_token(answer["token"].as_str().unwrap()).get("/v2/").await.expect(200);
    // docker push, of what was built here
    let image = as_docker(&Image::of("docker"));
    let pusher = log_in(&registry, Some(token), &first, &[SCOPE]).await;
    for bytes in image.blobs.iter().rev() {
        let address = blob(REPOSITORY, Digest::of(bytes));
        pusher.head(&address).await.expect(404);
        upload_by_patch(&pusher, "/v2/team/app/blobs/uploads/", bytes, false).await;
        pusher.head(&address).await.expect(200);
    }
    let answer = pusher.put_manifest(REPOSITORY, "1", DOCKER_MANIFEST, &image.manifest).await.expect(201);
    assert_eq!(answer.header("docker-content-digest"), image.digest().to_string());
    // docker pull, without having logged in
    let puller = log_in(&registry, None, &challenge(&registry, "GET", "/v2/").await, &[PULL]).await;
    let head = puller.ask("HEAD", &manifest(REPOSITORY, "1"), &[("accept", ACCEPT)], "").await.expect(200);
    assert_eq!(head.header("content-type"), DOCKER_MANIFEST);
    let digest = head.header("docker-content-digest").to_owned();
    let got = puller.ask("GET", &manifest(REPOSITORY, &digest), &[("accept", ACCEPT)], "").await.expect(200);
    assert!(got.body == image.manifest && head.header("content-length") == got.body.len().to_string());
    for bytes in &image.blobs {
        puller.assert_blob(REPOSITORY, bytes).await;
    }
    // docker push, without having logged in
    let answer = puller.ask("POST", "/v2/team/app/blobs/uploads/", &[], "").await;
    assert!([401, 403].contains(&answer.status.as_u16()), "{}", answer.text());
}

/// The manifest that docker makes of an image.
fn as_docker(image: &Image) -> Image {
    let text = String::from_utf8(image.manifest.clone()).unwrap();
    let text = text.replace("oci.image.manifest.v1", "docker.distribution.manifest.v2");
    let text = text.replace("oci.image.config.v1", "docker.container.image.v1");
    let text = text.replace("oci.image.layer.v1.tar", "docker.image.rootfs.diff.tar");
    Image { media_type: DOCKER_MANIFEST.to_owned(), manifest: text.into_bytes(), ..image.clone() }
}

#[tokio::test]
async fn docker_mounts_the_layers_that_it_pulled_from_another_repository() {
    let server = TestServer::start().await;
    let registry = Registry::of(&server);
    let image = as_docker(&Image::of("mounted"));
    registry.push("team/base", "1", &image).await;
    let scopes = ["repository:team/base:pull", SCOPE];
    let first = challenge(&registry, "GET", "/v2/").await;
    let pusher = log_in(&registry.anonymous(), Some(&server.token), &first, &scopes).await;
    let layer = Digest::of(&image.blobs[1]);
    let path = format!("/v2/team/app/blobs/uploads/?from=team%2Fbase&mount={}", layer.to_string().replace(':', "%3A"));
    let answer = pusher.ask("POST", &path, &[], "").await.expect(201);
    assert_eq!(answer.header("docker-content-digest"), layer.to_string());
    pusher.head(&blob(REPOSITORY, layer)).await.expect(200);
    pusher.head(&blob(REPOSITORY, Digest::of(&image.blobs[0]))).await.expect(200);
    pusher.put_manifest(REPOSITORY, "1", DOCKER_MANIFEST, &image.manifest).await.expect(201);
    registry.assert_pulls(REPOSITORY, "1", &image).await;
}

#[tokio::test]
async fn containers_image_pushes_deletes_and_lists() {
    let server = TestServer::start().await;
    let registry = Registry::of(&server).anonymous();
    let image = Image::of("skopeo");
    let pusher = log_in(&registry, Some(&server.token), &challenge(&registry, "GET", "/v2/").await, &[SCOPE]).await;
    for bytes in image.blobs.iter().rev() {
        let digest = Digest::of(bytes);
        pusher.head(&blob(REPOSITORY, digest)).await.expect(404);
        // A mount that does not succeed begins an upload, which is not wanted.
        let path = format!("/v2/{REPOSITORY}/blobs/uploads/?from=team/base&mount={digest}");
        let unwanted = location(&pusher.ask("POST", &path, &[], "").await.expect(202));
        pusher.delete(&unwanted).await.expect(204);
        upload_by_patch(&pusher, "/v2/team/app/blobs/uploads/", bytes, true).await;
    }
    pusher.put_manifest(REPOSITORY, "1", MANIFEST, &image.manifest).await.expect(201);
    pusher.put_manifest(REPOSITORY, "same", MANIFEST, &image.manifest).await.expect(201);
    registry.assert_pulls(REPOSITORY, "1", &image).await;
    // skopeo list-tags
    assert_eq!(registry.tags("/v2/team/app/tags/list").await, (vec!["1".to_owned(), "same".to_owned()], None));
    // skopeo delete: all tags of what this tag leads to
    let got = pusher.ask("GET", &manifest(REPOSITORY, "1"), &[("accept", ACCEPT)], "").await.expect(200);
    let digest = got.header("docker-content-digest").to_owned();
    pusher.delete(&manifest(REPOSITORY, digest)).await.expect(202);
    for tag in ["1", "same"] {
        refused(registry.get(&manifest(REPOSITORY, tag)).await, 404, "MANIFEST_UNKNOWN");
    }
}
