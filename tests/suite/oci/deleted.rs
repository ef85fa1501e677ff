//! Deletions beside what others do at that moment, and of what clients cannot see.

use larder::domain::{Author, Digest, Expect, LogName, ManifestName, Permission, RepositoryName};
use larder::protocol::Member;
use larder::service::repositories::PushRequest;
use serde_json::json;

use super::access::token;
use super::collected::{Place, REPOSITORY, by_digest, by_tag};
use super::image::Image;
use super::registry::{Registry, refused};
use crate::support::faulty::{FaultyStore, Op, Rule};
use crate::support::server::TestServer;
use crate::support::services::{ACTOR, AsOf, Services};
use crate::support::store::FsBackend;

fn repository() -> RepositoryName {
    REPOSITORY.parse().unwrap()
}

fn latest() -> ManifestName {
    repository().tag("latest").unwrap()
}

async fn push(services: &Services, image: &Image) {
    for blob in &image.blobs {
        services.blobs.put(blob.clone().into()).await.unwrap();
    }
    let push = PushRequest {
        repository: repository(),
        tags: vec![latest()],
        bytes: image.manifest.clone().into(),
        sha512: None,
        expect: Expect::Anything,
    };
    let pushed = services.repositories.push(push, &Author::from(&*ACTOR)).await.unwrap();
    assert!(pushed.failed.is_none(), "{pushed:?}");
}

async fn delete(services: &Services, manifest: Digest) {
    let all = (|_: &Member| true, |_: &LogName| true);
    services.repositories.delete(&repository(), manifest, all, &Author::from(&*ACTOR)).await.unwrap();
}

#[tokio::test]
async fn a_tag_that_comes_back_to_the_image_during_a_deletion_keeps_it() {
    let backend = FsBackend::quick();
    let (faulty, others) = (FaultyStore::over(&backend.store()), Services::over(&backend.store()));
    let (image, other) = (Image::of("deleted and pushed again"), Image::of("between"));
    push(&others, &image).await;
    // The deletion has seen the first version, and is about to withdraw it.
    let (hooked, image_again) = (others.clone(), image.clone());
    let between = move || {
        let (others, image, other) = (hooked.clone(), image_again.clone(), other.clone());
        async move {
            push(&others, &other).await;
            push(&others, &image).await;
        }
    };
    faulty.script(Rule::on(Op::Create).key("heads/team/app/latest").nth(1).run(between));
    delete(&Services::over(&faulty.store()), image.digest()).await;
    let head = others.heads.look(&latest().into(), AsOf::Now).await.unwrap().unwrap();
    let active = head.active().expect("the push that came last");
    assert_eq!((active.number, active.digest()), (3, image.digest()));
}

#[tokio::test]
async fn what_clients_cannot_get_by_digest_they_cannot_delete_by_it() {
    let place = Place::new().await;
    let published = place.server.publish("team/app/files", &[("tool", b"a tool")]).await;
    let own = published["manifest"].as_str().unwrap().to_owned();
    let path = format!("/v2/{REPOSITORY}/manifests/{own}");
    refused(place.registry.get(&path).await, 404, "MANIFEST_UNKNOWN");
    refused(place.registry.delete(&path).await, 404, "MANIFEST_UNKNOWN");
    let shown = place.registry.get(&by_tag("files")).await.expect(200);
    let rendering = shown.header("docker-content-digest").to_owned();
    place.registry.delete(&format!("/v2/{REPOSITORY}/manifests/{rendering}")).await.expect(202);
    place.registry.get(&by_tag("files")).await.expect(404);
    let image = Image::of("tagged");
    place.registry.push(REPOSITORY, "v1", &image).await;
    place.registry.delete(&by_digest(&image)).await.expect(202);
}

#[tokio::test]
async fn who_may_retire_some_tags_deletes_no_signatures_of_others() {
    let server = TestServer::with(|config| {
        config.access.tokens = vec![
            token("root", &[Permission::Admin], &["**"]),
            token("dev", &[Permission::Publish, Permission::Retire], &["team/app/dev-*"]),
            token("owner", &[Permission::Retire], &["team/app/*"]),
        ];
    })
    .await;
    let with = |id: &str| Registry::of(&server).with_token(&format!("secret of {id}"));
    let image = Image::of("signed");
    with("root").push(REPOSITORY, "v1", &image).await;
    let signature = |text: &str| Image::artifact(text.as_bytes(), &json!({"subject": image.descriptor()}));
    let (official, own) = (signature("official"), signature("own"));
    for (id, signature) in [("root", &official), ("dev", &own)] {
        with(id).push(REPOSITORY, &signature.digest().to_string(), signature).await;
    }
    let error = refused(with("dev").delete(&by_digest(&official)).await, 403, "DENIED");
    assert!(error["message"].as_str().unwrap().contains("to all tags of team/app"), "{error}");
    with("dev").delete(&by_digest(&own)).await.expect(202);
    assert_eq!(with("root").referrers(REPOSITORY, image.digest(), "").await.len(), 1);
    with("owner").delete(&by_digest(&official)).await.expect(202);
    assert!(with("root").referrers(REPOSITORY, image.digest(), "").await.is_empty());
}
