//! Requests that wait for a change, many on one HTTP/2 connection.

use std::net::SocketAddr;
use std::time::Duration;

use axum::http::{HeaderMap, Request, StatusCode};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use h2::client::{self, SendRequest};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::process::ServerProcess;
use crate::support::server::TestServer;

/// As many as the server allows on one connection.
const STREAMS: usize = 32;
/// What a machine under load may take for anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection whose requests the client's library multiplexes.
async fn connect(address: SocketAddr) -> SendRequest<bytes::Bytes> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (client, connection) = client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    client
}

/// The status and the fields of an answer.
async fn get(client: &SendRequest<bytes::Bytes>, path: &str) -> (StatusCode, HeaderMap) {
    let request = Request::get(format!("http://x{path}")).body(()).unwrap();
    let mut client = client.clone().ready().await.unwrap();
    let (answer, _) = client.send_request(request, true).unwrap();
    let (head, body) = answer.await.unwrap().into_parts();
    drop(body);
    (head.status, head.headers)
}

/// Every waiter beyond the places is told so, the others are all answered when the name changes, and the connection goes
/// on.
#[tokio::test]
async fn streams_of_one_connection_wait_within_the_places_that_there_are() {
    const PLACES: usize = 12;
    let server = TestServer::with(|config| config.heads.max_waiting = PLACES as u64).await;
    server.publish("main", &[("f", b"1")]).await;
    let client = connect(server.address).await;
    let (_, fields) = get(&client, "/versions/main").await;
    let after = fields["larder-generation"].to_str().unwrap().to_owned();
    let path = format!("/versions/main?wait=50s&after={after}");
    let mut waiting: FuturesUnordered<_> = (0..STREAMS).map(|_| get(&client, &path)).collect();
    for _ in PLACES..STREAMS {
        let (status, fields) = timeout(PATIENCE, waiting.next()).await.expect("no place").unwrap();
        assert_eq!(status, 503);
        assert!(fields.contains_key("retry-after"), "{fields:?}");
    }
    // Nobody of the others is, and requests beside them are answered.
    assert!(timeout(Duration::from_millis(500), waiting.next()).await.is_err());
    assert_eq!(timeout(PATIENCE, get(&client, "/versions/main")).await.expect("in time").0, 200);
    let publishing = server.publish("main", &[("f", b"2")]);
    let answered = async {
        let mut all = Vec::new();
        while let Some((status, fields)) = timeout(PATIENCE, waiting.next()).await.expect("the change is seen") {
            let generation: u64 = fields["larder-generation"].to_str().unwrap().parse().unwrap();
            assert!(generation > after.parse().unwrap(), "{fields:?}");
            all.push(status);
        }
        all
    };
    let (_, all) = tokio::join!(publishing, answered);
    assert_eq!(all, [StatusCode::OK; PLACES]);
    assert_eq!(get(&client, "/versions/main").await.0, 200);
}

/// A stream that is given up gives back its place, and a connection that ends all of them.
#[tokio::test]
async fn who_waits_no_longer_leaves_the_place_to_others() {
    let server = TestServer::with(|config| config.heads.max_waiting = 8).await;
    server.publish("main", &[("f", b"1")]).await;
    let path = "/versions/main?wait=50s&after=99";
    for round in 0..4 {
        let client = connect(server.address).await;
        let mut waiting: FuturesUnordered<_> = (0..8).map(|_| get(&client, path)).collect();
        let early = timeout(Duration::from_millis(1500), waiting.next()).await;
        assert!(early.is_err(), "{round}: {early:?}");
        drop(waiting);
        if round % 2 == 0 {
            // The same connection, on which the streams were reset.
            let mut again: FuturesUnordered<_> = (0..8).map(|_| get(&client, path)).collect();
            let early = timeout(Duration::from_millis(3000), again.next()).await;
            assert!(early.is_err(), "{round}: {early:?}");
        }
    }
}

/// So that all that may wait at once by default take some megabytes together.
#[tokio::test]
async fn a_waiter_on_a_stream_takes_little_memory() {
    const CONNECTIONS: usize = 16;
    let server = ServerProcess::start();
    let path = "/versions/none?wait=50s&after=0";
    let warm = connect(server.address).await;
    get(&warm, "/versions/none?wait=0s&after=0").await;
    let before = server.memory();
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        clients.push(connect(server.address).await);
    }
    let mut waiting: FuturesUnordered<_> =
        clients.iter().flat_map(|client| (0..STREAMS).map(move |_| get(client, path))).collect();
    let early = timeout(Duration::from_secs(5), waiting.next()).await;
    let grown = server.memory().saturating_sub(before);
    let each = grown / (CONNECTIONS * STREAMS);
    eprintln!("{} waiters take {} KiB, {each} bytes each", CONNECTIONS * STREAMS, grown >> 10);
    assert!(early.is_err(), "all of them wait: {early:?}");
    assert!(each < 24 << 10, "{each} bytes each");
}
