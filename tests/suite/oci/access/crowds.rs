//! Many who ask for what is not there, or for much: others hardly notice.

use std::time::Duration;

use larder::domain::Digest;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::some_tokens;
use crate::oci::image::Image;
use crate::oci::registry::Registry;
use crate::support::server::TestServer;

/// Median of how long a bystander waits for a manifest and a blob.
async fn bystander(registry: &Registry, image: &Image, times: usize) -> Duration {
    let mut took = Vec::new();
    for _ in 0..times {
        let began = Instant::now();
        registry.get("/v2/team/app/manifests/1").await.expect(200);
        registry.assert_blob("team/app", &image.blobs[0]).await;
        took.push(began.elapsed());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    took.sort_unstable();
    took[times / 2]
}

/// Sends so many requests from several anonymous clients at once; each path is made of its number.
async fn misses(registry: &Registry, each: usize, path: fn(usize) -> String) {
    let mut clients = JoinSet::new();
    for client in 0..8 {
        let registry = registry.clone();
        clients.spawn(async move {
            for one in 0..each {
                let answer = registry.get(&path(client * each + one)).await;
                assert!(answer.status.as_u16() < 500, "{}", answer.text());
            }
        });
    }
    while let Some(done) = clients.join_next().await {
        done.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_anonymous_misses_do_not_stand_in_the_way() {
    let server = TestServer::with(some_tokens).await;
    let registry = Registry::of(&server).with_token("secret of ci");
    let image = Image::of("bystander");
    registry.push("team/app", "1", &image).await;
    let anonymous = registry.anonymous();
    let alone = bystander(&anonymous, &image, 40).await;
    let paths: [fn(usize) -> String; 5] = [
        |number| format!("/v2/team/app/manifests/{}", Digest::of(&number.to_le_bytes())),
        |number| format!("/v2/team/app/manifests/t{number}"),
        |number| format!("/v2/team/app/blobs/{}", Digest::of(&number.to_le_bytes())),
        |number| format!("/v2/team/app/referrers/{}", Digest::of(&number.to_le_bytes())),
        |number| format!("/v2/team/r{number}/tags/list"),
    ];
    for path in paths {
        let flood = misses(&anonymous, 250, path);
        let (beside, ()) = tokio::join!(bystander(&anonymous, &image, 40), flood);
        // The bystander shares two cores with the flood and with all other tests.
        let bound = (alone * 50).max(Duration::from_millis(500));
        assert!(beside < bound, "{}: {beside:?}, alone {alone:?}", path(0));
    }
    // What was not there is there as soon as it is pushed.
    let late = Image::of("late");
    let path = format!("/v2/team/app/manifests/{}", late.digest());
    anonymous.get(&path).await.expect(404);
    registry.push("team/app", "late", &late).await;
    anonymous.get(&path).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_clients_page_through_lists() {
    let server = TestServer::with(some_tokens).await;
    let registry = Registry::of(&server).with_token("secret of ci");
    let image = Image::of("listed");
    registry.push("team/app", "1", &image).await;
    for batch in 0..4 {
        let tags: Vec<String> = (0..32).map(|tag| format!("tag=t{}", batch * 32 + tag)).collect();
        let path = format!("/v2/team/app/manifests/{}?{}", image.digest(), tags.join("&"));
        let headers = [("content-type", image.media_type.as_str())];
        registry.ask("PUT", &path, &headers, image.manifest.clone()).await.expect(201);
    }
    for number in 0..10 {
        let text = format!("note {number}");
        let note = Image::artifact(text.as_bytes(), &json!({"subject": image.descriptor()}));
        registry.push_content("team/app", &note).await;
        let digest = note.digest().to_string();
        registry.put_manifest("team/app", &digest, &note.media_type, &note.manifest).await.expect(201);
    }
    let anonymous = registry.anonymous();
    let alone = bystander(&anonymous, &image, 20).await;
    let mut clients = JoinSet::new();
    for client in 0..200 {
        let (anonymous, subject) = (anonymous.clone(), image.digest());
        clients.spawn(async move {
            let path = match client % 3 {
                0 => "/v2/team/app/tags/list?n=20".to_owned(),
                1 => "/v2/_catalog?n=1000".to_owned(),
                _ => format!("/v2/team/app/referrers/{subject}"),
            };
            let answer = anonymous.get(&path).await;
            // More than there are turns for are asked to come again.
            assert!(answer.status == 200 || answer.header("retry-after") == "2", "{path}: {}", answer.text());
            usize::from(answer.status == 200)
        });
    }
    let crowd = async {
        let mut answered = 0;
        while let Some(done) = clients.join_next().await {
            answered += done.unwrap();
        }
        answered
    };
    let (beside, answered) = tokio::join!(bystander(&anonymous, &image, 20), crowd);
    assert!(answered >= 100, "{answered} of 200");
    assert!(beside < (alone * 50).max(Duration::from_millis(500)), "{beside:?}, alone {alone:?}");
}
