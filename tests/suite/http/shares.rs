//! Two subjects on small limits: whatever one of them holds, stalls or asks for at once, the other is served.

use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use larder::config::{Config, Size, Token};
use larder::domain::{Digest, Permission};
use reqwest::{Method, RequestBuilder};
use serde_json::json;
use tokio::time::{sleep, timeout};

use crate::support::raw::Raw;
use crate::support::server::{TestServer, manifest, send};

const MIB: usize = 1 << 20;
const PART: usize = 5 * MIB;
/// Longest time that the other subject may take, on a slow machine. Who is not served is told so after 30 seconds.
const IN_TIME: Duration = Duration::from_secs(25);

/// A server with two tokens, `slow` and `other`, and the smallest limits that are allowed.
async fn server() -> TestServer {
    let token = |id: &str| Token {
        id: id.into(),
        sha256: Digest::of(format!("secret of {id}").as_bytes()).hex(),
        actions: vec![Permission::Publish],
        names: vec!["**".parse().unwrap()],
        surfaces: None,
        until: None,
    };
    TestServer::with(|config: &mut Config| {
        config.access.tokens = vec![token("slow"), token("other")];
        config.limits.upload_part = Size::from_bytes(PART as u64);
        // Three parts, and a quarter for the beginnings of parts.
        config.limits.upload_memory = Size::from_bytes(20 * MIB as u64);
        config.limits.body_memory = Size::from_bytes(16 * MIB as u64);
    })
    .await
}

fn request(server: &TestServer, who: &str, method: Method, path: &str) -> RequestBuilder {
    server.anonymous(method, path).bearer_auth(format!("secret of {who}"))
}

/// The head of a request by `slow`, whose body is announced to be larger than what will be sent of it.
fn head(method: &str, path: &str, length: usize, more: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer secret of slow\r\ncontent-length: {length}\r\n{more}\r\n"
    )
}

/// Sends beginnings of requests by `slow`, and nothing more.
async fn stall(server: &TestServer, beginnings: Vec<Vec<u8>>) -> Vec<tokio::task::JoinHandle<Raw>> {
    let address = server.address;
    let stalled = beginnings.into_iter().map(|beginning| {
        tokio::spawn(async move {
            let mut client = Raw::connect(address).await;
            client.send(beginning).await;
            client
        })
    });
    let stalled: Vec<_> = stalled.collect();
    // Most of what they hold, they hold by now; nothing depends on it.
    sleep(Duration::from_secs(1)).await;
    stalled
}

async fn begin(server: &TestServer, who: &str, bytes: &[u8]) -> String {
    let path = format!("/uploads?digest={}", Digest::of(bytes));
    let create = request(server, who, Method::POST, &path);
    let create = create.header("upload-complete", "?0").header("upload-length", bytes.len());
    send(create).await.expect(201).header("location").to_owned()
}

fn append(server: &TestServer, who: &str, path: &str, bytes: &[u8], from: usize) -> RequestBuilder {
    let request = request(server, who, Method::PATCH, path).header("content-type", "application/partial-upload");
    request.header("upload-offset", from).header("upload-complete", "?1").body(bytes[from..].to_vec())
}

async fn upload_in_time(server: &TestServer, seed: u8) {
    let bytes = vec![seed; 2 * PART + 1000];
    let uploaded = async {
        let path = begin(server, "other", &bytes).await;
        send(append(server, "other", &path, &bytes, 0)).await.expect(201);
    };
    timeout(IN_TIME, uploaded).await.expect("uploaded in time");
}

#[tokio::test]
async fn slow_appends_of_one_subject_leave_memory_to_another_and_go_on_later() {
    let server = server().await;
    // Each has sent a whole part, and enough of the next one to reach for its memory.
    let contents: Vec<Vec<u8>> = (0..6_u8).map(|seed| vec![seed; 3 * PART]).collect();
    let (mut beginnings, mut paths) = (Vec::new(), Vec::new());
    for bytes in &contents {
        let path = begin(&server, "slow", bytes).await;
        let more = "content-type: application/partial-upload\r\nupload-offset: 0\r\nupload-complete: ?1\r\n";
        let head = head("PATCH", &path, bytes.len(), more);
        beginnings.push([head.as_bytes(), &bytes[..PART + MIB]].concat());
        paths.push(path);
    }
    let stalled = stall(&server, beginnings).await;
    upload_in_time(&server, 100).await;
    join_all((101..104).map(|seed| upload_in_time(&server, seed))).await;
    // Those that lost their memory are told so, and go on from their last whole part.
    let mut told: FuturesUnordered<_> =
        stalled.into_iter().map(|client| async { client.await.unwrap().answer().await }).collect();
    let answer = told.next().await.unwrap();
    assert!(answer.status == 503 && answer.header("retry-after").is_some(), "{}", answer.head);
    drop(told);
    let mut went_on = 0;
    for (path, bytes) in paths.iter().zip(&contents) {
        let offset = send(request(&server, "slow", Method::HEAD, path)).await.expect(204);
        let offset: usize = offset.header("upload-offset").parse().unwrap();
        went_on += usize::from(offset == PART);
        send(append(&server, "slow", path, bytes, offset)).await.expect(201);
    }
    assert!(went_on > 0, "whole parts are kept");
}

