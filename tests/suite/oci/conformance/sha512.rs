//! Everything that may be pushed, with each digest in SHA-512. Blobs are among the other tests of blobs.

use larder::domain::Sha512;

use super::contents::{REPOSITORY, assert_lists_half, kinds, path};
use crate::oci::image::{Image, MANIFEST};
use crate::oci::registry::{Registry, refused};
use crate::support::server::TestServer;

#[tokio::test]
async fn every_kind_of_content_is_pushed_by_digest_with_tags_listed_read_and_deleted() {
    let server = TestServer::start().await;
    let registry = Registry::of(&server);
    let kinds: Vec<(&str, Image)> = kinds().into_iter().map(|(tag, image)| (tag, image.in_sha512())).collect();
    for (tag, image) in &kinds {
        let second = format!("{tag}-2");
        registry.push_in_sha512(REPOSITORY, &[tag, &second], image).await;
        for reference in [image.sha512().to_string(), (*tag).to_owned(), second] {
            registry.anonymous().assert_pulls_in_sha512(REPOSITORY, &reference, image).await;
        }
        // By its other address, too.
        let answer = registry.get(&path(&image.digest().to_string())).await.expect(200);
        assert_eq!(answer.header("docker-content-digest"), image.digest().to_string());
    }
    let tags = kinds.iter().flat_map(|(tag, _)| [(*tag).to_owned(), format!("{tag}-2")]);
    assert_lists_half(&registry, tags.collect()).await;
    for (tag, image) in kinds.iter().rev() {
        let by_digest = path(&image.sha512().to_string());
        registry.delete(&path(tag)).await.expect(202);
        registry.head(&path(tag)).await.expect(404);
        registry.head(&by_digest).await.expect(200);
        registry.delete(&by_digest).await.expect(202);
        for gone in [&by_digest, &path(&format!("{tag}-2")), &path(&image.digest().to_string())] {
            registry.head(gone).await.expect(404);
        }
        refused(registry.get(&by_digest).await, 404, "MANIFEST_UNKNOWN");
        refused(registry.delete(&by_digest).await, 404, "MANIFEST_UNKNOWN");
    }
}

#[tokio::test]
async fn a_body_with_another_digest_is_refused() {
    let server = TestServer::start().await;
    let registry = Registry::of(&server);
    let image = Image::of("bad digest").in_sha512();
    registry.push_in_sha512("conformance/other", &[], &image).await;
    let longer = [&image.manifest[..], b"  "].concat();
    let reference = image.sha512().to_string();
    refused(registry.put_manifest(REPOSITORY, &reference, MANIFEST, &longer).await, 400, "DIGEST_INVALID");
    registry.head(&path(&reference)).await.expect(404);
    registry.head(&path(&Sha512::of(&longer).to_string())).await.expect(404);
    for bad in ["sha512:00", "sha512:", "sha384:00"] {
        refused(registry.put_manifest(REPOSITORY, bad, MANIFEST, &image.manifest).await, 400, "DIGEST_INVALID");
        refused(registry.get(&path(bad)).await, 400, "DIGEST_INVALID");
        refused(registry.get(&format!("/v2/{REPOSITORY}/referrers/{bad}")).await, 400, "DIGEST_INVALID");
    }
}
