//! What HTTP/2 clients can make the server hold: memory of answers that nobody takes, files, and floods of frames.

use std::collections::HashSet;
use std::time::Duration;

use larder::domain::Digest;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, sleep, timeout};

use crate::support::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, Frame, GO_AWAY, HEADERS, Http2, PING, RESET, SETTINGS, frame, head,
};
use crate::support::process::{ServerProcess, exchange};
use crate::support::server::TestServer;

/// How many connections stall on each kind of answer.
const CONNECTIONS: usize = 40;
/// As many as the server allows on one connection.
const STREAMS: usize = 32;

fn put(server: &ServerProcess, path: &str, body: &[u8]) {
    let (token, length) = (server.token(), body.len());
    let head = format!(
        "PUT {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {token}\r\ncontent-length: {length}\r\n\r\n"
    );
    let reply = exchange(server.address, &head, body).unwrap();
    assert!(matches!(reply.status, 200 | 201), "{}", String::from_utf8_lossy(&reply.body));
}

fn put_blob(server: &ServerProcess, bytes: &[u8]) -> String {
    let path = format!("/blobs/{}", Digest::of(bytes));
    put(server, &path, bytes);
    path
}

/// Publishes large and small things, and returns where they are, by kind.
fn plant(server: &ServerProcess) -> [(&'static str, Vec<String>); 5] {
    let blob = |size: usize| put_blob(server, &vec![b'x'; size]);
    let (large, middling, small) = (blob(1 << 20), blob(40 << 10), blob(30 << 10));
    let artifacts: Vec<_> = (0..1500)
        .map(|i| json!({"name": format!("f{i}"), "blob": Digest::of(&vec![b'x'; 40 << 10]), "size": 40 << 10}))
        .collect();
    for version in 0..30 {
        let document = json!({ "artifacts": artifacts, "metadata": { "version": version.to_string() } });
        put(server, "/manifests/main", document.to_string().as_bytes());
    }
    let pages = ["/versions/main", "/refs/main/f7", "/manifests", "/", "/nothing"].map(str::to_owned);
    [
        ("large blobs", vec![large]),
        ("blobs", vec![middling]),
        ("blobs in memory", vec![small]),
        ("manifests", (1..=30).map(|version| format!("/manifests/main@{version}")).collect()),
        ("pages", pages.to_vec()),
    ]
}

/// One request after the other beside the load; returns the longest time of one.
async fn bystander(server: &ServerProcess, path: &str, requests: usize) -> Duration {
    let mut longest = Duration::ZERO;
    for _ in 0..requests {
        let began = Instant::now();
        assert_eq!(server.get(path).unwrap().status, 200);
        longest = longest.max(began.elapsed());
        sleep(Duration::from_millis(10)).await;
    }
    longest
}

/// Opens the connection and its streams, waits until each is answered, and grants each `room`.
async fn stall(server: &ServerProcess, seed: usize, paths: &[String], room: u32) -> Http2 {
    let mut client = Http2::connect(server.address, 0).await;
    let mut requests = Vec::new();
    for at in 0..STREAMS {
        let path = &paths[(seed * STREAMS + at) % paths.len()];
        let stream = u32::try_from(2 * at + 1).unwrap();
        requests.extend(frame(HEADERS, END_HEADERS | END_STREAM, stream, &head("GET", path)));
    }
    client.send(&requests).await;
    // What does not fit is refused; that is an answer, too.
    let mut answered = HashSet::new();
    while answered.len() < STREAMS {
        let frame = client.next().await.unwrap();
        answered.extend(matches!(frame.kind, HEADERS | RESET).then_some(frame.stream));
    }
    for at in (0..STREAMS).filter(|_| room > 0) {
        client.grant(u32::try_from(2 * at + 1).unwrap(), room).await;
    }
    client
}

#[tokio::test]
async fn answers_that_nobody_takes_cost_little_memory_and_few_files() {
    let server = ServerProcess::after("ulimit -n 1024");
    let kinds = plant(&server);
    let bystanders = &kinds[0].1[0];
    bystander(&server, bystanders, 3).await;
    let mut clients = Vec::new();
    for (kind, paths) in &kinds {
        let (before, files) = (server.resident(), server.open_files());
        for seed in 0..CONNECTIONS {
            clients.push(stall(&server, seed, paths, [0, 1, 300, 20_000][seed % 4]).await);
        }
        bystander(&server, bystanders, 10).await;
        let (grown, opened) = (server.resident().saturating_sub(before), server.open_files() - files);
        assert!(grown < 48 << 20, "{kind}: {} MiB more", grown >> 20);
        assert!(opened < CONNECTIONS + 300, "{kind}: {opened} files more");
    }
    drop(clients);
}

#[tokio::test]
async fn a_client_that_opens_its_windows_but_reads_nothing_costs_little() {
    let server = ServerProcess::start();
    let path = put_blob(&server, &vec![b'x'; 8 << 20]);
    bystander(&server, &path, 2).await;
    let before = server.resident();
    let mut clients = Vec::new();
    for _ in 0..100 {
        let mut client = Http2::narrow(server.address, 1 << 30, 4096).await;
        client.grant(0, 1 << 30).await;
        for at in 0..STREAMS {
            client.get(u32::try_from(2 * at + 1).unwrap(), &path).await;
        }
        clients.push(client);
    }
    bystander(&server, &path, 10).await;
    let after = server.resident();
    assert!(after < before + (96 << 20), "{} MiB, before that {} MiB", after >> 20, before >> 20);
    drop(clients);
}

async fn impatient() -> TestServer {
    TestServer::with(|config| {
        config.server.header_timeout = "2s".parse().unwrap();
        config.server.idle_timeout = "1s".parse().unwrap();
    })
    .await
}

#[tokio::test]
async fn a_stalled_stream_ends_while_its_connection_and_the_others_live() {
    let server = impatient().await;
    let digest = server.put_blob(&vec![1_u8; 1 << 20]).await;
    for room in [0, 1000] {
        let mut client = Http2::connect(server.address, room).await;
        client.get(1, &format!("/blobs/{digest}")).await;
        client.until(HEADERS, 1).await;
        let began = Instant::now();
        let mut stream = 3;
        let mut reset = false;
        while !reset {
            assert!(began.elapsed() < Duration::from_secs(20), "a stalled stream lives for ever");
            client.get(stream, "/livez").await;
            client.grant(stream, 1000).await;
            client.send(&frame(PING, 0, 0, &[0; 8])).await;
            loop {
                let frame = client.next().await.expect("the connection lives");
                reset |= (frame.kind, frame.stream) == (RESET, 1);
                assert!(!(frame.kind == RESET && frame.stream == stream), "only what is stalled ends");
                if frame.stream == stream && frame.kind == DATA && frame.flags & END_STREAM > 0 {
                    break;
                }
            }
            stream += 2;
            sleep(Duration::from_millis(50)).await;
        }
        client.get(stream, &format!("/blobs/{digest}")).await;
        client.grant(stream, 1 << 20).await;
        assert_eq!(body(&mut client, stream).await, 1 << 20, "the connection is as good as before");
    }
}

/// Reads to the end of a stream, granting the connection what it takes; returns the length of the body.
async fn body(client: &mut Http2, stream: u32) -> usize {
    let mut length = 0;
    loop {
        let Frame { kind, flags, stream: of, payload } = client.next().await.expect("the connection lives");
        if kind == DATA && !payload.is_empty() {
            client.grant(0, u32::try_from(payload.len()).unwrap()).await;
        }
        if of != stream {
            continue;
        }
        assert_ne!(kind, RESET, "{payload:?}");
        length += if kind == DATA { payload.len() } else { 0 };
        if flags & END_STREAM > 0 && matches!(kind, DATA | HEADERS) {
            return length;
        }
    }
}

#[tokio::test]
async fn a_stream_under_way_is_finished_when_the_server_is_told_to_stop() {
    let server = TestServer::start().await;
    let digest = server.put_blob(&vec![1_u8; 1 << 20]).await;
    let mut client = Http2::connect(server.address, 1000).await;
    client.get(1, &format!("/blobs/{digest}")).await;
    client.until(DATA, 1).await;
    server.shutdown.soft.cancel();
    client.until(GO_AWAY, 0).await;
    client.grant(1, 1 << 20).await;
    assert_eq!(1000 + body(&mut client, 1).await, 1 << 20);
    while client.next().await.is_some() {}
    timeout(Duration::from_secs(10), server.stop()).await.expect("stops in time").unwrap();
}

#[tokio::test]
async fn a_stream_that_waited_for_its_window_gets_the_right_bytes() {
    let server = TestServer::start().await;
    let bytes: Vec<u8> = (0..300_000_u32).flat_map(u32::to_be_bytes).collect();
    let digest = server.put_blob(&bytes).await;
    let small = server.put_blob(&bytes[..20_000]).await;
    for (digest, bytes) in [(digest, &bytes[..]), (small, &bytes[..20_000])] {
        let mut client = Http2::connect(server.address, 0).await;
        client.get(1, &format!("/blobs/{digest}")).await;
        client.until(HEADERS, 1).await;
        let mut received = Vec::new();
        for room in [1, 2, 300, 5000, 70_000, 2_000_000] {
            let before = received.len();
            let expected = bytes.len().min(before + room);
            client.grant(0, u32::try_from(room).unwrap()).await;
            client.grant(1, u32::try_from(room).unwrap()).await;
            while received.len() < expected {
                received.extend(client.until(DATA, 1).await.payload);
            }
            assert!(received[..] == bytes[..expected]);
        }
        assert!(received[..] == *bytes, "{} of {}", received.len(), bytes.len());
    }
}

/// Sends as much as the server takes. It may close the connection, or stop reading from it.
async fn push(client: &mut Http2, bytes: &[u8]) {
    let _ = timeout(Duration::from_millis(500), client.0.write_all(bytes)).await;
}

/// The frames of which a flood consists, by their number.
type Unit<'a> = Box<dyn Fn(u32) -> Vec<u8> + 'a>;

#[tokio::test]
async fn floods_cost_little_memory_and_harm_nobody_else() {
    let server = ServerProcess::start();
    let path = put_blob(&server, &vec![b'x'; 1 << 20]);
    bystander(&server, &path, 2).await;
    let before = server.resident();
    let get = |stream| frame(HEADERS, END_HEADERS | END_STREAM, stream, &head("GET", &path));
    let open = frame(HEADERS, END_HEADERS, 1, &head("PUT", &path));
    let floods: [(&str, Vec<u8>, Unit<'_>); 7] = [
        ("pings", vec![], Box::new(|_| frame(PING, 0, 0, &[0; 8]))),
        ("settings", vec![], Box::new(|_| frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 1]))),
        ("resets", vec![], Box::new(|i| [get(2 * i + 1), frame(RESET, 0, 2 * i + 1, &[0, 0, 0, 8])].concat())),
        (
            "headers without end",
            frame(HEADERS, 0, 1, &head("GET", &path)),
            Box::new(|_| {
                frame(CONTINUATION, 0, 1, &[&[0x00, 0x01, b'a', 0x7f, 0x81, 0x7e], [b'b'; 16_000].as_slice()].concat())
            }),
        ),
        ("empty data", open.clone(), Box::new(|_| frame(DATA, 0, 1, &[]))),
        ("tiny data", open, Box::new(|_| frame(DATA, 0, 1, &[0]))),
        ("streams beyond the limit", vec![], Box::new(|i| get(2 * i + 1))),
    ];
    for (name, beginning, unit) in floods {
        let mut clients = Vec::new();
        for _ in 0..10 {
            let mut client = Http2::connect(server.address, 0).await;
            let mut bytes = beginning.clone();
            for i in 0..20_000 {
                if bytes.len() > 4 << 20 {
                    break;
                }
                bytes.extend(unit(i));
            }
            push(&mut client, &bytes).await;
            clients.push(client);
        }
        bystander(&server, &path, 5).await;
        let after = server.resident();
        assert!(after < before + (64 << 20), "{name}: {} MiB, before that {} MiB", after >> 20, before >> 20);
    }
}

#[tokio::test]
async fn half_sent_bodies_cost_no_more_than_a_small_window() {
    let server = ServerProcess::start();
    let path = put_blob(&server, b"x");
    bystander(&server, &path, 2).await;
    let before = server.resident();
    let mut clients = Vec::new();
    for _ in 0..60 {
        let mut client = Http2::connect(server.address, 1000).await;
        for at in 0..STREAMS {
            let stream = u32::try_from(2 * at + 1).unwrap();
            let head = frame(HEADERS, END_HEADERS, stream, &head("PUT", "/manifests/main"));
            push(&mut client, &[head, frame(DATA, 0, stream, &[b' '; 16_000])].concat()).await;
        }
        clients.push(client);
    }
    bystander(&server, &path, 5).await;
    let after = server.resident();
    assert!(after < before + (64 << 20), "{} MiB, before that {} MiB", after >> 20, before >> 20);
    drop(clients);
}