#[tokio::test]
async fn slow_manifests_and_questions_of_one_subject_do_not_delay_another() {
    let server = server().await;
    let mut beginnings = Vec::new();
    // Some announce much and send little, some enough to reach for memory.
    for sent in [1, 600_000] {
        let body = vec![b' '; sent];
        for at in 0..20 {
            let heads = [
                head("POST", "/blobs/missing", 1_500_000, ""),
                head("PUT", &format!("/manifests/slow{at}"), 4_000_000, ""),
                head("POST", &format!("/sessions/slow{at}"), 4_000_000, ""),
            ];
            beginnings.extend(heads.map(|head| [head.as_bytes(), &body].concat()));
        }
    }
    let _stalled = stall(&server, beginnings).await;
    let bytes = b"some bytes".as_slice();
    let digest = Digest::of(bytes);
    let digests: Vec<Digest> = (0..10_000_u32).map(|at| Digest::of(&at.to_be_bytes())).collect();
    let question = json!({ "digests": digests });
    let small = manifest(&[("f", bytes)]);
    let (mut large, padding) = (manifest(&[("f", bytes)]), "x".repeat(MIB));
    large["padding"] = json!(padding);
    let all_of_it = async {
        let other = |method, path: &str| request(&server, "other", method, path);
        send(other(Method::PUT, &format!("/blobs/{digest}")).body(bytes)).await.expect(201);
        let (asked, published, whole, prepared) = tokio::join!(
            send(other(Method::POST, "/blobs/missing").body(question.to_string())),
            send(other(Method::PUT, "/manifests/small").body(small.to_string())),
            send(other(Method::PUT, "/manifests/large").body(large.to_string())),
            send(other(Method::POST, "/sessions/session").body(large.to_string())),
        );
        asked.expect(200);
        for answer in [published, whole, prepared] {
            answer.expect(201);
        }
    };
    timeout(IN_TIME, all_of_it).await.expect("served in time");
}

#[tokio::test]
async fn bodies_of_a_few_bytes_wait_for_nobody() {
    let server = server().await;
    let blob = format!("/blobs/{}", Digest::of(b"f"));
    send(request(&server, "slow", Method::PUT, &blob).body("f")).await.expect(201);
    let beginnings = (0..60).map(|_| head("PUT", "/manifests/main", 4_000_000, "").into_bytes()).collect();
    let _stalled = stall(&server, beginnings).await;
    let publish = request(&server, "slow", Method::PUT, "/manifests/other").body(manifest(&[("f", b"f")]).to_string());
    // Even of the same subject: nothing has to be taken away from anybody first.
    timeout(Duration::from_secs(8), send(publish)).await.expect("at once").expect(201);
}

#[tokio::test]
async fn a_subject_with_many_large_sessions_delays_another_by_one_turn() {
    let server = server().await;
    let session = |who: &'static str, number: usize| {
        let artifact = |at: usize| json!({"name": format!("f{at}"), "blob": Digest::of(&at.to_be_bytes()), "size": 8});
        let body = json!({"version": format!("{number}"), "artifacts": (0..3000).map(artifact).collect::<Vec<_>>()});
        let path = format!("/sessions/{who}{number}");
        let request = request(&server, who, Method::POST, &path).body(body.to_string());
        async move {
            send(request).await.expect(201);
            who
        }
    };
    let mut all: FuturesUnordered<_> = (0..40).map(|number| session("slow", number)).collect();
    let mut ended = vec![all.next().await.unwrap()];
    all.push(session("other", 0));
    while let Some(who) = all.next().await {
        ended.push(who);
    }
    let place = ended.iter().position(|who| *who == "other").unwrap();
    assert!(place < 30, "ended as number {place} of {}", ended.len());
}
