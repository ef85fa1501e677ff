//! Cached responses are written to a connection without the library that answers the other requests on it. Whatever a
//! client sends, and in whatever pieces, it gets the responses in the order of its requests.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::server::TestServer;
use crate::support::store::pattern;

/// What a response has to be: its status, the version of the manifest that it is about or -1, and the length of its body.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    status: u16,
    version: i64,
    length: usize,
}

/// Requests, each with what it is answered.
struct Requests(Vec<(String, Seen)>);

impl Requests {
    async fn new(server: &TestServer) -> Self {
        let large = server.put_blob(&pattern(300_000)).await;
        let medium = server.put_blob(&pattern(65_536)).await;
        let blob = server.put_blob(&pattern(1000)).await;
        let mut requests = Vec::new();
        for version in 1..=3 {
            let text = format!("{version}").repeat(version);
            server.publish("main", &[("a.txt", text.as_bytes())]).await;
        }
        let seen = |status, version, length| Seen { status, version, length };
        for version in 1..=3_i64 {
            let path = format!("/manifests/main@{version}");
            let length = server.get(&path).await.body.len();
            for (head, status, length) in [
                (format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n"), 200, length),
                (format!("HEAD {path} HTTP/1.1\r\nhost: x\r\n\r\n"), 200, 0),
                (format!("GET {path} HTTP/1.1\r\nhost: x\r\nx-request-id: mine\r\n\r\n"), 200, length),
            ] {
                requests.push((head, seen(status, version, length)));
            }
        }
        let plain = |text: &str| format!("{text} HTTP/1.1\r\nhost: x\r\n\r\n");
        requests.push((plain(&format!("GET /blobs/{large}")), seen(200, -1, 300_000)));
        requests.push((plain(&format!("HEAD /blobs/{large}")), seen(200, -1, 0)));
        requests.push((plain(&format!("GET /blobs/{medium}")), seen(200, -1, 65_536)));
        requests.push((plain(&format!("GET /blobs/{blob}")), seen(200, -1, 1000)));
        requests.push((plain("GET /nowhere"), seen(404, -1, 0)));
        let question = "POST /blobs/missing HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}";
        requests.push((question.to_owned(), seen(401, -1, 0)));
        Self(requests)
    }

    /// Requests in an order that differs from seed to seed.
    fn some(&self, seed: usize, count: usize) -> impl Iterator<Item = &(String, Seen)> {
        (0..count).map(move |at| &self.0[(seed + at * at * 7 + at * seed * 3) % self.0.len()])
    }
}

/// Reads one response. The length of the body of a problem does not matter.
async fn response(stream: &mut TcpStream, is_head: bool) -> Seen {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    assert_eq!(head.matches("x-request-id: ").count(), 1, "{head}");
    assert_eq!(head.matches("\r\ndate: ").count(), 1, "{head}");
    let status: u16 = head.split(' ').nth(1).unwrap().parse().unwrap();
    let announced: usize = field("content-length").unwrap().parse().unwrap();
    let mut body = vec![0; if is_head { 0 } else { announced }];
    stream.read_exact(&mut body).await.unwrap();
    let version = field("larder-version").map_or(-1, |version| version.parse().unwrap());
    Seen { status, version, length: if status < 300 { body.len() } else { 0 } }
}

async fn assert_in_order<'a>(stream: &mut TcpStream, requests: impl Iterator<Item = &'a (String, Seen)>) {
    for (head, expected) in requests {
        let answer = tokio::time::timeout(Duration::from_secs(30), response(stream, head.starts_with("HEAD"))).await;
        assert_eq!(answer.expect("a response in time"), *expected, "{head}");
    }
}

#[tokio::test]
async fn one_after_another() {
    let server = TestServer::start().await;
    let requests = Requests::new(&server).await;
    for seed in 0..8 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        for request in requests.some(seed, 40) {
            stream.write_all(request.0.as_bytes()).await.unwrap();
            assert_in_order(&mut stream, std::iter::once(request)).await;
        }
    }
}

