//! What is refused, and how clients are told.

use larder::domain::Digest;
use serde_json::json;

use crate::oci::image::{DOCKER_MANIFEST, INDEX, Image, MANIFEST, descriptor};
use crate::oci::registry::{Registry, refused};
use crate::support::server::TestServer;

const REPOSITORY: &str = "conformance/errors";

fn path(reference: &str) -> String {
    format!("/v2/{REPOSITORY}/manifests/{reference}")
}

#[tokio::test]
async fn what_nobody_pushed_is_unknown() {
    let server = TestServer::start().await;
    let registry = Registry::of(&server);
    let digest = Digest::of(b"nobody").to_string();
    for reference in [digest.as_str(), "missing-tag"] {
        refused(registry.get(&path(reference)).await, 404, "MANIFEST_UNKNOWN");
    }
    registry.push(REPOSITORY, "there", &Image::of("there")).await;
    for reference in [digest.as_str(), "missing-tag"] {
        refused(registry.get(&path(reference)).await, 404, "MANIFEST_UNKNOWN");
        registry.head(&path(reference)).await.expect(404);
        refused(registry.delete(&path(reference)).await, 404, "MANIFEST_UNKNOWN");
    }
    refused(registry.get(&format!("/v2/{REPOSITORY}/blobs/{digest}")).await, 404, "BLOB_UNKNOWN");
    // Whoever looks without credentials is asked for some, and is told with those of nobody.
    let stranger = registry.anonymous();
    stranger.head(&path("missing-tag")).await.expect(401);
    refused(stranger.get(&path("missing-tag")).await, 404, "MANIFEST_UNKNOWN");
}

#[tokio::test]
async fn a_digest_that_is_none_is_refused() {
    let server = TestServer::start().await;
    let registry = Registry::of(&server);
    let image = Image::of("bad digest");
    registry.push_content(REPOSITORY, &image).await;
    for reference in ["sha256:baddigeststring", "md5:d41d8cd98f00b204e9800998ecf8427e"] {
        let answer = registry.put_manifest(REPOSITORY, reference, MANIFEST, &image.manifest).await;
        refused(answer, 400, "DIGEST_INVALID");
        let answer = registry.get(&path(reference)).await;
        assert!([400, 404].contains(&answer.status.as_u16()), "{}", answer.text());
    }
    // A body with other bytes than the digest says.
    let longer = [&image.manifest[..], b"  "].concat();
    let reference = image.digest().to_string();
    refused(registry.put_manifest(REPOSITORY, &reference, MANIFEST, &longer).await, 400, "DIGEST_INVALID");
    registry.head(&path(&reference)).await.expect(404);
}

#[tokio::test]
async fn a_manifest_that_needs_what_is_not_there_is_refused_and_says_what() {
    let server = TestServer::start().await;
    let registry = Registry::of(&server);
    let image = Image::of("incomplete");
    registry.push_blob(REPOSITORY, &image.blobs[0]).await;
    let missing = Digest::of(&image.blobs[1]).to_string();
    for reference in ["latest".to_owned(), image.digest().to_string()] {
        let answer = registry.put_manifest(REPOSITORY, &reference, MANIFEST, &image.manifest).await;
        let error = refused(answer, 400, "MANIFEST_BLOB_UNKNOWN");
        assert!(error["detail"].to_string().contains(&missing), "{error:#}");
        registry.head(&path(&reference)).await.expect(404);
    }
    // What the client does then: it runs again, and uploads what it is told to be missing.
    registry.push(REPOSITORY, "latest", &image).await;
    registry.assert_pulls(REPOSITORY, "latest", &image).await;
    let index = Image::index(vec![Image::of("never pushed")], &json!({}));
    let answer = registry.put_manifest(REPOSITORY, "index", INDEX, &index.manifest).await;
    let error = refused(answer, 400, "MANIFEST_BLOB_UNKNOWN");
    assert!(error["detail"].to_string().contains(&index.children[0].digest().to_string()), "{error:#}");
}

#[tokio::test]
async fn a_size_that_is_wrong_is_refused() {
    let server = TestServer::start().await;
    let registry = Registry::of(&server);
    let mut layer = descriptor("text/plain", b"three");
    layer["size"] = 4.into();
    let wrong = Image::artifact(b"three", &json!({ "layers": [layer] }));
    registry.push_content(REPOSITORY, &wrong).await;
    refused(registry.put_manifest(REPOSITORY, "wrong", MANIFEST, &wrong.manifest).await, 400, "SIZE_INVALID");
    registry.head(&path("wrong")).await.expect(404);
}

