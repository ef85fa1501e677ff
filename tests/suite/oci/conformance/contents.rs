//! Everything that may be pushed: by digest, by tag, listed, read back, referred to, deleted.

use larder::domain::Digest;
use serde_json::{Value, json};

use crate::oci::image::{
    CONFIG, DOCKER_LIST, DOCKER_MANIFEST, EMPTY, EXAMPLE, INDEX, Image, LAYER, MANIFEST, descriptor,
};
use crate::oci::registry::{Registry, location, refused};
use crate::support::server::TestServer;

pub(super) const REPOSITORY: &str = "conformance/data";

/// An image whose manifest has almost four million bytes.
fn large() -> Image {
    let annotations: Value =
        (0..390).map(|at| (format!("large-annotation-{at}"), Value::from("A".repeat(10_000)))).collect();
    Image::of("large").with(&json!({ "annotations": annotations }))
}

fn platforms() -> Vec<Image> {
    vec![Image::layered("amd64", &["amd", "more"]), Image::layered("arm64", &["arm"])]
}

/// A manifest without blobs of its own, made of these members.
fn bare(media_type: &str, members: &Value) -> Image {
    let mut document = json!({"schemaVersion": 2, "mediaType": media_type});
    document.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    let manifest = document.to_string().into_bytes();
    Image { media_type: media_type.to_owned(), manifest, blobs: Vec::new(), children: Vec::new() }
}

/// An image of which layers are elsewhere.
fn foreign() -> Image {
    let config = b"{\"os\":\"linux\"}";
    let layer = |kind: &str, salt: &str| {
        let mut layer =
            descriptor(&format!("application/vnd.oci.image.layer.nondistributable.v1.{kind}"), salt.as_bytes());
        layer["urls"] = json!(["https://store.example.com/it"]);
        layer
    };
    let here = b"a layer that is here";
    let layers = json!([layer("tar+gzip", "there"), layer("tar", "there, too"), descriptor(LAYER, here)]);
    let image = bare(MANIFEST, &json!({"config": descriptor(CONFIG, config), "layers": layers}));
    Image { blobs: vec![config.to_vec(), here.to_vec()], ..image }
}

/// What BuildKit before 0.21 pushes as a cache: an index whose entries are layers.
fn cache(media_type: &str, layer_type: &str) -> Image {
    let (layer, config) = (media_type.as_bytes(), b"{\"layers\":[]}");
    let entries = json!([descriptor(layer_type, layer), descriptor("application/vnd.buildkit.cacheconfig.v0", config)]);
    Image { blobs: vec![layer.to_vec(), config.to_vec()], ..bare(media_type, &json!({"manifests": entries})) }
}

/// The types that Docker gives to what is otherwise an image.
fn docker() -> Image {
    let Image { blobs, .. } = Image::of("docker");
    let config = descriptor("application/vnd.docker.container.image.v1+json", &blobs[0]);
    let layers = json!([descriptor("application/vnd.docker.image.rootfs.diff.tar.gzip", &blobs[1])]);
    Image { blobs, ..bare(DOCKER_MANIFEST, &json!({"config": config, "layers": layers})) }
}

/// One of each kind, with a name.
pub(super) fn kinds() -> Vec<(&'static str, Image)> {
    let with_data = || {
        let mut empty = descriptor(EMPTY, b"{}");
        empty["data"] = "e30=".into();
        Image::artifact(b"inline", &json!({ "config": empty }))
    };
    let missing = descriptor(MANIFEST, b"missing content");
    let docker_list = json!({"manifests": [docker().descriptor()]});
    let oldest = Image::of("oldest");
    let untyped: Value = serde_json::from_slice(&oldest.manifest).unwrap();
    let untyped = json!({"schemaVersion": 2, "config": untyped["config"], "layers": untyped["layers"]}).to_string();
    vec![
        ("image", Image::of("image")),
        ("large-manifest", large()),
        ("index", Image::index(platforms(), &json!({}))),
        (
            "nested-index",
            Image::index(vec![Image::index(platforms(), &json!({"annotations": {"a": "b"}}))], &json!({})),
        ),
        ("empty-index", Image::index(Vec::new(), &json!({}))),
        ("artifact", Image::artifact(b"artifact", &json!({}))),
        (
            "artifact-index",
            Image::index(vec![Image::artifact(b"in it", &json!({}))], &json!({"artifactType": EXAMPLE})),
        ),
        ("artifact-without-layers", Image::artifact(b"{}", &json!({"layers": [descriptor(EMPTY, b"{}")]}))),
        ("no-layers", Image::artifact(b"unused", &json!({"layers": []}))),
        ("missing-subject", Image::artifact(b"refers to nothing", &json!({ "subject": missing }))),
        ("data-field", with_data()),
        ("non-distributable-layers", foreign()),
        ("custom-fields", Image::of("custom").with(&json!({"org.example.extra": {"deep": [1, 2.50, null]}}))),
        ("docker", docker()),
        ("docker-list", Image { children: vec![docker()], ..bare(DOCKER_LIST, &docker_list) }),
        ("cache", cache(INDEX, LAYER)),
        ("cache-of-docker", cache(DOCKER_LIST, "application/vnd.docker.image.rootfs.diff.tar.gzip")),
        ("untyped", Image { manifest: untyped.into_bytes(), ..oldest }),
    ]
}

