//! More connections than the server has places for: whoever holds many makes room for others.

use std::net::SocketAddr;
use std::time::Duration;

use larder::config::Config;
use larder::domain::Digest;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::support::raw::{Answer, Raw};
use crate::support::server::TestServer;
use crate::support::store::SLOW;

const PLACES: usize = 16;
/// Every place was held for half a minute before; a machine under load may need more than the second that is meant.
const SOON: Duration = Duration::from_secs(4);
/// What is more than the buffers of both ends hold.
const LARGE: usize = 24 << 20;

const CROWD: &str = "127.0.0.2";
const OTHER: &str = "127.0.0.3";

async fn crowded(change: impl FnOnce(&mut Config)) -> TestServer {
    TestServer::with(|config| {
        config.server.max_connections = PLACES;
        change(config);
    })
    .await
}

/// What a client does that holds a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hold {
    Silent,
    Head,
    KeepAlive,
    Reader,
    Upload,
    Http2,
    Wait,
}

const HOLDS: [Hold; 7] =
    [Hold::Silent, Hold::Head, Hold::KeepAlive, Hold::Reader, Hold::Upload, Hold::Http2, Hold::Wait];

/// What clients of one server need.
#[derive(Clone)]
struct Crowd {
    address: SocketAddr,
    token: String,
    large: Digest,
}

impl Crowd {
    async fn of(server: &TestServer) -> Self {
        let large = server.put_blob(&vec![7; LARGE]).await;
        Self { address: server.address, token: server.token.clone(), large }
    }

    fn upload(&self, more: &str, digest: Digest, length: usize) -> String {
        let token = &self.token;
        format!(
            "PUT /blobs/{digest} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n{more}\
             content-length: {length}\r\n\r\n"
        )
    }

    fn download(&self) -> String {
        format!("GET /blobs/{} HTTP/1.1\r\nhost: x\r\n\r\n", self.large)
    }

    /// Opens a connection and holds it.
    async fn hold(&self, source: &str, hold: Hold) -> Raw {
        let mut client = Raw::connect_from(source, self.address).await;
        let sent = match hold {
            Hold::Silent => String::new(),
            Hold::Head => "GET /livez HTTP/1.1\r\nx: ".to_owned(),
            Hold::KeepAlive => "GET /livez HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(),
            Hold::Reader => self.download(),
            Hold::Wait => "GET /versions/none?wait=50s&after=0 HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(),
            Hold::Upload => self.upload("", Digest::of(b"x"), 1000) + "x",
            Hold::Http2 => "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_owned(),
        };
        // Another one may have taken the place by now.
        let _ = client.0.write_all(sent.as_bytes()).await;
        client
    }

    async fn hold_all(&self, source: &str, kind: Hold) -> Vec<Raw> {
        let mut held = Vec::new();
        for _ in 0..2 * PLACES {
            held.push(self.hold(source, kind).await);
        }
        held
    }

