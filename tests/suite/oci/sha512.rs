//! Images whose digests are in SHA-512: what the collector, `verify` and `copy-store` do with them, what is refused, and that
//! an alias comes from nothing but bytes.

use std::path::Path;
use std::sync::Arc;

use larder::config::Config;
use larder::domain::{AnyDigest, Digest, Sha512};
use larder::layout;
use larder::store::FsStore;
use larder::upkeep::verify::Finding;
use serde_json::json;
use tempfile::TempDir;

use super::image::{EXAMPLE, Image, MANIFEST};
use super::registry::{OCTETS, Registry, location, refused, with_digest};
use crate::support::collecting::{collect, copies, findings, greedy, patient};
use crate::support::process::larder;
use crate::support::server::TestServer;
use crate::support::store::{Store, all_keys};

const REPOSITORY: &str = "team/app";

/// A server that does not collect, on a directory.
struct Place {
    directory: Option<TempDir>,
    server: TestServer,
    registry: Registry,
    store: Store,
}

impl Place {
    async fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let place = Self::on(directory.path()).await;
        Self { directory: Some(directory), ..place }
    }

    async fn on(directory: &Path) -> Self {
        let change = |config: &mut Config| {
            config.collector.enabled = false;
            // Others collect, and what they retired is to be gone at once.
            config.heads.max_staleness = larder::config::Duration::from_secs(0);
        };
        let server = TestServer::on(directory, change).await;
        let (registry, store): (Registry, Store) = (Registry::of(&server), Arc::new(FsStore::open(directory).unwrap()));
        Self { directory: None, server, registry, store }
    }

    async fn aliases(&self) -> usize {
        all_keys(&self.store).await.iter().filter(|key| key.starts_with("aux/sha512/")).count()
    }
}

fn index() -> Image {
    let children = vec![Image::layered("amd64", &["shared", "one"]), Image::layered("arm64", &["shared", "two"])];
    Image::index(children, &json!({})).in_sha512()
}

fn blob(bytes: &[u8]) -> String {
    format!("/v2/{REPOSITORY}/blobs/{}", Sha512::of(bytes))
}

fn manifest(reference: impl std::fmt::Display) -> String {
    format!("/v2/{REPOSITORY}/manifests/{reference}")
}

#[tokio::test]
async fn what_is_named_by_sha512_stays_while_it_is_needed_and_returns_after_it_went() {
    let (place, index) = (Place::new().await, index());
    let layer = index.children[0].blobs[1].clone();
    for _ in 0..2 {
        place.registry.push_in_sha512(REPOSITORY, &["latest"], &index).await;
        for _ in 0..2 {
            let report = collect(&place.store, greedy()).await.unwrap();
            assert_eq!((report.totals.lost, report.totals.deleted.blobs), (0, 0), "{report:?}");
            for reference in ["latest".to_owned(), index.sha512().to_string()] {
                place.registry.assert_pulls_in_sha512(REPOSITORY, &reference, &index).await;
            }
        }
        assert!(findings(&place.store).await.is_empty());
        refused(place.registry.delete(&manifest(index.children[0].sha512())).await, 405, "DENIED");
        place.registry.delete(&manifest(index.sha512())).await.expect(202);
        collect(&place.store, greedy()).await.unwrap();
        assert!(copies(&place.store).await.is_empty());
        // Aliases of what is gone say no more than that it is not there.
        assert!(place.aliases().await > 0);
        for registry in [&place.registry, &place.registry.anonymous()] {
            refused(registry.get(&blob(&layer)).await, 404, "BLOB_UNKNOWN");
            refused(registry.get(&manifest(index.sha512())).await, 404, "MANIFEST_UNKNOWN");
        }
        place.registry.head(&blob(&layer)).await.expect(404);
        let mount = format!("/v2/{REPOSITORY}/blobs/uploads/?mount={}", Sha512::of(&layer));
        place.registry.ask("POST", &mount, &[], "").await.expect(202);
        let refusal = place.registry.put_manifest(REPOSITORY, "again", &index.media_type, &index.manifest).await;
        refused(refusal, 400, "MANIFEST_BLOB_UNKNOWN");
        assert!(findings(&place.store).await.is_empty());
    }
}

