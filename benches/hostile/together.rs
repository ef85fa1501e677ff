//! All attacks at once, beside a publisher and a reader, neither of whom may lose anything.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::attacks::ATTACKS;
use super::bystander;
use super::connection::Attackers;
use super::support::binary;
use super::victim::Victim;

/// Pause of the publisher between two releases.
const BETWEEN: Duration = Duration::from_millis(500);

/// What somebody did beside the attacks.
#[derive(Default)]
struct Tally {
    done: usize,
    failed: usize,
    slowest: Duration,
}

impl Tally {
    fn count(&mut self, began: Instant, result: Result<(), String>) {
        self.slowest = self.slowest.max(began.elapsed());
        match result {
            Ok(()) => self.done += 1,
            Err(why) => {
                self.failed += 1;
                println!("lost: {why}");
            }
        }
    }
}

/// # Panics
/// When a publish or a read was lost, or the store is not well afterwards.
pub(crate) async fn run(time: Duration, one_of: usize) {
    let victim = Arc::new(Victim::start().await);
    let attackers = Attackers::new(one_of);
    for attack in ATTACKS {
        (attack.begin)(&victim, &attackers);
    }
    let until = Instant::now() + time;
    let beside = async { tokio::join!(publisher(&victim, until), reader(&victim, until)) };
    let ((published, read), highest) = victim.highest_mib(beside).await;
    attackers.end();
    println!(
        "\nAll at once for {} s: {} releases published, {} lost, the slowest took {:.1} s; {} whole releases read, {} \
         lost, the slowest took {:.1} s; {highest} MiB resident at most.",
        time.as_secs(),
        published.done,
        published.failed,
        published.slowest.as_secs_f64(),
        read.done,
        read.failed,
        read.slowest.as_secs_f64(),
    );
    verify(&victim).await;
    assert_eq!(published.failed + read.failed, 0, "something was lost");
}

/// The store is well once nobody publishes any more: what is under way may have a head and not be listed yet.
async fn verify(victim: &Victim) {
    let mut is_well = false;
    for _ in 0..20 {
        let verified = Command::new(binary()).args(["verify", "--data"]).arg(victim.data()).status();
        is_well = verified.expect("verify runs").success();
        if is_well {
            break;
        }
        sleep(Duration::from_secs(3)).await;
    }
    assert!(is_well, "the store is not well");
}

async fn publisher(victim: &Victim, until: Instant) -> Tally {
    let client = bystander::client();
    let mut tally = Tally::default();
    while Instant::now() < until {
        let began = Instant::now();
        let result = bystander::publish(victim, &client, "beside", tally.done + tally.failed).await;
        tally.count(began, result);
        sleep(BETWEEN).await;
    }
    tally
}

/// Reads the manifest of the moving name, and then the blob that it names.
async fn reader(victim: &Victim, until: Instant) -> Tally {
    let client = bystander::client();
    let mut tally = Tally::default();
    while Instant::now() < until {
        let began = Instant::now();
        if let Some(result) = read(victim, &client).await.transpose() {
            tally.count(began, result);
        }
        sleep(BETWEEN / 5).await;
    }
    tally
}

/// `None` as long as nothing has been published.
async fn read(victim: &Victim, client: &reqwest::Client) -> Result<Option<()>, String> {
    let url = victim.url();
    let get = async |path: String| -> Result<(u16, Vec<u8>), String> {
        let answer =
            client.get(format!("{url}{path}")).send().await.map_err(|error| format!("GET {path}: {error:?}"))?;
        let status = answer.status().as_u16();
        Ok((status, answer.bytes().await.map_err(|error| format!("GET {path}: {error:?}"))?.to_vec()))
    };
    let (status, document) = get("/manifests/beside".into()).await?;
    if status == 404 {
        return Ok(None);
    }
    let document: Value = serde_json::from_slice(&document).map_err(|error| format!("{status}: {error}"))?;
    let digest = document["artifacts"][0]["blob"].as_str().ok_or_else(|| format!("{status}: {document}"))?.to_owned();
    let (status, bytes) = get(format!("/blobs/{digest}")).await?;
    let whole = status == 200 && larder::domain::Digest::of(&bytes).to_string() == digest;
    if whole { Ok(Some(())) } else { Err(format!("{}", json!({"blob": digest, "status": status}))) }
}