#[tokio::test]
async fn every_kind_of_content_is_pushed_by_digest_and_tag_listed_read_and_deleted() {
    let server = TestServer::start().await;
    let registry = Registry::of(&server);
    let kinds = kinds();
    for (tag, image) in &kinds {
        registry.push_content(REPOSITORY, image).await;
        for reference in [image.digest().to_string(), (*tag).to_owned()] {
            let answer =
                registry.put_manifest(REPOSITORY, &reference, &image.media_type, &image.manifest).await.expect(201);
            assert_eq!(answer.header("docker-content-digest"), image.digest().to_string(), "{tag}");
            assert_eq!(answer.headers.contains_key("oci-subject"), *tag == "missing-subject", "{tag}");
            assert!(registry.get(&location(&answer)).await.expect(200).body == image.manifest, "{tag}");
            registry.anonymous().assert_pulls(REPOSITORY, &reference, image).await;
        }
    }
    assert_lists_half(&registry, kinds.iter().map(|(tag, _)| (*tag).to_owned()).collect()).await;
    for (tag, image) in kinds.iter().rev() {
        let (by_tag, by_digest) = (path(tag), path(&image.digest().to_string()));
        registry.delete(&by_tag).await.expect(202);
        registry.head(&by_tag).await.expect(404);
        // Who has the digest may have it until it is over.
        registry.head(&by_digest).await.expect(200);
        registry.delete(&by_digest).await.expect(202);
        registry.head(&by_digest).await.expect(404);
        refused(registry.get(&by_digest).await, 404, "MANIFEST_UNKNOWN");
        refused(registry.delete(&by_digest).await, 404, "MANIFEST_UNKNOWN");
    }
}

pub(super) fn path(reference: &str) -> String {
    format!("/v2/{REPOSITORY}/manifests/{reference}")
}

/// Asserts that these tags are listed, sorted, and that `last` cuts the list.
pub(super) async fn assert_lists_half(registry: &Registry, mut tags: Vec<String>) {
    tags.sort();
    let list = format!("/v2/{REPOSITORY}/tags/list");
    assert_eq!(registry.tags(&list).await, (tags.clone(), None));
    let half = tags.len() / 2;
    let rest = registry.tags(&format!("{list}?last={}", tags[half - 1])).await;
    assert_eq!(rest, (tags[half..].to_vec(), None));
}

#[tokio::test]
async fn referrers_are_listed_with_what_they_say_of_themselves() {
    let server = TestServer::start().await;
    let registry = Registry::of(&server);
    let image = Image::of("subject");
    let subject = json!({"subject": image.descriptor()});
    let notes = json!({"org.example.note": "hello", "org.example.other": "x"});
    let plain = Image::of("signed").with(&subject);
    let artifact = Image::artifact(b"first", &json!({"subject": image.descriptor(), "annotations": notes}));
    let index =
        Image::index(Vec::new(), &json!({"subject": image.descriptor(), "artifactType": "application/x-other"}));
    // One comes before its subject.
    registry.push(REPOSITORY, "tagged-artifact", &artifact).await;
    registry.push(REPOSITORY, "image", &image).await;
    for other in [&plain, &index] {
        registry.push_content(REPOSITORY, other).await;
        let digest = other.digest().to_string();
        let answer = registry.put_manifest(REPOSITORY, &digest, &other.media_type, &other.manifest).await.expect(201);
        assert_eq!(answer.header("oci-subject"), image.digest().to_string());
    }
    let all = registry.anonymous().referrers(REPOSITORY, image.digest(), "").await;
    assert_eq!(all.len(), 3, "{all:#?}");
    for (other, kind) in [(&plain, CONFIG), (&artifact, EXAMPLE), (&index, "application/x-other")] {
        let mut expected = other.descriptor();
        expected["artifactType"] = kind.into();
        if kind == EXAMPLE {
            expected["annotations"] = notes.clone();
        }
        assert!(all.contains(&expected), "{expected:#} is not in {all:#?}");
        let kind = kind.replace('/', "%2F").replace('+', "%2B");
        let filtered = format!("/v2/{REPOSITORY}/referrers/{}?artifactType={kind}", image.digest());
        let answer = registry.get(&filtered).await.expect(200);
        assert_eq!(answer.header("oci-filters-applied"), "artifactType");
        assert_eq!(answer.json()["manifests"], json!([expected]));
    }
    registry.delete(&path(&plain.digest().to_string())).await.expect(202);
    assert_eq!(registry.referrers(REPOSITORY, image.digest(), "").await.len(), 2);
    assert!(registry.referrers("conformance/other", image.digest(), "").await.is_empty());
}