#[tokio::test]
async fn a_lost_alias_stops_the_collector_until_the_bytes_are_uploaded_by_it_again() {
    let (place, image) = (Place::new().await, Image::of("lost").in_sha512());
    place.registry.push_in_sha512(REPOSITORY, &["latest"], &image).await;
    let layer = &image.blobs[1];
    let key = layout::alias(&Sha512::of(layer));
    place.store.delete(&key).await.unwrap();
    let error = collect(&place.store, greedy()).await.unwrap_err();
    assert!(error.to_string().contains(&Sha512::of(layer).to_string()), "{error}");
    let found = findings(&place.store).await;
    assert!(matches!(&found[..], [Finding::DamagedManifest { .. }]), "{found:?}");
    // Through another server, which does not remember it.
    let directory = place.directory.as_ref().unwrap().path();
    let other = Place::on(directory).await;
    refused(other.registry.get(&blob(layer)).await, 404, "BLOB_UNKNOWN");
    let upload = with_digest(&other.registry.begin(REPOSITORY).await, Sha512::of(layer));
    other.registry.ask("PUT", &upload, &[OCTETS], layer.clone()).await.expect(201);
    collect(&place.store, greedy()).await.unwrap();
    other.registry.assert_pulls_in_sha512(REPOSITORY, "latest", &image).await;
    assert!(findings(&place.store).await.is_empty());
}

#[tokio::test]
async fn a_damaged_or_wrong_alias_is_found() {
    let place = Place::new().await;
    let (one, other) = (place.registry.push_blob(REPOSITORY, b"one").await, b"other");
    place.registry.push_blob(REPOSITORY, other).await;
    let key = layout::alias(&Sha512::of(other));
    for (bytes, is_wrong) in [
        (format!("{{\"format\":1,\"digest\":\"{one}\"}}"), true),
        ("{".to_owned(), true),
        (format!("{{\"format\":1,\"digest\":\"{}\",\"x\":1}}", Digest::of(other)), false),
        (format!("{{\"format\":1,\"digest\":\"{}\"}}", Digest::of(b"nowhere")), false),
    ] {
        place.store.create(&key, bytes.clone().into()).await.unwrap();
        let found = findings(&place.store).await;
        assert_eq!(matches!(&found[..], [Finding::DamagedAlias { .. }]), is_wrong, "{bytes}: {found:?}");
        assert!(is_wrong || found.is_empty(), "{found:?}");
        place.store.delete(&key).await.unwrap();
    }
}

#[tokio::test]
async fn a_copy_of_the_store_answers_by_sha512() {
    let (place, index) = (Place::new().await, index());
    place.registry.push_in_sha512(REPOSITORY, &["latest"], &index).await;
    let to = TempDir::new().unwrap();
    let copied = to.path().join("copy");
    let (from, into) = (place.directory.as_ref().unwrap().path().to_owned(), copied.clone());
    tokio::task::spawn_blocking(move || {
        larder("copy-store --verify").arg(from).arg(&into).ok();
        larder("verify --data").arg(&into).ok();
    })
    .await
    .unwrap();
    let copy = Place::on(&copied).await;
    for reference in ["latest".to_owned(), index.sha512().to_string()] {
        copy.registry.assert_pulls_in_sha512(REPOSITORY, &reference, &index).await;
    }
    collect(&copy.store, greedy()).await.unwrap();
    copy.registry.assert_pulls_in_sha512(REPOSITORY, "latest", &index).await;
}

