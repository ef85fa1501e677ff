//! Clients that are slow, that go away, and servers that are told to stop.

use std::time::Duration;

use larder::domain::Digest;
use tokio::io::AsyncReadExt as _;
use tokio::time::{Instant, sleep, timeout};

use crate::support::raw::Raw;
use crate::support::server::TestServer;
use crate::support::store::SLOW;

async fn impatient() -> TestServer {
    TestServer::with(|config| {
        config.server.header_timeout = "1s".parse().unwrap();
        config.server.idle_timeout = "1s".parse().unwrap();
        config.server.drain_timeout = "2s".parse().unwrap();
    })
    .await
}

fn put(server: &TestServer, digest: Digest, length: usize) -> String {
    let token = &server.token;
    format!(
        "PUT /blobs/{digest} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-length: {length}\r\n\r\n"
    )
}

/// What is uploaded slowly: enough to reach the disk before the end.
fn slow() -> Vec<u8> {
    vec![b'1'; SLOW]
}

fn staged(server: &TestServer) -> usize {
    std::fs::read_dir(server.data.join("staging")).unwrap().count()
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(20), "{what}");
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_client_that_sends_one_byte_a_second_is_cut_off() {
    let server = impatient().await;
    let mut client = Raw::connect(server.address).await;
    client.send(put(&server, Digest::of(b"x"), 1000)).await;
    let answer = async {
        loop {
            client.send("x").await;
            let mut buffer = [0; 1024];
            if let Ok(Ok(length)) = timeout(Duration::from_millis(300), client.0.read(&mut buffer)).await {
                return String::from_utf8_lossy(&buffer[..length]).into_owned();
            }
        }
    };
    let answer = timeout(Duration::from_secs(20), answer).await.expect("cut off in time");
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    until("the upload is given up", || staged(&server) == 0).await;
}

#[tokio::test]
async fn a_client_that_pauses_within_a_body_is_cut_off() {
    let server = impatient().await;
    let mut client = Raw::connect(server.address).await;
    client.send(put(&server, Digest::of(b"x"), 2 * SLOW)).await;
    client.send(slow()).await;
    until("the upload begins", || staged(&server) == 1).await;
    assert_eq!(client.answer().await.status, 408);
    until("the upload is given up", || staged(&server) == 0).await;
}

