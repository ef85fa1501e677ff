//! Readers that are slow but steady are served to the end; readers that stop are not.

use std::time::Duration;

use larder::config::Size;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, sleep, timeout};

use crate::support::frames::{DATA, END_STREAM, HEADERS, Http2, RESET};
use crate::support::server::TestServer;

const IDLE: Duration = Duration::from_secs(2);
/// How long a slow reader reads slowly: several times what the server waits for.
const SLOWLY: Duration = Duration::from_secs(14);
/// Bytes per read, and the pause after each: 40 KiB a second, many times the lowest rate of the server.
const SIP: usize = 8 << 10;
const PAUSE: Duration = Duration::from_millis(200);

async fn impatient() -> TestServer {
    TestServer::with(|config| {
        config.server.header_timeout = "2s".parse().unwrap();
        config.server.idle_timeout = "2s".parse().unwrap();
        config.server.min_rate = Size::from_bytes(4 << 10);
    })
    .await
}

async fn connect(server: &TestServer, buffer: Option<u32>) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    if let Some(buffer) = buffer {
        socket.set_recv_buffer_size(buffer).unwrap();
    }
    socket.connect(server.address).await.unwrap()
}

/// Takes small sips for a while and then the rest; returns how many bytes came.
async fn sip(mut stream: TcpStream) -> usize {
    let began = Instant::now();
    let mut buffer = vec![0; SIP];
    let mut received = 0;
    while began.elapsed() < SLOWLY {
        let length = stream.read(&mut buffer).await.unwrap_or(0);
        if length == 0 {
            return received;
        }
        received += length;
        sleep(PAUSE).await;
    }
    let mut rest = Vec::new();
    let _ = timeout(Duration::from_secs(60), stream.read_to_end(&mut rest)).await.expect("the rest comes at once");
    received + rest.len()
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
}

#[tokio::test]
async fn a_steady_slow_reader_of_a_file_is_never_cut() {
    let server = impatient().await;
    let bytes = vec![1_u8; 32 << 20];
    let path = format!("/blobs/{}", server.put_blob(&bytes).await);
    let readers = [None, Some(8 << 10), Some(64 << 10)].map(|buffer| {
        let (server, path) = (&server, &path);
        async move {
            let mut stream = connect(server, buffer).await;
            stream.write_all(get(path).as_bytes()).await.unwrap();
            sip(stream).await
        }
    });
    for received in futures_util::future::join_all(readers).await {
        assert!(received > bytes.len(), "cut off after {received} bytes");
    }
}

#[tokio::test]
async fn a_steady_slow_reader_of_an_answer_in_memory_is_never_cut() {
    let server = impatient().await;
    let bytes = b"x".as_slice();
    server.put_blob(bytes).await;
    let files: Vec<(String, &[u8])> = (0..9000).map(|i| (format!("{}{i}", "f".repeat(200)), bytes)).collect();
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (name.as_str(), *bytes)).collect();
    let document = crate::support::server::manifest(&files).to_string();
    server.put("/manifests/main", document.clone()).await.expect(201);
    let mut stream = connect(&server, Some(8 << 10)).await;
    stream.write_all(get("/manifests/main").as_bytes()).await.unwrap();
    let received = sip(stream).await;
    assert!(received > document.len(), "cut off after {received} bytes of {}", document.len());
}

#[tokio::test]
async fn a_steady_slow_reader_over_http2_is_never_cut() {
    let server = impatient().await;
    let bytes = vec![1_u8; 4 << 20];
    let path = format!("/blobs/{}", server.put_blob(&bytes).await);
    // One opens its window as it reads. The other opens it all at once, and lets the connection fill up.
    for (window, buffer) in [(32 << 10, None), (1 << 30, Some(8 << 10))] {
        let mut client = match buffer {
            Some(buffer) => Http2::narrow(server.address, window, buffer).await,
            None => Http2::connect(server.address, window).await,
        };
        client.grant(0, 1 << 30).await;
        client.get(1, &path).await;
        client.until(HEADERS, 1).await;
        let began = Instant::now();
        let (mut received, mut ungranted) = (0, 0);
        loop {
            let frame = client.next().await.unwrap_or_else(|| panic!("cut off after {received} bytes"));
            assert_ne!(frame.kind, RESET, "cut off after {received} bytes");
            if frame.kind != DATA {
                continue;
            }
            received += frame.payload.len();
            ungranted += u32::try_from(frame.payload.len()).unwrap();
            if frame.flags & END_STREAM > 0 {
                break;
            }
            if window < 1 << 20 && ungranted >= window / 2 {
                client.grant(1, std::mem::take(&mut ungranted)).await;
            }
            if began.elapsed() < SLOWLY {
                sleep(PAUSE * u32::try_from(frame.payload.len().div_ceil(SIP)).unwrap()).await;
            }
        }
        assert_eq!(received, bytes.len());
    }
}

#[tokio::test]
async fn a_reader_that_stops_is_cut_even_if_it_was_fast() {
    let server = impatient().await;
    let bytes = vec![1_u8; 64 << 20];
    let path = format!("/blobs/{}", server.put_blob(&bytes).await);
    let mut stream = connect(&server, None).await;
    stream.write_all(get(&path).as_bytes()).await.unwrap();
    let mut some = vec![0; 4 << 20];
    stream.read_exact(&mut some).await.unwrap();
    sleep(4 * IDLE).await;
    let mut rest = Vec::new();
    let ended =
        timeout(Duration::from_secs(20), stream.read_to_end(&mut rest)).await.expect("the connection has ended");
    assert!(ended.is_err() || some.len() + rest.len() < bytes.len(), "nothing was cut off");
}
