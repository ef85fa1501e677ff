//! Images and the collector: what users of other registries lost to it, or could not get rid of. Every run here has a
//! minimum age of zero unless it says otherwise.

use std::path::Path;
use std::sync::Arc;

use jiff::SignedDuration;
use larder::config::Config;
use larder::domain::Digest;
use larder::layout;
use larder::service::publish::Prepared;
use larder::store::FsStore;
use larder::upkeep::collect::{Report, Settings};
use serde_json::json;
use tempfile::TempDir;

use super::image::{EXAMPLE, INDEX, Image};
use super::registry::{Registry, refused};
use crate::support::collecting::{collect, copies, findings, greedy, patient};
use crate::support::process::larder;
use crate::support::server::TestServer;
use crate::support::services::{ACTOR, Services, activate, name};
use crate::support::store::{Store, all_keys, key};

pub(super) const REPOSITORY: &str = "team/app";

/// A server that does not collect, on a directory of its own.
pub(super) struct Place {
    pub(super) directory: TempDir,
    pub(super) server: TestServer,
    pub(super) registry: Registry,
}

pub(super) async fn server_on(directory: &Path) -> TestServer {
    let change = |config: &mut Config| {
        config.collector.enabled = false;
        // Others collect, and what they retired is to be gone at once.
        config.heads.max_staleness = larder::config::Duration::from_secs(0);
    };
    TestServer::on(directory, change).await
}

impl Place {
    pub(super) async fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let server = server_on(directory.path()).await;
        let registry = Registry::of(&server);
        Self { directory, server, registry }
    }

    pub(super) fn store(&self) -> Store {
        Arc::new(FsStore::open(self.directory.path()).unwrap())
    }

    /// One run that finds everything sound.
    pub(super) async fn collect(&self, settings: Settings) -> Report {
        let report = collect(&self.store(), settings).await.unwrap();
        assert_eq!(report.totals.lost, 0, "{report:?}");
        report
    }

    /// How many entries there are of versions that hold a manifest, or that describe it.
    async fn entries(&self, of: Digest) -> (usize, usize) {
        let keys = all_keys(&self.store()).await;
        let count = |index: layout::VersionIndex| {
            keys.iter().filter(|text| index.parse(&key(text)).is_some_and(|(manifest, ..)| manifest == of)).count()
        };
        (count(layout::MEMBERS), count(layout::REFERRERS))
    }
}

pub(super) fn by_digest(image: &Image) -> String {
    format!("/v2/{REPOSITORY}/manifests/{}", image.digest())
}

pub(super) fn by_tag(tag: &str) -> String {
    format!("/v2/{REPOSITORY}/manifests/{tag}")
}

fn layer(image: &Image) -> String {
    format!("/v2/{REPOSITORY}/blobs/{}", Digest::of(image.blobs.last().unwrap()))
}

pub(super) fn platforms() -> Image {
    Image::index(
        vec![Image::layered("amd64", &["shared", "one"]), Image::layered("arm64", &["shared", "two"])],
        &json!({}),
    )
}

#[tokio::test]
async fn c04_the_children_of_a_tagged_index_stay_when_their_own_time_is_up() {
    let (place, index) = (Place::new().await, platforms());
    let nested = Image::index(vec![index.clone(), Image::of("three")], &json!({}));
    place.registry.push(REPOSITORY, "latest", &nested).await;
    for _ in 0..2 {
        let report = place.collect(greedy()).await;
        assert_eq!(report.totals.deleted.blobs, 0, "{report:?}");
        for reference in ["latest".to_owned(), nested.digest().to_string(), index.digest().to_string()] {
            let image = if reference.ends_with(&index.digest().hex()) { &index } else { &nested };
            place.registry.assert_pulls(REPOSITORY, &reference, image).await;
        }
    }
    // A child is found through its index alone by now, and may not be deleted.
    refused(place.registry.delete(&by_digest(&nested.children[1])).await, 405, "DENIED");
    assert!(findings(&place.store()).await.is_empty());
}

#[tokio::test]
async fn c05_what_was_deleted_and_collected_is_pushed_again_to_any_server() {
    let (place, image) = (Place::new().await, Image::of("again"));
    let other = server_on(place.directory.path()).await;
    let other = Registry::of(&other);
    for round in 0..3 {
        let (first, second) = if round % 2 == 0 { (&place.registry, &other) } else { (&other, &place.registry) };
        first.push(REPOSITORY, "latest", &image).await;
        second.assert_pulls(REPOSITORY, "latest", &image).await;
        first.delete(&by_digest(&image)).await.expect(202);
        place.collect(greedy()).await;
        for registry in [first, second] {
            registry.head(&layer(&image)).await.expect(404);
            registry.head(&by_digest(&image)).await.expect(404);
            registry.head(&by_tag("latest")).await.expect(404);
        }
        assert!(copies(&place.store()).await.is_empty());
    }
    other.push(REPOSITORY, "latest", &image).await;
    place.registry.assert_pulls(REPOSITORY, &image.digest().to_string(), &image).await;
}

