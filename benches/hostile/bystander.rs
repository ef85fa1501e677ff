//! Somebody who only wants to download, or to publish.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use larder::domain::Digest;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio::time::{Instant, sleep, timeout};

use super::attacks::Beside;
use super::connection::BYSTANDER;
use super::victim::{Victim, manifest};

/// Pause between two requests.
const PAUSE: Duration = Duration::from_millis(10);
/// When a bystander gives up.
const GIVE_UP: Duration = Duration::from_secs(60);
/// Size of what is published, in bytes.
const PUBLISHED: usize = 64 << 10;

/// How long requests took.
#[derive(Debug, Default)]
pub(crate) struct Latencies {
    sorted: Vec<Duration>,
    pub failed: usize,
}

impl Latencies {
    pub(crate) fn requests(&self) -> usize {
        self.sorted.len() + self.failed
    }

    pub(crate) fn p50(&self) -> Duration {
        self.at(50)
    }

    pub(crate) fn p99(&self) -> Duration {
        self.at(99)
    }

    fn at(&self, percent: usize) -> Duration {
        self.sorted.get(self.sorted.len() * percent / 100).copied().unwrap_or(GIVE_UP)
    }
}

/// Reads or publishes for some time, over new connections.
pub(crate) async fn watch(victim: &Victim, who: Beside, time: Duration) -> Latencies {
    let client = client();
    let mut latencies = Latencies::default();
    let until = Instant::now() + time;
    for round in 0.. {
        if Instant::now() >= until {
            break;
        }
        let began = Instant::now();
        let done = match who {
            Beside::Reader => fetch(victim, round).await.map_err(|error| error.to_string()),
            Beside::Writer => publish(victim, &client, "writer", round + seed()).await,
        };
        match done {
            Ok(()) => latencies.sorted.push(began.elapsed()),
            Err(_) => latencies.failed += 1,
        }
        sleep(PAUSE).await;
    }
    latencies.sorted.sort();
    latencies
}

/// Makes what is published differ from one measurement to the next.
fn seed() -> usize {
    let nanoseconds = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
    usize::try_from(nanoseconds % (1 << 62)).unwrap_or_default()
}

/// A client that comes from the bystanders' address, with a new connection for each request.
pub(crate) fn client() -> reqwest::Client {
    let client = larder::client::http_client_builder().no_proxy().pool_max_idle_per_host(0);
    client.local_address(Some(BYSTANDER.into())).timeout(GIVE_UP).build().expect("a client")
}

/// Fetches the manifest or the blob, and fails unless the whole answer is there.
async fn fetch(victim: &Victim, round: usize) -> io::Result<()> {
    let address: SocketAddr = victim.address().parse().map_err(io::Error::other)?;
    let path = if round.is_multiple_of(2) { "/manifests/main".into() } else { format!("/blobs/{}", victim.small) };
    let fetching = async {
        let socket = TcpSocket::new_v4()?;
        socket.bind((BYSTANDER, 0).into())?;
        let mut stream = socket.connect(address).await?;
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok::<_, io::Error>(answer)
    };
    let answer = timeout(GIVE_UP, fetching).await??;
    let head = answer.windows(4).position(|window| window == b"\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let text = String::from_utf8_lossy(&answer[..head]).to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let whole = length.is_none_or(|length: usize| answer.len() == head + 4 + length);
    if text.starts_with("http/1.1 200") && whole { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// Publishes a release of one file: asks, uploads it in one of the two ways, and puts the manifest.
pub(crate) async fn publish(victim: &Victim, client: &reqwest::Client, name: &str, round: usize) -> Result<(), String> {
    let mut bytes = vec![3; PUBLISHED];
    bytes[..8].copy_from_slice(&round.to_be_bytes());
    let digest = Digest::of(&bytes);
    let send = async |request: reqwest::RequestBuilder, what: &str| {
        let answer = request.bearer_auth(victim.token()).send().await.map_err(|error| format!("{what}: {error:?}"))?;
        let (status, text) = (answer.status(), answer.text().await.map_err(|error| format!("{what}: {error:?}"))?);
        if status.is_success() { Ok(()) } else { Err(format!("{what}: {status} {text}")) }
    };
    let url = victim.url();
    let question = json!({"digests": [digest.to_string()]});
    send(client.post(format!("{url}/blobs/missing")).body(question.to_string()), "missing").await?;
    let upload = if round.is_multiple_of(2) {
        client.put(format!("{url}/blobs/{digest}"))
    } else {
        client.post(format!("{url}/uploads?digest={digest}")).header("upload-complete", "?1")
    };
    send(upload.body(bytes), "upload").await?;
    let document = manifest(digest, PUBLISHED, 1).to_string();
    send(client.put(format!("{url}/manifests/{name}")).body(document), "manifest").await
}
