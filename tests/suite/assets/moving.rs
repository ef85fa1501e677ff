//! Clients read a channel while it is published to all the time.
//!
//! `version.json`, `FILE.sha256` and `FILE` are three requests. Each answer is of one version, and later answers are never
//! of earlier versions. So a set of answers holds two versions only if the channel moved between two of its requests; at
//! one publish in 200 ms, and sets that take less than that, never three.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use larder::domain::Digest;

use super::*;

/// Time between two publishes.
const PACE: Duration = Duration::from_millis(200);
/// Sets of answers read by default; `LARDER_ASSET_READS` for more.
const READS: usize = 300;
const FILE: &str = "miren-linux-amd64.zip";

/// The version that each digest of the file belongs to.
fn versions(count: usize) -> HashMap<String, usize> {
    let file = |number: usize| {
        let files = build(&format!("main:{number}"));
        let (_, bytes) = files.into_iter().find(|(name, _)| name == FILE).unwrap();
        (Digest::of(&bytes).hex(), number)
    };
    (0..count).map(file).collect()
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

#[tokio::test(flavor = "multi_thread")]
async fn no_set_of_answers_mixes_more_than_two_versions_that_follow_each_other() {
    let server = Arc::new(start().await);
    let reads = std::env::var("LARDER_ASSET_READS").map_or(READS, |text| text.parse().unwrap());
    let versions = Arc::new(versions(2000));
    publish(&server, "main", "main:0").await;
    let done = Arc::new(AtomicBool::new(false));
    let publisher = tokio::spawn({
        let (server, done) = (Arc::clone(&server), Arc::clone(&done));
        async move {
            let mut number = 0;
            while !done.load(Ordering::SeqCst) && number < 1999 {
                number += 1;
                let files = build(&format!("main:{number}"));
                // All but the last ahead of time: what counts is the moment of the swap.
                for (path, bytes) in puts(&["main"], &format!("main:{number}"), &files) {
                    if path.ends_with("version.json") {
                        tokio::time::sleep(PACE).await;
                    }
                    put(&server, &path, &bytes).await;
                }
            }
            number
        }
    });
    let (mixed, slow) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let reader = async |count: usize| {
        let mut newest = 0;
        for _ in 0..count {
            let began = Instant::now();
            let set = read_set(&server, &versions).await;
            assert!(newest <= set[0] && set[0] <= set[1] && set[1] <= set[2], "{newest} then {set:?}: back in time");
            if began.elapsed() < PACE {
                assert!(set[2] - set[0] <= 1, "{set:?}: more than one swap in {:?}", began.elapsed());
            } else {
                slow.fetch_add(1, Ordering::SeqCst);
            }
            mixed.fetch_add(usize::from(set[0] != set[2]), Ordering::SeqCst);
            newest = set[2];
        }
    };
    futures_util::future::join_all((0..3).map(|_| reader(reads / 3))).await;
    done.store(true, Ordering::SeqCst);
    let published = publisher.await.unwrap();
    let (mixed, slow) = (mixed.into_inner(), slow.into_inner());
    println!(
        "{reads} sets, {published} publishes: {mixed} sets with two versions, {slow} that took longer than a pace"
    );
    assert!(published > 1 && mixed < reads / 2, "{mixed} of {reads} sets in {published} publishes");
}