    /// The answer to a newcomer's request, and how long it took.
    async fn ask(&self, source: &str, path: &str) -> (Answer, Duration) {
        let began = Instant::now();
        let mut client = Raw::connect_from(source, self.address).await;
        client.send(format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")).await;
        (client.answer().await, began.elapsed())
    }

    async fn is_served_soon(&self, source: &str, what: &str) {
        let (answer, took) = self.ask(source, "/manifests").await;
        assert_eq!(answer.status, 200, "{what}: {answer:?}");
        assert!(took < SOON, "{what} took {took:?}");
    }
}

#[tokio::test]
async fn a_newcomer_is_served_while_another_client_holds_all_places_again_and_again() {
    let server = crowded(|_| {}).await;
    let crowd = Crowd::of(&server).await;
    for hold in HOLDS {
        for round in 0..3 {
            let held = crowd.hold_all(CROWD, hold).await;
            for _ in 0..3 {
                crowd.is_served_soon(OTHER, &format!("{hold:?} {round}")).await;
            }
            drop(held);
        }
    }
    let metrics = server.get("/metrics").await.expect(200).text();
    for waiting_for in ["head", "request", "body"] {
        let label = format!("larder_connections_evicted_total{{waiting_for=\"{waiting_for}\"}} ");
        let count = metrics.lines().find_map(|line| line.strip_prefix(label.as_str()));
        assert!(count.is_some_and(|count| count != "0"), "{waiting_for} in {metrics}");
    }
    assert!(metrics.contains("larder_connections_open "), "{metrics}");
}

#[tokio::test]
async fn a_client_that_holds_all_places_itself_is_served_too() {
    let server = crowded(|_| {}).await;
    let crowd = Crowd::of(&server).await;
    for hold in HOLDS {
        let held = crowd.hold_all(CROWD, hold).await;
        for _ in 0..3 {
            crowd.is_served_soon(CROWD, &format!("{hold:?}")).await;
        }
        drop(held);
    }
}

#[tokio::test]
async fn an_http2_connection_that_makes_room_is_told_so() {
    const GOAWAY: u8 = 7;
    let server = crowded(|_| {}).await;
    let crowd = Crowd::of(&server).await;
    let mut first = crowd.hold(OTHER, Hold::Http2).await;
    // Idle long enough to go although its client has only one.
    sleep(Duration::from_millis(600)).await;
    let held = crowd.hold_all(OTHER, Hold::Http2).await;
    let mut frames = &first.rest().await[..];
    let mut kinds = Vec::new();
    while let [a, b, c, kind, rest @ ..] = frames {
        let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
        kinds.push(*kind);
        frames = rest.get(5 + length..).unwrap_or_default();
    }
    assert!(kinds.contains(&GOAWAY), "{kinds:?}");
    drop(held);
}

/// Opens connections of one client without end.
fn attack(crowd: &Crowd, source: &'static str, kind: Hold) -> JoinSet<()> {
    let (mut tasks, crowd) = (JoinSet::new(), crowd.clone());
    tasks.spawn(async move {
        let mut held = Vec::new();
        loop {
            held.push(crowd.hold(source, kind).await);
            if held.len() == 4 * PLACES {
                held.clear();
            }
            sleep(Duration::from_millis(2)).await;
        }
    });
    tasks
}

/// Downloads the large blob slowly and steadily, after the transfer has begun.
async fn download_slowly(client: &mut Raw) -> usize {
    let answer = client.answer().await;
    assert_eq!(answer.status, 200);
    let mut received = answer.body.len();
    let mut buffer = vec![0; 256 << 10];
    loop {
        sleep(Duration::from_millis(20)).await;
        match timeout(Duration::from_secs(20), client.0.read(&mut buffer)).await.expect("more in time") {
            Ok(0) | Err(_) => return received,
            Ok(length) => received += length,
        }
        if received == LARGE {
            return received;
        }
    }
}

#[tokio::test]
async fn slow_transfers_of_other_clients_outlive_an_attack() {
    let server = crowded(|_| {}).await;
    let crowd = Crowd::of(&server).await;
    for hold in [Hold::Silent, Hold::Reader] {
        let mut reader = Raw::connect_from(OTHER, server.address).await;
        reader.send(crowd.download()).await;
        let mut writer = Raw::connect_from("127.0.0.4", server.address).await;
        let bytes = vec![u8::from(hold == Hold::Silent); SLOW];
        writer.send(crowd.upload("", Digest::of(&bytes), bytes.len())).await;
        let _attack = attack(&crowd, CROWD, hold);
        let writing = async {
            for chunk in bytes.chunks(SLOW / 40) {
                writer.send(chunk).await;
                sleep(Duration::from_millis(50)).await;
            }
            writer.answer().await.status
        };
        let (received, stored) = tokio::join!(download_slowly(&mut reader), writing);
        assert_eq!((received, stored), (LARGE, 201), "{hold:?}");
    }
}

#[tokio::test]
async fn a_client_with_idle_connections_loses_these_before_its_download() {
    let server = crowded(|_| {}).await;
    let crowd = Crowd::of(&server).await;
    let mut reader = Raw::connect_from(CROWD, server.address).await;
    reader.send(crowd.download()).await;
    let mut held = Vec::new();
    for hold in [Hold::KeepAlive, Hold::Silent].into_iter().cycle().take(PLACES - 1) {
        held.push(crowd.hold(CROWD, hold).await);
    }
    let others = async {
        for number in 0..2 * PLACES {
            crowd.is_served_soon(OTHER, &number.to_string()).await;
            crowd.is_served_soon(CROWD, &number.to_string()).await;
        }
    };
    let (received, ()) = tokio::join!(download_slowly(&mut reader), others);
    assert_eq!(received, LARGE);
}

/// Holds all places with uploads that count as useful, one of each client, and returns when all are under way.
async fn hold_usefully(crowd: &Crowd, source: impl Fn(usize) -> (String, String)) -> Vec<Raw> {
    let mut held = Vec::new();
    for number in 0..PLACES {
        let (source, headers) = source(number);
        let mut client = Raw::connect_from(&source, crowd.address).await;
        let digest = Digest::of(&[u8::try_from(number).unwrap(); 2]);
        client.send(crowd.upload(&format!("{headers}expect: 100-continue\r\n"), digest, 2)).await;
        // From then on the server waits for the body.
        assert_eq!(client.answer().await.status, 100);
        client.send([u8::try_from(number).unwrap()]).await;
        held.push(client);
    }
    held
}

/// No rate is too low, so that an upload that has paused counts as useful for half of the idle time-out.
fn patient(config: &mut Config) {
    config.server.min_rate = "0".parse().unwrap();
    config.server.idle_timeout = "10m".parse().unwrap();
}

/// Waits until the connection that set up the server has ended.
async fn settled(server: &mut TestServer) {
    server.http = larder::client::http_client_builder().no_proxy().pool_max_idle_per_host(0).build().unwrap();
    sleep(Duration::from_millis(500)).await;
}

#[tokio::test]
async fn health_checks_are_answered_when_every_place_is_in_use() {
    let mut server = crowded(patient).await;
    let crowd = Crowd::of(&server).await;
    settled(&mut server).await;
    let mut held = hold_usefully(&crowd, |number| (format!("127.0.1.{}", number + 1), String::new())).await;
    let _silent = attack(&crowd, CROWD, Hold::Silent);
    for path in ["/livez", "/readyz", "/readyz?verbose"] {
        let (answer, took) = crowd.ask(OTHER, path).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        assert!(took < SOON, "{path} took {took:?}");
        assert_eq!(answer.header("connection"), Some("close"), "{answer:?}");
    }
    // Who may not take a place from anybody is refused after a while, in words.
    let (answer, _) = crowd.ask(OTHER, "/manifests").await;
    assert_eq!((answer.status, answer.header("connection")), (503, Some("close")), "{answer:?}");
    assert!(answer.header("retry-after").is_some() && answer.header("x-request-id").is_some(), "{answer:?}");
    assert!(String::from_utf8_lossy(&answer.body).contains("UNAVAILABLE"), "{answer:?}");
    // Nobody lost a place.
    for (number, client) in held.iter_mut().enumerate() {
        client.send([u8::try_from(number).unwrap()]).await;
        assert_eq!(client.answer().await.status, 201, "{number}");
    }
    crowd.is_served_soon(OTHER, "with room").await;
}

#[tokio::test]
async fn a_place_that_becomes_free_is_taken_by_who_waits_for_it() {
    let mut server = crowded(patient).await;
    let crowd = Crowd::of(&server).await;
    settled(&mut server).await;
    let mut held = hold_usefully(&crowd, |number| (format!("127.0.1.{}", number + 1), String::new())).await;
    let waiting = {
        let crowd = crowd.clone();
        tokio::spawn(async move { crowd.ask(OTHER, "/manifests").await.0.status })
    };
    sleep(Duration::from_millis(500)).await;
    assert!(!waiting.is_finished());
    drop(held.pop());
    assert_eq!(waiting.await.unwrap(), 200);
}

#[tokio::test]
async fn clients_behind_a_trusted_proxy_count_one_by_one() {
    const PROXY: &str = "127.0.0.9";
    let forwarded = |number: usize| format!("x-forwarded-for: 203.0.113.250, 198.51.100.{number}, 127.0.0.8\r\n");
    let mut server = crowded(|config| {
        patient(config);
        config.server.trusted_proxies = ["127.0.0.8/31", "10.0.0.0/8"].map(|text| text.parse().unwrap()).into();
    })
    .await;
    let crowd = Crowd::of(&server).await;
    settled(&mut server).await;
    // Each of them has one connection, and all of them are in use.
    let held = hold_usefully(&crowd, |number| (PROXY.to_owned(), forwarded(number))).await;
    assert_eq!(crowd.ask(OTHER, "/manifests").await.0.status, 503);
    drop(held);
    settled(&mut server).await;
    // One client behind the proxy holds all of them.
    let held = hold_usefully(&crowd, |_| (PROXY.to_owned(), forwarded(1))).await;
    crowd.is_served_soon(OTHER, "one client behind the proxy").await;
    drop(held);
    settled(&mut server).await;
    // What anybody else says about other clients means nothing.
    let held = hold_usefully(&crowd, |number| (CROWD.to_owned(), forwarded(number))).await;
    crowd.is_served_soon(OTHER, "an untrusted header").await;
    drop(held);
}

#[tokio::test]
async fn a_server_stops_in_time_while_all_places_are_held() {
    let server = crowded(|config| config.server.drain_timeout = "2s".parse().unwrap()).await;
    let crowd = Crowd::of(&server).await;
    let mut reader = Raw::connect_from(OTHER, server.address).await;
    reader.send(crowd.download()).await;
    let _attack = attack(&crowd, CROWD, Hold::Silent);
    sleep(Duration::from_millis(300)).await;
    let (received, stopped) = tokio::join!(
        async {
            assert_eq!(reader.answer().await.status, 200);
            reader.rest().await.len()
        },
        timeout(Duration::from_secs(15), server.stop())
    );
    stopped.expect("stops in time").unwrap();
    assert!(received > LARGE - (1 << 20), "the download was finished: {received}");
}
