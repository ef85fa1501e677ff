//! Resumable uploads that one server begins and another one completes.

use bytes::Bytes;
use larder::config::Config;
use larder::domain::Digest;
use reqwest::Method;

use crate::support::replicas::Replicas;
use crate::support::server::{TestServer, send};
use crate::support::services::assert_sound;
use crate::support::store::{Store, pattern};

const PART: usize = 5 << 20;

fn small_parts(config: &mut Config) {
    config.limits.upload_part = larder::config::Size::from_bytes(PART as u64);
}

async fn begin(server: &TestServer, bytes: &Bytes) -> String {
    let path = format!("/uploads?digest={}", Digest::of(bytes));
    let request = server.request(Method::POST, &path).header("upload-complete", "?0");
    send(request.header("upload-length", bytes.len())).await.expect(201).header("location").to_owned()
}

fn append(server: &TestServer, path: &str, bytes: &Bytes, from: usize, to: usize) -> reqwest::RequestBuilder {
    let complete = if to == bytes.len() { "?1" } else { "?0" };
    let request = server.request(Method::PATCH, path).header("content-type", "application/partial-upload");
    request.header("upload-offset", from).header("upload-complete", complete).body(bytes.slice(from..to))
}

async fn offset(server: &TestServer, path: &str) -> String {
    send(server.request(Method::HEAD, path)).await.expect(204).header("upload-offset").to_owned()
}

/// Every part through another server, the last one after the first server is gone.
async fn goes_on_elsewhere(stores: [Store; 2]) {
    let replicas = Replicas::new();
    let one = replicas.with(&stores[0], small_parts).await;
    let other = replicas.with(&stores[1], small_parts).await;
    let bytes = pattern(2 * PART + 1000);
    let path = begin(&one, &bytes).await;
    send(append(&one, &path, &bytes, 0, PART)).await.expect(204);
    assert_eq!(offset(&other, &path).await, PART.to_string());
    send(append(&other, &path, &bytes, PART, 2 * PART)).await.expect(204);
    assert_eq!(offset(&one, &path).await, (2 * PART).to_string());
    send(append(&one, &path, &bytes, PART, 2 * PART)).await.problem(409, "UPLOAD_OFFSET");
    other.stop().await.unwrap();
    let third = replicas.with(&stores[1], small_parts).await;
    one.get(&format!("/blobs/{}", Digest::of(&bytes))).await.expect(404);
    send(append(&third, &path, &bytes, 2 * PART, bytes.len())).await.expect(201);
    for server in [&one, &third] {
        assert!(server.get(&format!("/blobs/{}", Digest::of(&bytes))).await.expect(200).body == bytes);
    }
    one.publish("main", &[("large", &bytes)]).await;
    assert_sound(&stores[1], "main").await;
}

everywhere!(an_upload_goes_on_at_another_server, goes_on_elsewhere);

/// Two servers append the same part at once: one goes on, the other says where the upload is.
async fn one_goes_on(stores: [Store; 2]) {
    let replicas = Replicas::new();
    let servers = [replicas.with(&stores[0], small_parts).await, replicas.with(&stores[1], small_parts).await];
    let bytes = pattern(PART + 1000);
    let path = begin(&servers[0], &bytes).await;
    let appends = servers.each_ref().map(|server| send(append(server, &path, &bytes, 0, PART)));
    let ends = futures_util::future::join_all(appends).await;
    let mut statuses: Vec<u16> = ends.iter().map(|end| end.status.as_u16()).collect();
    statuses.sort_unstable();
    assert!(statuses == [204, 409] || statuses == [204, 204], "{statuses:?}");
    for server in &servers {
        assert_eq!(offset(server, &path).await, PART.to_string());
    }
    let completions = servers.each_ref().map(|server| send(append(server, &path, &bytes, PART, bytes.len())));
    let ends = futures_util::future::join_all(completions).await;
    assert!(ends.iter().any(|end| end.status.is_success()), "{ends:?}");
    assert!(ends.iter().all(|end| end.status.as_u16() < 500), "{ends:?}");
    for server in &servers {
        assert!(server.get(&format!("/blobs/{}", Digest::of(&bytes))).await.expect(200).body == bytes);
    }
}

everywhere!(an_upload_that_two_servers_take_in_at_once_is_stored_once_and_right, one_goes_on);