#[tokio::test]
async fn c06_a_collector_between_the_layers_and_the_manifest_costs_a_second_push_at_most() {
    let (place, image) = (Place::new().await, Image::of("between"));
    let put = async || place.registry.put_manifest(REPOSITORY, "v1", &image.media_type, &image.manifest).await;
    place.registry.push_content(REPOSITORY, &image).await;
    place.collect(greedy()).await;
    refused(put().await, 400, "MANIFEST_BLOB_UNKNOWN");
    place.registry.get(&by_tag("v1")).await.expect(404);
    place.registry.get(&by_digest(&image)).await.expect(404);
    place.registry.push_content(REPOSITORY, &image).await;
    place.collect(Settings { min_age: SignedDuration::from_hours(24), ..greedy() }).await;
    put().await.expect(201);
    place.collect(greedy()).await;
    place.registry.assert_pulls(REPOSITORY, "v1", &image).await;
}

#[tokio::test]
async fn c07_a_subject_may_come_after_what_describes_it() {
    let (place, image) = (Place::new().await, Image::of("subject"));
    let signature = Image::artifact(b"a signature", &json!({"subject": image.descriptor()}));
    place.registry.push_content(REPOSITORY, &signature).await;
    let reference = signature.digest().to_string();
    let pushed = place.registry.put_manifest(REPOSITORY, &reference, &signature.media_type, &signature.manifest).await;
    assert_eq!(pushed.expect(201).header("oci-subject"), image.digest().to_string());
    place.collect(patient()).await;
    place.registry.push(REPOSITORY, "v1", &image).await;
    place.collect(patient()).await;
    place.registry.assert_pulls(REPOSITORY, "v1", &image).await;
    place.registry.assert_pulls(REPOSITORY, &reference, &signature).await;
    let listed = place.registry.referrers(REPOSITORY, image.digest(), "").await;
    assert_eq!(
        (listed.len(), &listed[0]["digest"], &listed[0]["artifactType"]),
        (1, &json!(reference), &json!(EXAMPLE))
    );
    // A subject is not kept by what describes it.
    place.registry.delete(&by_digest(&image)).await.expect(202);
    place.collect(patient()).await;
    place.registry.get(&layer(&image)).await.expect(404);
    place.registry.assert_pulls(REPOSITORY, &reference, &signature).await;
}

#[tokio::test]
async fn c08_the_image_before_stays_for_the_retention_of_its_tag_and_then_goes() {
    let (place, old, new) = (Place::new().await, Image::of("old"), Image::of("new"));
    place.registry.push(REPOSITORY, "latest", &old).await;
    place.registry.push(REPOSITORY, "latest", &new).await;
    place.collect(patient()).await;
    place.registry.assert_pulls(REPOSITORY, &old.digest().to_string(), &old).await;
    place.collect(greedy()).await;
    for path in [by_digest(&old), layer(&old)] {
        place.registry.get(&path).await.expect(404);
    }
    place.registry.assert_pulls(REPOSITORY, "latest", &new).await;
    // Nor does a manifest stay that never got a tag.
    let untagged = Image::of("untagged");
    place.registry.push(REPOSITORY, &untagged.digest().to_string(), &untagged).await;
    place.collect(patient()).await;
    place.registry.assert_pulls(REPOSITORY, &untagged.digest().to_string(), &untagged).await;
    place.collect(greedy()).await;
    for path in [by_digest(&untagged), layer(&untagged)] {
        place.registry.get(&path).await.expect(404);
    }
}

#[tokio::test]
async fn c09_deleting_one_tag_leaves_the_others_and_deleting_the_digest_leaves_none() {
    let (place, image) = (Place::new().await, Image::of("several"));
    for tag in ["one", "two", "three"] {
        place.registry.push(REPOSITORY, tag, &image).await;
    }
    place.registry.delete(&by_tag("one")).await.expect(202);
    place.registry.get(&by_tag("one")).await.expect(404);
    place.collect(greedy()).await;
    for reference in ["two", "three", &image.digest().to_string()] {
        place.registry.assert_pulls(REPOSITORY, reference, &image).await;
    }
    place.registry.delete(&by_digest(&image)).await.expect(202);
    for path in [by_tag("two"), by_tag("three"), by_digest(&image)] {
        place.registry.get(&path).await.expect(404);
    }
    refused(place.registry.delete(&by_digest(&image)).await, 404, "MANIFEST_UNKNOWN");
    // The history tells what there was.
    let history = place.server.get(&format!("/versions/{REPOSITORY}/two")).await.expect(200).json();
    assert_eq!(history["versions"][0]["manifest"], image.digest().to_string(), "{history:#}");
}