#[tokio::test]
async fn one_push_by_digest_can_set_many_tags() {
    let server = TestServer::start().await;
    let registry = Registry::of(&server);
    let image = Image::of("many tags");
    registry.push_content(REPOSITORY, &image).await;
    let tags: Vec<String> = (0..10).map(|at| format!("tag-{at}")).collect();
    let query: Vec<String> = tags.iter().map(|tag| format!("tag={tag}")).collect();
    let reference = format!("{}?{}", image.digest(), query.join("&"));
    let answer = registry.put_manifest(REPOSITORY, &reference, MANIFEST, &image.manifest).await.expect(201);
    let named: Vec<String> = answer
        .headers
        .get_all("oci-tag")
        .iter()
        .flat_map(|value| value.to_str().unwrap().split(',').map(|tag| tag.trim().to_owned()))
        .collect();
    assert_eq!(named, tags);
    for tag in &tags {
        registry.assert_pulls(REPOSITORY, tag, &image).await;
    }
    let many: Vec<String> = (0..1000).map(|at| format!("tag={at}")).collect();
    let reference = format!("{}?{}", image.digest(), many.join("&"));
    let answer = registry.put_manifest(REPOSITORY, &reference, MANIFEST, &image.manifest).await;
    assert_eq!(answer.status, 414, "{}", answer.text());
}

#[tokio::test]
async fn deleting_a_digest_takes_every_tag_of_it_and_nothing_else() {
    let server = TestServer::start().await;
    let registry = Registry::of(&server);
    let (first, second) = (Image::of("first"), Image::of("second"));
    for tag in ["a", "b"] {
        registry.push(REPOSITORY, tag, &first).await;
    }
    registry.push(REPOSITORY, "c", &second).await;
    registry.delete(&path(&first.digest().to_string())).await.expect(202);
    for tag in ["a", "b"] {
        refused(registry.get(&path(tag)).await, 404, "MANIFEST_UNKNOWN");
    }
    registry.assert_pulls(REPOSITORY, "c", &second).await;
    assert_eq!(registry.tags(&format!("/v2/{REPOSITORY}/tags/list")).await.0, ["c"]);
    // The other way round: one tag goes, the other stays.
    for tag in ["a", "b"] {
        registry.push(REPOSITORY, tag, &first).await;
    }
    registry.delete(&path("a")).await.expect(202);
    registry.assert_pulls(REPOSITORY, "b", &first).await;
    assert_eq!(registry.tags(&format!("/v2/{REPOSITORY}/tags/list")).await.0, ["b", "c"]);
}

#[tokio::test]
async fn a_child_of_an_index_that_lives_cannot_be_deleted() {
    let server = TestServer::start().await;
    let registry = Registry::of(&server);
    let index = Image::index(platforms(), &json!({}));
    registry.push(REPOSITORY, "latest", &index).await;
    let child = path(&index.children[0].digest().to_string());
    let refusal = refused(registry.delete(&child).await, 405, "DENIED");
    assert!(refusal.to_string().contains(&index.digest().to_string()), "{refusal:#}");
    registry.assert_pulls(REPOSITORY, "latest", &index).await;
}

#[tokio::test]
async fn a_manifest_of_another_repository_is_not_in_this_one() {
    let server = TestServer::start().await;
    let registry = Registry::of(&server);
    let image = Image::of("elsewhere");
    registry.push("conformance/other", "latest", &image).await;
    refused(registry.get(&path(&image.digest().to_string())).await, 404, "MANIFEST_UNKNOWN");
    registry.push(REPOSITORY, "own", &Image::of("own")).await;
    refused(registry.get(&path(&image.digest().to_string())).await, 404, "MANIFEST_UNKNOWN");
    // Blobs are one set for all of them, so pushing it here costs no upload.
    let digest = Digest::of(&image.blobs[0]);
    registry.head(&format!("/v2/{REPOSITORY}/blobs/{digest}")).await.expect(200);
    registry.put_manifest(REPOSITORY, "copied", MANIFEST, &image.manifest).await.expect(201);
    registry.assert_pulls(REPOSITORY, &image.digest().to_string(), &image).await;
}