#[tokio::test]
async fn a_client_that_never_finishes_its_head_is_cut_off() {
    let server = impatient().await;
    for beginning in ["", "P", "PRI * HTTP/2.0\r\n", "GET /livez HTTP/1.1\r\nx: "] {
        let mut client = Raw::connect(server.address).await;
        client.send(beginning).await;
        let rest = String::from_utf8(client.rest().await).unwrap();
        assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 408"), "{beginning:?}: {rest}");
    }
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_cut_off() {
    let server = impatient().await;
    let bytes = vec![1_u8; 64 << 20];
    let digest = server.put_blob(&bytes).await;
    let mut client = Raw::connect(server.address).await;
    client.send(format!("GET /blobs/{digest} HTTP/1.1\r\nhost: x\r\n\r\n")).await;
    assert_eq!(client.answer().await.status, 200);
    sleep(Duration::from_secs(3)).await;
    assert!(client.rest().await.len() < bytes.len(), "the transfer must be broken, not complete");
}

#[tokio::test]
async fn a_client_that_goes_away_in_an_upload_leaves_nothing() {
    let server = TestServer::start().await;
    let digest = Digest::of(b"x");
    let mut client = Raw::connect(server.address).await;
    client.send(put(&server, digest, 2 * SLOW)).await;
    client.send(slow()).await;
    until("the upload begins", || staged(&server) == 1).await;
    drop(client);
    until("the upload is given up", || staged(&server) == 0).await;
    server.get(&format!("/blobs/{digest}")).await.expect(404);
}

#[tokio::test]
async fn a_client_that_goes_away_in_a_download_harms_nobody() {
    let server = TestServer::start().await;
    let bytes = vec![9_u8; 16 << 20];
    let digest = server.put_blob(&bytes).await;
    for _ in 0..20 {
        let mut client = Raw::connect(server.address).await;
        client.send(format!("GET /blobs/{digest} HTTP/1.1\r\nhost: x\r\n\r\n")).await;
        client.answer().await;
    }
    assert_eq!(server.get(&format!("/blobs/{digest}")).await.expect(200).body, bytes);
}

#[tokio::test]
async fn a_publish_goes_on_when_its_client_goes_away() {
    let server = TestServer::start().await;
    let files: Vec<(String, Vec<u8>)> = (0..200_u32).map(|i| (format!("f{i}"), i.to_be_bytes().to_vec())).collect();
    for (_, bytes) in &files {
        server.put_blob(bytes).await;
    }
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    let body = crate::support::server::manifest(&files).to_string();
    let mut client = Raw::connect(server.address).await;
    let token = &server.token;
    let head = format!("PUT /manifests/main HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n");
    client.send(format!("{head}content-length: {}\r\n\r\n{body}", body.len())).await;
    drop(client);
    // Whether the request was read before its client went away is a matter of luck; a half-done publish is not.
    sleep(Duration::from_millis(100)).await;
    for _ in 0..1000 {
        let history = server.get("/versions/main").await;
        let prepared = |row: &serde_json::Value| row["state"] == "prepared";
        if history.status != 200 || !history.json()["versions"].as_array().unwrap().iter().any(prepared) {
            return;
        }
        sleep(Duration::from_millis(20)).await;
    }
    panic!("the publish was left half done");
}

#[tokio::test]
async fn a_server_that_is_told_to_stop_finishes_what_is_under_way() {
    let server = impatient().await;
    let mut client = Raw::connect(server.address).await;
    client.send(put(&server, Digest::of(&slow()), slow().len())).await;
    client.send(&slow()[1..]).await;
    until("the upload begins", || staged(&server) == 1).await;
    server.shutdown.soft.cancel();
    sleep(Duration::from_millis(100)).await;
    assert!(tokio::net::TcpStream::connect(server.address).await.is_err(), "nothing new is taken on");
    client.send("1").await;
    assert_eq!(client.answer().await.status, 201);
    let data = server.data.clone();
    timeout(Duration::from_secs(10), server.stop()).await.expect("stops in time").unwrap();
    drop(data);
}

#[tokio::test]
async fn requests_that_do_not_finish_in_time_are_cut_off_at_the_end() {
    let server = TestServer::with(|config| config.server.drain_timeout = "1s".parse().unwrap()).await;
    let mut client = Raw::connect(server.address).await;
    client.send(put(&server, Digest::of(&slow()), slow().len())).await;
    client.send(&slow()[1..]).await;
    until("the upload begins", || staged(&server) == 1).await;
    let staging = server.data.join("staging");
    timeout(Duration::from_secs(10), server.stop()).await.expect("stops in time").unwrap();
    assert!(client.rest().await.is_empty());
    assert!(!staging.exists() || std::fs::read_dir(staging).unwrap().count() == 0);
}

#[tokio::test]
async fn http2_without_tls_is_understood() {
    let server = TestServer::start().await;
    let digest = server.put_blob(&vec![5_u8; 1 << 20]).await;
    let http2 = larder::client::http_client_builder().http2_prior_knowledge().no_proxy().build().unwrap();
    let downloads = (0..20).map(|_| async {
        let response = http2.get(server.url(&format!("/blobs/{digest}"))).send().await.unwrap();
        assert_eq!(response.version(), reqwest::Version::HTTP_2);
        response.bytes().await.unwrap().len()
    });
    assert!(futures_util::future::join_all(downloads).await.iter().all(|length| *length == 1 << 20));
    let request = http2.put(server.url(&format!("/blobs/{}", Digest::of(b"h2")))).bearer_auth(&server.token);
    assert_eq!(request.body("h2").send().await.unwrap().status(), 201);
}

/// The beginning of an HTTP/2 connection whose client leaves no room for the bodies of answers.
const NO_ROOM: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x06\x04\0\0\0\0\0\0\x04\0\0\0\0";

#[tokio::test]
async fn an_http2_connection_on_which_nothing_happens_is_closed() {
    let server = impatient().await;
    let mut client = Raw::connect(server.address).await;
    client.send(NO_ROOM).await;
    client.frames().await;
}

#[tokio::test]
async fn an_http2_client_that_takes_nothing_is_cut_off() {
    let server = impatient().await;
    let digest = server.put_blob(&vec![1_u8; 1 << 20]).await;
    let mut client = Raw::connect(server.address).await;
    client.send(NO_ROOM).await;
    // HEADERS of stream 1: :method GET, :scheme http, :authority x, :path, all as literals without an index.
    let path = format!("/blobs/{digest}");
    let mut block = vec![0x82, 0x86, 0x01, 0x01, b'x', 0x04, u8::try_from(path.len()).unwrap()];
    block.extend(path.as_bytes());
    let mut frame = vec![0, 0, u8::try_from(block.len()).unwrap(), 1, 5, 0, 0, 0, 1];
    frame.extend(block);
    client.send(frame).await;
    assert_eq!(client.frames().await, 0, "there was no room");
}

#[tokio::test]
async fn a_connection_that_sends_nothing_does_not_hold_up_the_end() {
    let server = TestServer::start().await;
    let silent = Raw::connect(server.address).await;
    sleep(Duration::from_millis(100)).await;
    timeout(Duration::from_secs(5), server.stop()).await.expect("stops at once").unwrap();
    drop(silent);
}

#[tokio::test]
async fn a_client_that_only_listens_at_the_end_sees_an_early_answer() {
    let server = TestServer::start().await;
    let bytes = vec![4_u8; 24 << 20];
    let digest = server.put_blob(&bytes).await;
    for (token, status) in [(server.token.as_str(), 200), ("nonsense-but-none", 401)] {
        let mut client = Raw::connect(server.address).await;
        let authorization = if status == 200 { format!("authorization: Bearer {token}\r\n") } else { String::new() };
        let length = bytes.len();
        let head =
            format!("PUT /blobs/{digest} HTTP/1.1\r\nhost: x\r\n{authorization}content-length: {length}\r\n\r\n");
        client.send(head).await;
        client.send(&bytes).await;
        assert_eq!(client.answer().await.status, status);
    }
}