#[tokio::test]
async fn a_deletion_and_a_push_at_once_leave_tag_and_digest_together_or_neither() {
    let (place, image) = (Place::new().await, Image::of("at once"));
    place.registry.push(REPOSITORY, "latest", &image).await;
    for _ in 0..30 {
        let path = by_digest(&image);
        let (deleted, pushed) = tokio::join!(
            place.registry.delete(&path),
            place.registry.put_manifest(REPOSITORY, "latest", &image.media_type, &image.manifest),
        );
        assert!(matches!(deleted.status.as_u16(), 202 | 404), "{deleted:?}");
        pushed.expect(201);
        let found = [by_tag("latest"), path].map(|path| {
            let registry = place.registry.clone();
            async move { registry.get(&path).await.status.as_u16() }
        });
        let [tag, digest] = found;
        assert_eq!(tag.await, digest.await);
        place.collect(patient()).await;
        place.registry.push(REPOSITORY, "latest", &image).await;
    }
}

#[tokio::test]
async fn two_pushes_of_one_tag_leave_one_of_them_whole_and_the_other_by_its_digest() {
    let (place, one, two) = (Place::new().await, Image::of("push one"), platforms());
    for _ in 0..5 {
        tokio::join!(place.registry.push(REPOSITORY, "latest", &one), place.registry.push(REPOSITORY, "latest", &two));
        let tagged = place.registry.get(&by_tag("latest")).await.expect(200);
        let digest = tagged.header("docker-content-digest").to_owned();
        place.collect(patient()).await;
        let image = if digest == one.digest().to_string() { &one } else { &two };
        place.registry.assert_pulls(REPOSITORY, "latest", image).await;
        for image in [&one, &two] {
            place.registry.assert_pulls(REPOSITORY, &image.digest().to_string(), image).await;
        }
    }
}