#[tokio::test]
async fn all_at_once_and_in_any_pieces() {
    let server = TestServer::start().await;
    let requests = Requests::new(&server).await;
    for seed in 0..12 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        // So that some of what follows finds the connection as direct answers leave it.
        for request in requests.some(seed, seed % 3) {
            stream.write_all(request.0.as_bytes()).await.unwrap();
            assert_in_order(&mut stream, std::iter::once(request)).await;
        }
        let all: String = requests.some(seed, 20).map(|(head, _)| head.as_str()).collect();
        let (mut reader, mut writer) = stream.into_split();
        let piece = [all.len(), 1, 7, 64, 200, 1000][seed % 6];
        let sending = async {
            for piece in all.as_bytes().chunks(piece) {
                writer.write_all(piece).await.unwrap();
                if seed % 2 == 0 {
                    tokio::time::sleep(Duration::from_micros(200)).await;
                }
            }
            writer
        };
        let receiving = async {
            let mut received = Vec::new();
            let whole: usize = requests.some(seed, 20).map(|(_, seen)| seen.length).sum();
            let mut buffer = vec![0; 64 << 10];
            while responses(&received) < 20 || received.len() < whole {
                let length = reader.read(&mut buffer).await.unwrap();
                assert!(length > 0, "the connection ended");
                received.extend_from_slice(&buffer[..length]);
            }
            received
        };
        let both = tokio::time::timeout(Duration::from_mins(1), futures_util::future::join(sending, receiving)).await;
        let (_, received) = both.expect("responses in time");
        let versions: Vec<i64> = versions(&received);
        let expected: Vec<i64> = requests.some(seed, 20).map(|(_, seen)| seen.version).filter(|v| *v > 0).collect();
        assert_eq!(versions, expected, "{seed}");
    }
}

/// How many responses have begun. No body here contains the text.
fn responses(received: &[u8]) -> usize {
    received.windows(9).filter(|text| text == b"HTTP/1.1 ").count()
}

/// The versions that responses are about, in order.
fn versions(received: &[u8]) -> Vec<i64> {
    let name = b"larder-version: ";
    let found = received.windows(name.len() + 1).filter(|text| text.starts_with(name));
    found.map(|text| i64::from(text[name.len()] - b'0')).collect()
}

#[tokio::test]
async fn to_a_client_that_does_not_read_for_a_while() {
    let server = TestServer::start().await;
    let requests = Requests::new(&server).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let request = &requests.0[0];
    // More than the buffers of both sides hold.
    let count = 6000;
    let (mut reader, mut writer) = stream.split();
    let sending = async {
        for _ in 0..count {
            writer.write_all(request.0.as_bytes()).await.unwrap();
            // One at a time, so that they come in pieces of their own.
            tokio::task::yield_now().await;
        }
    };
    let receiving = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let (mut got, mut tail, mut buffer) = (0, Vec::new(), vec![0; 64 << 10]);
        while got < count {
            let length = reader.read(&mut buffer).await.unwrap();
            assert!(length > 0, "the connection ended");
            tail.extend_from_slice(&buffer[..length]);
            got += responses(&tail);
            // A beginning that is cut is counted with what follows.
            let cut = tail.len().saturating_sub(8);
            tail.drain(..cut);
        }
        got
    };
    let both = tokio::time::timeout(Duration::from_mins(2), futures_util::future::join(sending, receiving)).await;
    assert_eq!(both.expect("responses in time").1, count);
}

#[tokio::test]
async fn a_client_may_take_longer_for_a_blob_than_for_a_head() {
    let server = TestServer::with(|config| config.server.header_timeout = "1s".parse().unwrap()).await;
    let bytes = pattern(300_000);
    let digest = server.put_blob(&bytes).await;
    let request = format!("GET /blobs/{digest} HTTP/1.1\r\nhost: x\r\n\r\n");
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    // More than the buffers of both sides hold.
    let count = 40;
    for _ in 0..count {
        stream.write_all(request.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::sleep(Duration::from_millis(2500)).await;
    for at in 0..count {
        let seen = response(&mut stream, false).await;
        assert_eq!(seen, Seen { status: 200, version: -1, length: bytes.len() }, "{at}");
    }
    let mut rest = [0; 1];
    let closed = tokio::time::timeout(Duration::from_secs(30), stream.read(&mut rest)).await;
    assert_eq!(closed.expect("closed after the time for a head").unwrap_or(0), 0);
}