#[tokio::test]
async fn what_is_listed_as_a_manifest_and_is_none_is_named_and_not_quoted() {
    let server = TestServer::start().await;
    let registry = Registry::of(&server);
    let text = b"no JSON".as_slice();
    let members = br#"{"schemaVersion": "a secret of somebody else", "config": {}}"#.as_slice();
    let image = Image::of("child").manifest;
    for (child, media_type, what) in [
        (text, MANIFEST, "it is not JSON"),
        (members, MANIFEST, "it does not have the members of an OCI manifest or index"),
        (&image, INDEX, "it is of the type application/vnd.oci.image.manifest.v1+json"),
    ] {
        let digest = registry.push_blob(REPOSITORY, child).await;
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor(media_type, child)]});
        let answer = registry.put_manifest(REPOSITORY, "wrong", INDEX, index.to_string().as_bytes()).await;
        let text = answer.text();
        let error = refused(answer, 400, "MANIFEST_INVALID");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(&digest.to_string()) && message.contains(what), "{message}");
        assert!(!text.contains("secret") && !text.contains("line 1"), "{text}");
    }
    // Of what they sent themselves, clients are told where it is wrong.
    for (body, message) in [
        ("no JSON", "This is no manifest: it is not JSON: expected ident at line 1 column 2."),
        (
            r#"{"layers": 5}"#,
            "This is no manifest: invalid type: integer `5`, expected a sequence at line 1 column 12.",
        ),
        (
            r#"{"config": 5}"#,
            "This is no manifest: invalid type: integer `5`, expected a descriptor at line 1 column 12.",
        ),
    ] {
        let answer = registry.put_manifest(REPOSITORY, "wrong", MANIFEST, body.as_bytes()).await;
        assert_eq!(refused(answer, 400, "MANIFEST_INVALID")["message"], message);
    }
}

#[tokio::test]
async fn a_size_that_is_stated_twice_is_told_with_the_whole_digest() {
    let server = TestServer::start().await;
    let registry = Registry::of(&server);
    let (layer, mut other) = (descriptor("text/plain", b"three"), descriptor("text/plain", b"three"));
    other["size"] = 4.into();
    let image = Image::artifact(b"three", &json!({ "layers": [layer, other] }));
    let error =
        refused(registry.put_manifest(REPOSITORY, "two", MANIFEST, &image.manifest).await, 400, "MANIFEST_INVALID");
    let problem = format!("layers[1]: {} is stated with two different sizes", Digest::of(b"three"));
    assert_eq!(error["detail"]["problems"], json!([problem]), "{error}");
}

#[tokio::test]
async fn what_is_no_manifest_is_refused() {
    let server = TestServer::start().await;
    let registry = Registry::of(&server);
    let image = Image::of("refused");
    registry.push_content(REPOSITORY, &image).await;
    let schema1 = json!({"schemaVersion": 1, "name": "x", "tag": "y", "fsLayers": [], "history": []});
    let old = json!({"mediaType": "application/vnd.oci.artifact.manifest.v1+json", "artifactType": "a/b", "blobs": []});
    for (media_type, body) in [
        (MANIFEST, b"{".to_vec()),
        (MANIFEST, b"[]".to_vec()),
        (MANIFEST, b"{}".to_vec()),
        (MANIFEST, b"null".to_vec()),
        (MANIFEST, b"\xff\xfe".to_vec()),
        (MANIFEST, Vec::new()),
        ("application/vnd.docker.distribution.manifest.v1+prettyjws", schema1.to_string().into_bytes()),
        ("application/vnd.oci.artifact.manifest.v1+json", old.to_string().into_bytes()),
        // The type that is said is not the one that the bytes say.
        (DOCKER_MANIFEST, image.manifest.clone()),
        (INDEX, image.manifest.clone()),
    ] {
        refused(registry.put_manifest(REPOSITORY, "refused", media_type, &body).await, 400, "MANIFEST_INVALID");
    }
    registry.head(&path("refused")).await.expect(404);
    // Parameters of a type say nothing here.
    let media_type = format!("{MANIFEST}; charset=utf-8");
    registry.put_manifest(REPOSITORY, "taken", &media_type, &image.manifest).await.expect(201);
    registry.assert_pulls(REPOSITORY, "taken", &image).await;
}

#[tokio::test]
async fn names_that_are_none_are_refused() {
    let server = TestServer::start().await;
    let registry = Registry::of(&server);
    let image = Image::of("names");
    for path in ["/v2/Upper/manifests/x", "/v2/a//b/manifests/x", "/v2/a..b/manifests/x", "/v2/-a/tags/list"] {
        refused(registry.get(path).await, 400, "NAME_INVALID");
    }
    for tag in ["-x", ".x", "a%20b", &"x".repeat(129)] {
        let answer = registry.put_manifest(REPOSITORY, tag, MANIFEST, &image.manifest).await;
        assert!([400, 404].contains(&answer.status.as_u16()), "{tag}: {}", answer.text());
    }
    let long = "r".repeat(250);
    let answer = registry.put_manifest(&long, "latest", MANIFEST, &image.manifest).await;
    refused(answer, 400, "NAME_INVALID");
}

#[tokio::test]
async fn four_mebibytes_of_manifest_are_taken_and_no_byte_more() {
    let server = TestServer::start().await;
    let registry = Registry::of(&server);
    let padded = |length: usize| {
        let empty = Image::of("padded").with(&json!({"annotations": {"padding": ""}}));
        let padding = "x".repeat(length - empty.manifest.len());
        let image = Image::of("padded").with(&json!({"annotations": {"padding": padding}}));
        assert_eq!(image.manifest.len(), length);
        image
    };
    let most = padded(4 << 20);
    registry.push(REPOSITORY, "most", &most).await;
    registry.assert_pulls(REPOSITORY, "most", &most).await;
    let more = padded((4 << 20) + 1);
    let answer = registry.put_manifest(REPOSITORY, "more", MANIFEST, &more.manifest).await;
    assert_eq!(answer.status, 413, "{}", answer.text());
    registry.head(&path("more")).await.expect(404);
}
