//! What describes an image stays for as long as the image does: signatures, attestations, bills of materials.

use futures_util::TryStreamExt as _;
use larder::store::List;
use serde_json::json;
use tempfile::TempDir;

use super::collected::{Place, REPOSITORY, by_digest, by_tag, platforms, server_on};
use super::image::Image;
use super::registry::Registry;
use crate::readme;
use crate::support::collecting::{copies, findings, greedy, patient};
use crate::support::store::Store;

/// A signature of an image, pushed by its digest.
async fn signed(place: &Place, image: &Image, text: &str) -> Image {
    let signature = Image::artifact(text.as_bytes(), &json!({"subject": image.descriptor()}));
    place.registry.push(REPOSITORY, &signature.digest().to_string(), &signature).await;
    signature
}

async fn assert_signed(registry: &Registry, image: &Image, signature: &Image) {
    registry.assert_pulls(REPOSITORY, &signature.digest().to_string(), signature).await;
    let listed = registry.referrers(REPOSITORY, image.digest(), "").await;
    assert_eq!(listed.iter().map(|one| &one["digest"]).collect::<Vec<_>>(), [&json!(signature.digest())]);
}

/// Deletes all objects whose keys begin like this.
async fn lose(store: &Store, prefix: &str) {
    let mut listing = store.list(&prefix.parse().unwrap(), List::default());
    while let Some(meta) = listing.try_next().await.unwrap() {
        store.delete(&meta.key).await.unwrap();
    }
}

#[tokio::test]
async fn what_describes_a_manifest_outlives_its_own_time_and_goes_with_it() {
    let (place, index) = (Place::new().await, platforms());
    place.registry.push(REPOSITORY, "latest", &index).await;
    // Of the index, of one of its images, and of the signature itself.
    let signature = signed(&place, &index, "of the index").await;
    let of_child = signed(&place, &index.children[1], "of an image").await;
    let of_signature = signed(&place, &signature, "of the signature").await;
    let pairs = [(&index, &signature), (&index.children[1], &of_child), (&signature, &of_signature)];
    for _ in 0..3 {
        place.collect(greedy()).await;
        for (image, signature) in pairs {
            assert_signed(&place.registry, image, signature).await;
        }
    }
    place.registry.delete(&by_digest(&index)).await.expect(202);
    // One run for each link of the chain, and one that finds them gone.
    for _ in 0..4 {
        place.collect(greedy()).await;
    }
    for (image, signature) in pairs {
        place.registry.get(&by_digest(signature)).await.expect(404);
        assert!(place.registry.referrers(REPOSITORY, image.digest(), "").await.is_empty());
    }
    assert!(copies(&place.store()).await.is_empty());
}

#[tokio::test]
async fn a_store_without_its_index_of_manifests_loses_no_signature() {
    let (place, index) = (Place::new().await, platforms());
    place.registry.push(REPOSITORY, "latest", &index).await;
    let signature = signed(&place, &index, "of the index").await;
    let of_child = signed(&place, &index.children[0], "of an image").await;
    place.server.publish("team/app/files", &[("tool", b"a tool")]).await;
    let rendering = place.registry.head(&by_tag("files")).await.expect(200);
    let subject = json!({"mediaType": rendering.header("content-type"), "size": 1,
        "digest": rendering.header("docker-content-digest")});
    let of_files = Image::artifact(b"of the files", &json!({"subject": subject}));
    place.registry.push(REPOSITORY, &of_files.digest().to_string(), &of_files).await;
    let unneeded = Image::of("nobody needs this");
    place.registry.push(REPOSITORY, &unneeded.digest().to_string(), &unneeded).await;
    for _ in 0..2 {
        lose(&place.store(), "aux/members/").await;
        place.collect(greedy()).await;
        for signature in [&signature, &of_child, &of_files] {
            place.registry.assert_pulls(REPOSITORY, &signature.digest().to_string(), signature).await;
        }
        place.registry.get(&by_digest(&unneeded)).await.expect(404);
    }
    assert!(findings(&place.store()).await.is_empty());
}

#[tokio::test]
#[ignore = "needs bash: .ci/run installs it and runs this; by hand: cargo test -- --ignored"]
async fn a_backup_as_the_guide_makes_it_has_tags_digests_and_signatures() {
    const GUIDE: &str = include_str!("../../../docs/backup.md");
    let (place, index) = (Place::new().await, platforms());
    place.registry.push(REPOSITORY, "latest", &index).await;
    let signature = signed(&place, &index, "of the index").await;
    let recipe = readme::blocks(GUIDE, "sh walkthrough").concat();
    let to = TempDir::new().unwrap();
    let (from, into) = (place.directory.path().to_owned(), to.path().to_owned());
    let script = format!("ln -s {} larder-data; {recipe}; cp -a backup/. {}", from.display(), into.display());
    tokio::task::spawn_blocking(move || readme::transcript(&script)).await.unwrap();
    let server = server_on(to.path()).await;
    let registry = Registry::of(&server);
    registry.assert_pulls(REPOSITORY, "latest", &index).await;
    let child = &index.children[0];
    registry.assert_pulls(REPOSITORY, &child.digest().to_string(), child).await;
    assert_signed(&registry, &index, &signature).await;
    registry.push(REPOSITORY, "again", &index).await;
}

#[tokio::test]
async fn a_signature_stays_while_earlier_versions_of_a_tag_do() {
    let (place, one, two) = (Place::new().await, Image::of("one"), Image::of("two"));
    place.registry.push(REPOSITORY, "latest", &one).await;
    let signature = signed(&place, &one, "of one").await;
    place.registry.push(REPOSITORY, "latest", &two).await;
    place.collect(patient()).await;
    assert_signed(&place.registry, &one, &signature).await;
}
