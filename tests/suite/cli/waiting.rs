//! Requests that wait until a name changes, as the server that keeps them counts them: they end with their clients and with
//! the server, and take no more places than they may.

use std::time::Duration;

use rustix::process::Signal;
use tokio::time::{Instant, sleep, timeout};

use super::publish;
use crate::support::process::ServerProcess;
use crate::support::raw::Raw;

/// What a machine under load may add to any time.
const SLACK: Duration = Duration::from_secs(4);
/// A wait that is not meant to end by itself.
const LONG: Duration = Duration::from_secs(50);

/// How many requests wait.
fn waiting(server: &ServerProcess) -> u64 {
    let metrics = String::from_utf8(server.get("/metrics").unwrap().body).unwrap();
    let count = metrics.lines().find_map(|line| line.strip_prefix("larder_requests_waiting "));
    count.map_or(0, |count| count.parse().unwrap())
}

async fn until_waiting(server: &ServerProcess, wanted: u64) {
    let began = Instant::now();
    while waiting(server) != wanted {
        assert!(began.elapsed() < Duration::from_secs(20), "{} wait, not {wanted}", waiting(server));
        sleep(Duration::from_millis(20)).await;
    }
}

/// A request that waits for a change of `main`.
fn ask(server: &ServerProcess, wait: &str) -> String {
    let generation = server.get("/versions/main").unwrap().json()["generation"].as_u64().unwrap();
    format!("GET /versions/main@active?wait={wait}&after={generation} HTTP/1.1\r\nhost: x\r\n\r\n")
}

#[tokio::test]
async fn those_who_wait_are_answered_when_the_server_stops() {
    let mut server = ServerProcess::start();
    publish(&server, "main", &[("f", b"1")]);
    let mut client = Raw::connect(server.address).await;
    client.send(ask(&server, "50s")).await;
    until_waiting(&server, 1).await;
    let began = Instant::now();
    server.signal(Signal::TERM);
    let answer = client.answer().await;
    assert_eq!(answer.status, 204, "{answer:?}");
    assert!(client.rest().await.is_empty(), "the connection ends");
    assert!(server.wait().success());
    assert!(began.elapsed() < SLACK, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_wait_ends_with_its_client_and_by_no_time_limit_for_clients() {
    let limits = "export LARDER__SERVER__IDLE_TIMEOUT=1s LARDER__SERVER__HEADER_TIMEOUT=1s";
    let server = ServerProcess::after(limits);
    publish(&server, "main", &[("f", b"1")]);
    let mut client = Raw::connect(server.address).await;
    for wait in ["4s", "0s"] {
        client.send(ask(&server, wait)).await;
        assert_eq!(client.answer().await.status, 204);
    }
    let mut gone = Raw::connect(server.address).await;
    gone.send(ask(&server, "50s")).await;
    until_waiting(&server, 1).await;
    drop(gone);
    until_waiting(&server, 0).await;
    // Waiting is no work, by which a slow server would be known.
    let metrics = String::from_utf8(server.get("/metrics").unwrap().body).unwrap();
    let took = metrics.lines().filter(|line| line.starts_with("larder_http_request_duration_seconds_sum"));
    let took: f64 = took
        .filter(|line| line.contains("204"))
        .map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap())
        .sum();
    assert!(took < 2.0, "{took} s: {metrics}");
}

#[tokio::test]
async fn places_to_wait_at_are_shared_among_clients() {
    const PLACES: u64 = 4;
    let server = ServerProcess::after("export LARDER__HEADS__MAX_WAITING=4");
    publish(&server, "main", &[("f", b"1")]);
    let ask = ask(&server, "50s");
    let mut greedy = Vec::new();
    for _ in 0..PLACES {
        let mut client = Raw::connect_from("127.0.0.2", server.address).await;
        client.send(&ask).await;
        greedy.push(client);
    }
    until_waiting(&server, PLACES).await;
    let mut refused = Raw::connect_from("127.0.0.2", server.address).await;
    refused.send(&ask).await;
    let answer = refused.answer().await;
    assert_eq!((answer.status, answer.header("retry-after").is_some()), (503, true), "{answer:?}");
    let mut modest = Raw::connect_from("127.0.0.3", server.address).await;
    modest.send(&ask).await;
    // One of those who have more makes room.
    let answers = greedy.iter_mut().map(|client| Box::pin(client.answer()));
    let (answer, _, others) = timeout(LONG, futures_util::future::select_all(answers)).await.unwrap();
    assert_eq!(answer.status, 204);
    publish(&server, "main", &[("f", b"2")]);
    assert_eq!(modest.answer().await.status, 200);
    for answer in futures_util::future::join_all(others).await {
        assert_eq!(answer.status, 200);
    }
}
