//! Clients read a channel while it is published to all the time.
//!
//! `version.json`, `FILE.sha256` and `FILE` are three requests. Each answer is of one version, and later answers are never
//! of earlier versions. So a set of answers holds two versions only if the channel moved between two of its requests; at
//! one publish in 200 ms, and sets that take less than that, never three.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use larder::domain::Digest;
use tokio::time::Instant;

use super::*;

/// Time between two publishes.
const PACE: Duration = Duration::from_millis(200);
/// Sets of answers read by default; `LARDER_ASSET_READS` for more.
const READS: usize = 300;
/// Publishes that there must be meanwhile.
const PUBLISHES: usize = 6;
const FILE: &str = "miren-linux-amd64.zip";

/// The file of one version.
fn file(number: usize) -> Vec<(String, Bytes)> {
    vec![(FILE.to_owned(), Bytes::from(format!("version {number}").repeat(1000)))]
}

/// The version that each digest of the file belongs to.
fn versions(count: usize) -> HashMap<String, usize> {
    (0..count).map(|number| (Digest::of(&file(number)[0].1).hex(), number)).collect()
}

/// The versions of the three answers, read in the order of the clients.
async fn read_set(server: &TestServer, versions: &HashMap<String, usize>) -> [usize; 3] {
    let base = "/assets/release/miren/main";
    let listing = server.get(&format!("{base}/version.json")).await.expect(200).json();
    let stated = listing["version"].as_str().unwrap().strip_prefix("main:").unwrap().parse().unwrap();
    let artifacts = listing["artifacts"].as_array().unwrap();
    let entry = artifacts.iter().find(|artifact| artifact["name"] == FILE).unwrap();
    assert_eq!(versions[entry["sha256"].as_str().unwrap()], stated, "version.json is of one version");
    let sum = server.get(&format!("{base}/{FILE}.sha256")).await.expect(200).text();
    let bytes = server.get(&format!("{base}/{FILE}")).await.expect(200).body;
    [stated, versions[sum.split(' ').next().unwrap()], versions[&Digest::of(&bytes).hex()]]
}

async fn publish_version(server: &TestServer, number: usize) {
    for (path, bytes) in puts(&["main"], &format!("main:{number}"), &file(number)) {
        let answer = put(server, &path, &bytes).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_set_of_answers_mixes_more_than_two_versions_that_follow_each_other() {
    let server = Arc::new(start().await);
    let reads = std::env::var("LARDER_ASSET_READS").map_or(READS, |text| text.parse().unwrap());
    let versions = versions(20_000);
    publish_version(&server, 0).await;
    let (done, published) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let pipeline = tokio::spawn({
        let (server, done, published) = (Arc::clone(&server), Arc::clone(&done), Arc::clone(&published));
        async move {
            while !done.load(Ordering::SeqCst) {
                tokio::time::sleep(PACE).await;
                publish_version(&server, published.load(Ordering::SeqCst) + 1).await;
                published.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    let (sets, mixed, slow) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let reader = async || {
        let mut newest = 0;
        while sets.load(Ordering::SeqCst) < reads || published.load(Ordering::SeqCst) < PUBLISHES {
            let began = Instant::now();
            let set = read_set(&server, &versions).await;
            assert!(newest <= set[0] && set[0] <= set[1] && set[1] <= set[2], "{newest} then {set:?}: back in time");
            if began.elapsed() < PACE {
                assert!(set[2] - set[0] <= 1, "{set:?}: more than one swap in {:?}", began.elapsed());
            } else {
                slow.fetch_add(1, Ordering::SeqCst);
            }
            sets.fetch_add(1, Ordering::SeqCst);
            mixed.fetch_add(usize::from(set[0] != set[2]), Ordering::SeqCst);
            newest = set[2];
        }
    };
    tokio::join!(reader(), reader(), reader());
    done.store(true, Ordering::SeqCst);
    pipeline.await.unwrap();
    let [sets, mixed, slow] = [sets, mixed, slow].map(AtomicUsize::into_inner);
    let published = published.load(Ordering::SeqCst);
    eprintln!(
        "{sets} sets, {published} publishes: {mixed} sets with two versions, {slow} that took longer than a pace"
    );
    assert!(mixed <= 3 * (published + 1), "each publish is in at most one set of each reader: {mixed}, {published}");
}