#[tokio::test]
async fn what_describes_a_manifest_by_sha512_is_listed_and_stays_as_long() {
    let (place, image) = (Place::new().await, Image::of("subject").in_sha512());
    let named = json!({"mediaType": MANIFEST, "digest": image.sha512(), "size": image.manifest.len()});
    let notes = |text: &str| Image::artifact(text.as_bytes(), &json!({"subject": named})).in_sha512();
    let (before, after) = (notes("before"), notes("after"));
    let push = async |notes: &Image| {
        place.registry.push_in_sha512(REPOSITORY, &[], notes).await;
        let reference = notes.sha512().to_string();
        let answer = place.registry.put_manifest(REPOSITORY, &reference, MANIFEST, &notes.manifest).await.expect(201);
        assert_eq!(answer.header("oci-subject"), image.sha512().to_string());
    };
    let by_sha512 = AnyDigest::Sha512(image.sha512());
    push(&before).await;
    place.registry.push_in_sha512(REPOSITORY, &["v1"], &image).await;
    push(&after).await;
    // No time is left to what is untagged, but these are about something that is there.
    for _ in 0..2 {
        collect(&place.store, greedy()).await.unwrap();
        let listed = place.registry.anonymous().referrers(REPOSITORY, by_sha512, "").await;
        assert_eq!(listed.len(), 2, "{listed:#?}");
        for notes in [&before, &after] {
            let entry =
                listed.iter().find(|entry| entry["digest"] == notes.sha512().to_string()).expect("it is listed");
            assert_eq!((&entry["artifactType"], &entry["size"]), (&json!(EXAMPLE), &json!(notes.manifest.len())));
            place.registry.assert_pulls_in_sha512(REPOSITORY, &notes.sha512().to_string(), notes).await;
        }
    }
    place.registry.delete(&manifest(image.sha512())).await.expect(202);
    collect(&place.store, greedy()).await.unwrap();
    assert!(place.registry.referrers(REPOSITORY, by_sha512, "").await.is_empty());
    refused(place.registry.get(&manifest(before.sha512())).await, 404, "MANIFEST_UNKNOWN");
}

#[tokio::test]
async fn a_manifest_that_names_what_nobody_uploaded_by_sha512_is_refused_and_says_what() {
    let place = Place::new().await;
    let registry = &place.registry;
    let image = Image::of("incomplete").in_sha512();
    for bytes in &image.blobs {
        // Its bytes are there, but nobody has shown that they have the other digest.
        registry.push_blob(REPOSITORY, bytes).await;
    }
    let missing = Sha512::of(&image.blobs[1]).to_string();
    for reference in ["latest".to_owned(), image.sha512().to_string(), image.digest().to_string()] {
        let answer = registry.put_manifest(REPOSITORY, &reference, MANIFEST, &image.manifest).await;
        let error = refused(answer, 400, "MANIFEST_BLOB_UNKNOWN");
        assert!(error["detail"].to_string().contains(&missing), "{error:#}");
        registry.head(&manifest(reference)).await.expect(404);
    }
    let native = place.server.put("/manifests/team/app/native", image.manifest.clone()).await;
    native.problem(409, "MANIFEST_BLOB_UNKNOWN");
    // A child that is there as a blob, and names what is not.
    registry.push_blob(REPOSITORY, &image.manifest).await;
    let index = Image::index(vec![image.clone()], &json!({}));
    let answer = registry.put_manifest(REPOSITORY, "index", &index.media_type, &index.manifest).await;
    let error = refused(answer, 400, "MANIFEST_BLOB_UNKNOWN");
    assert!(error["detail"].to_string().contains(&missing), "{error:#}");
    collect(&place.store, patient()).await.unwrap();
    registry.push_in_sha512(REPOSITORY, &["latest"], &image).await;
    registry.push(REPOSITORY, "index", &index).await;
    collect(&place.store, greedy()).await.unwrap();
    registry.assert_pulls_in_sha512(REPOSITORY, "latest", &image).await;
    let wrong = String::from_utf8(image.manifest.clone()).unwrap();
    let size = format!("\"size\":{}", image.blobs[1].len());
    let wrong = wrong.replace(&size, &format!("\"size\":{}", image.blobs[1].len() + 1));
    let answer = registry.put_manifest(REPOSITORY, "wrong", MANIFEST, wrong.as_bytes()).await;
    refused(answer, 400, "SIZE_INVALID");
}