#[tokio::test]
async fn a_client_may_die_at_each_step_of_a_push_of_forty_layers() {
    let texts: Vec<String> = (0..40).map(|at| format!("layer {at}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let (place, image) = (Place::new().await, Image::layered("amd64", &texts));
    assert_eq!(image.blobs.len(), 41);
    for died in 0..=image.blobs.len() {
        for bytes in &image.blobs[..died] {
            place.registry.push_blob(REPOSITORY, bytes).await;
        }
        // In the middle of the next one, too.
        if let Some(next) = image.blobs.get(died) {
            let upload = place.registry.begin(REPOSITORY).await;
            place.registry.ask("PATCH", &upload, &[], next[..next.len() / 2].to_vec()).await.expect(202);
        }
        place.registry.get(&by_tag("latest")).await.expect(404);
        place.registry.get(&by_digest(&image)).await.expect(404);
        if died % 8 == 0 {
            place.collect(greedy()).await;
            assert!(copies(&place.store()).await.is_empty());
        }
    }
    place.registry.push(REPOSITORY, "latest", &image).await;
    place.collect(greedy()).await;
    place.registry.assert_pulls(REPOSITORY, "latest", &image).await;
    let left: Vec<String> = all_keys(&place.store()).await.into_iter().filter(|key| key.starts_with("tmp/")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn an_index_of_two_hundred_children_is_kept_found_and_given_up_as_one() {
    let place = Place::new().await;
    let children: Vec<Image> =
        (0..200).map(|at| Image::artifact(b"the same", &json!({"annotations": {"number": at.to_string()}}))).collect();
    let index = Image::index(children, &json!({}));
    place.registry.push(REPOSITORY, "many", &index).await;
    place.collect(greedy()).await;
    for child in [0, 99, 199].map(|at| &index.children[at]) {
        place.registry.assert_pulls(REPOSITORY, &child.digest().to_string(), child).await;
        assert_eq!(place.entries(child.digest()).await, (1, 0), "through the index");
    }
    place.registry.get(&by_tag("many")).await.expect(200);
    place.registry.delete(&by_digest(&index)).await.expect(202);
    place.collect(greedy()).await;
    assert!(copies(&place.store()).await.is_empty());
    let left = all_keys(&place.store()).await.into_iter().filter(|key| key.starts_with("aux/members/")).count();
    assert_eq!(left, 0, "entries of versions that have ended");
}

#[tokio::test]
async fn entries_that_are_lost_return_and_those_of_ended_versions_go() {
    let (place, index) = (Place::new().await, platforms());
    let notes = Image::artifact(b"notes", &json!({"subject": index.descriptor()}));
    place.registry.push(REPOSITORY, "latest", &index).await;
    place.registry.push(REPOSITORY, "notes", &notes).await;
    let before = all_keys(&place.store()).await;
    let entries = before.iter().filter(|key| key.starts_with("aux/members/") || key.starts_with("aux/referrers/"));
    for entry in entries {
        place.store().delete(&key(entry)).await.unwrap();
    }
    assert!(place.registry.referrers(REPOSITORY, index.digest(), "").await.is_empty());
    place.collect(patient()).await;
    assert_eq!(
        all_keys(&place.store()).await.iter().filter(|key| key.starts_with("aux/")).count(),
        before.iter().filter(|key| key.starts_with("aux/")).count()
    );
    for image in [&index, &index.children[0], &notes] {
        place.registry.assert_pulls(REPOSITORY, &image.digest().to_string(), image).await;
    }
    assert_eq!(place.registry.referrers(REPOSITORY, index.digest(), "").await.len(), 1);
    place.registry.delete(&by_digest(&notes)).await.expect(202);
    place.collect(patient()).await;
    assert_eq!(place.entries(notes.digest()).await, (0, 0));
    assert_eq!(place.entries(index.digest()).await, (1, 0));
}

#[tokio::test]
async fn a_copy_of_the_store_answers_by_digest() {
    let (place, index) = (Place::new().await, platforms());
    let notes = Image::artifact(b"notes", &json!({"subject": index.descriptor()}));
    place.registry.push(REPOSITORY, "latest", &index).await;
    place.registry.push(REPOSITORY, &notes.digest().to_string(), &notes).await;
    let to = TempDir::new().unwrap();
    let copied = to.path().join("copy");
    let (from, into) = (place.directory.path().to_owned(), copied.clone());
    tokio::task::spawn_blocking(move || {
        larder("copy-store --verify").arg(from).arg(&into).ok();
        larder("verify --data").arg(&into).ok();
    })
    .await
    .unwrap();
    let server = server_on(&copied).await;
    let registry = Registry::of(&server);
    let store: Store = Arc::new(FsStore::open(&copied).unwrap());
    for _ in 0..2 {
        for (reference, image) in [("latest".to_owned(), &index), (notes.digest().to_string(), &notes)] {
            registry.assert_pulls(REPOSITORY, &reference, image).await;
        }
        let child = &index.children[0];
        registry.assert_pulls(REPOSITORY, &child.digest().to_string(), child).await;
        assert_eq!(registry.referrers(REPOSITORY, index.digest(), "").await.len(), 1);
        collect(&store, patient()).await.unwrap();
    }
    assert!(findings(&store).await.is_empty());
}

#[tokio::test]
async fn what_a_draft_says_of_manifests_that_it_lists_ends_no_run_of_the_collector() {
    let place = Place::new().await;
    let (child, other) = (Image::of("child"), Image::index(Vec::new(), &json!({})));
    place.registry.push(REPOSITORY, "child", &child).await;
    place.registry.push(REPOSITORY, "other", &other).await;
    let lies = [json!({"size": 1}), json!({"size": child.manifest.len() + 1}), json!({"mediaType": INDEX})];
    for (at, lie) in lies.iter().enumerate() {
        let mut listed = child.descriptor();
        listed.as_object_mut().unwrap().extend(lie.as_object().unwrap().clone());
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [listed, other.descriptor()]});
        let services = Services::over(&place.store());
        let name = name(&format!("{REPOSITORY}/draft-{at}"));
        let prepared = services.publish.prepare(&name, index.to_string().into(), &activate(), &*ACTOR).await;
        assert!(matches!(prepared, Ok(Prepared::Session(..))), "{lie}: {prepared:?}");
        place.collect(patient()).await;
        services.publish.commit(&name, 1, activate(), &*ACTOR).await.unwrap_err();
    }
    place.registry.assert_pulls(REPOSITORY, "child", &child).await;
    assert!(findings(&place.store()).await.is_empty());
    let to = TempDir::new().unwrap();
    let (from, into) = (place.directory.path().to_owned(), to.path().join("copy"));
    let copied = move || larder("copy-store --verify").arg(from).arg(into).ok();
    tokio::task::spawn_blocking(copied).await.unwrap();
}