#[tokio::test]
async fn no_alias_comes_from_a_claim() {
    let place = Place::new().await;
    let registry = &place.registry;
    let (bytes, claimed) = (b"these bytes", Sha512::of(b"other bytes"));
    registry.push_blob(REPOSITORY, bytes).await;
    let begin = format!("/v2/{REPOSITORY}/blobs/uploads/");
    refused(registry.ask("POST", &with_digest(&begin, claimed), &[OCTETS], &bytes[..]).await, 400, "DIGEST_INVALID");
    let upload = registry.begin(REPOSITORY).await;
    refused(registry.ask("PUT", &with_digest(&upload, claimed), &[OCTETS], &bytes[..]).await, 400, "DIGEST_INVALID");
    for query in ["", "?digest-algorithm=sha512"] {
        let upload = location(&registry.ask("POST", &format!("{begin}{query}"), &[], "").await.expect(202));
        let upload = location(&registry.ask("PATCH", &upload, &[OCTETS], &bytes[..]).await.expect(202));
        refused(registry.ask("PUT", &with_digest(&upload, claimed), &[], "").await, 400, "DIGEST_INVALID");
    }
    let answer = registry.put_manifest(REPOSITORY, &claimed.to_string(), MANIFEST, &Image::of("x").manifest).await;
    refused(answer, 400, "DIGEST_INVALID");
    let mount = format!("{begin}?mount={claimed}&from=team/app");
    registry.ask("POST", &mount, &[], "").await.expect(202);
    // Nor may anybody without a token.
    let stranger = registry.anonymous();
    stranger.ask("POST", &with_digest(&begin, Sha512::of(bytes)), &[OCTETS], &bytes[..]).await.expect(401);
    assert_eq!(place.aliases().await, 0);
}

#[tokio::test]
async fn an_upload_that_announces_sha512_is_closed_by_it_and_may_be_closed_again() {
    let place = Place::new().await;
    let registry = &place.registry;
    for (query, chunks) in [("?digest-algorithm=sha512", 1), ("?digest-algorithm=sha512", 3), ("", 3)] {
        let bytes = format!("{query}{chunks}").repeat(100).into_bytes();
        let begin = format!("/v2/{REPOSITORY}/blobs/uploads/{query}");
        let mut upload = location(&registry.ask("POST", &begin, &[], "").await.expect(202));
        let announced = "?digest-algorithm=sha512";
        assert_eq!(upload.ends_with(announced), !query.is_empty(), "{upload}");
        let state = registry.get(&upload).await.expect(204);
        assert_eq!(location(&state).ends_with(announced), !query.is_empty());
        for chunk in bytes.chunks(bytes.len().div_ceil(chunks)) {
            upload = location(&registry.ask("PATCH", &upload, &[OCTETS], chunk.to_vec()).await.expect(202));
        }
        let close = with_digest(&upload, Sha512::of(&bytes));
        for _ in 0..2 {
            let answer = registry.ask("PUT", &close, &[], "").await.expect(201);
            assert_eq!(location(&answer), blob(&bytes));
        }
        registry.assert_blob_as(REPOSITORY, AnyDigest::Sha512(Sha512::of(&bytes)), &bytes).await;
    }
    let left: Vec<String> = all_keys(&place.store).await.into_iter().filter(|key| key.starts_with("tmp/")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn files_of_an_artifact_in_sha512_have_names() {
    let place = Place::new().await;
    let title = json!({"org.opencontainers.image.title": "notes.txt"});
    let layer = json!({"mediaType": "text/plain", "digest": Digest::of(b"hello"), "size": 5, "annotations": title});
    let artifact = Image::artifact(b"hello", &json!({"layers": [layer]}));
    let index = Image::index(vec![artifact], &json!({})).in_sha512();
    place.registry.push_in_sha512(REPOSITORY, &["one"], &index.children[0]).await;
    place.registry.push_in_sha512(REPOSITORY, &["all"], &index).await;
    for tag in ["one", "all"] {
        let answer = place.server.get(&format!("/versions/{REPOSITORY}/{tag}@1")).await.expect(200).json();
        assert_eq!(answer["artifact_manifest"]["files"], 1, "{answer:#}");
        assert_eq!(
            place.server.get(&format!("/refs/{REPOSITORY}/{tag}/notes.txt.sha256")).await.expect(200).text()[..64],
            Digest::of(b"hello").hex()
        );
        let page = place.server.anonymous(reqwest::Method::GET, &format!("/manifests/{REPOSITORY}/{tag}"));
        let page = page.header("accept", "text/html");
        assert_eq!(crate::support::server::send(page).await.status, 200);
    }
}
