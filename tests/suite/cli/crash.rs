//! Servers that are killed at random moments while clients publish.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use larder::domain::Digest;
use serde_json::Value;
use tempfile::TempDir;

use super::{folder, noise};
use crate::support::process::{ServerProcess, larder};

const KILLS: usize = 30;
const NAMES: [&str; 3] = ["main", "team/main", "team/nightly"];
const FILES: [&str; 3] = ["a", "b", "c"];

/// The files of release `number` of a name: different names and numbers share no bytes.
fn release(name: &str, number: usize) -> Vec<(&'static str, Vec<u8>)> {
    FILES
        .iter()
        .map(|file| (*file, [format!("{number} of {name}: {file} ").as_bytes(), &noise(50_000, 7)].concat()))
        .collect()
}

/// What readers get: the number of the release that is complete, each byte of it, or nothing yet.
fn served(server: &ServerProcess, name: &str) -> usize {
    let manifest = server.get(&format!("/manifests/{name}")).unwrap();
    if manifest.status == 404 {
        return 0;
    }
    assert_eq!(manifest.status, 200, "{manifest:?}");
    let manifest = manifest.json();
    let mut numbers = manifest["artifacts"].as_array().unwrap().iter().map(|artifact| blob(server, artifact));
    let number = numbers.next().unwrap();
    assert_eq!((numbers.clone().count(), numbers.all(|other| other == number)), (FILES.len() - 1, true), "{manifest}");
    number
}

/// Reads an artifact's bytes, checks them, and gives the number of the release that they belong to.
fn blob(server: &ServerProcess, artifact: &Value) -> usize {
    let digest = artifact["blob"].as_str().unwrap();
    let reply = server.get(&format!("/blobs/{digest}")).unwrap();
    assert_eq!((reply.status, Digest::of(&reply.body).to_string().as_str()), (200, digest), "{artifact}");
    let text = String::from_utf8_lossy(&reply.body);
    text.split(' ').next().unwrap().parse().unwrap()
}

/// A client that publishes release after release under one name.
struct Publisher {
    name: &'static str,
    /// The last release whose publication was confirmed.
    confirmed: AtomicUsize,
    /// How many of its requests failed.
    disturbances: AtomicUsize,
}

impl Publisher {
    fn new(name: &'static str) -> Self {
        Self { name, confirmed: AtomicUsize::new(0), disturbances: AtomicUsize::new(0) }
    }

    fn run(&self, url: &str, token_file: &Path, stop: &AtomicBool) {
        for number in 1.. {
            let release = release(self.name, number);
            let release: Vec<(&str, &[u8])> = release.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect();
            let files = folder(&release);
            while !self.attempt(&files, url, token_file) {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
            }
            self.confirmed.store(number, Ordering::SeqCst);
            if stop.load(Ordering::SeqCst) {
                return;
            }
        }
    }

    /// One run of a client that tries twice. What it failed to do, the next run does or finds done.
    fn attempt(&self, files: &TempDir, url: &str, token_file: &Path) -> bool {
        let larder = larder(&format!("publish {} . --retries 1 --server {url}", self.name));
        let larder = larder.env("LARDER_TOKEN_FILE", token_file).env("SOURCE_DATE_EPOCH", "0");
        let output = larder.within(files).run();
        self.disturbances.fetch_add(output.stderr.matches("trying again").count(), Ordering::SeqCst);
        assert!(matches!(output.code(), Some(0 | 7)), "{output:#?}");
        output.code() == Some(0)
    }

    /// What was confirmed is there, and nothing beyond what is being published.
    fn check(&self, server: &ServerProcess, confirmed: usize) {
        let number = served(server, self.name);
        let after = self.confirmed.load(Ordering::SeqCst);
        assert!((confirmed..=after + 1).contains(&number), "{}: {confirmed} <= {number} <= {after} + 1", self.name);
    }
}

/// Ends the publishers also when an assertion fails.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn a_server_that_is_killed_loses_nothing_and_never_serves_half_a_release() {
    let mut server = ServerProcess::restartable();
    let (url, token_file, stop) = (server.url(), server.token_file(), AtomicBool::new(false));
    let publishers = NAMES.map(Publisher::new);
    thread::scope(|scope| {
        let _stop = StopAtEnd(&stop);
        for publisher in &publishers {
            scope.spawn(|| publisher.run(&url, &token_file, &stop));
        }
        for _ in 0..KILLS {
            thread::sleep(Duration::from_millis(u64::from(getrandom::u32().unwrap() % 200)));
            let confirmed = publishers.each_ref().map(|publisher| publisher.confirmed.load(Ordering::SeqCst));
            server.restart();
            for (publisher, confirmed) in publishers.iter().zip(confirmed) {
                publisher.check(&server, confirmed);
            }
        }
    });
    let disturbances: usize = publishers.iter().map(|publisher| publisher.disturbances.load(Ordering::SeqCst)).sum();
    assert!(disturbances > KILLS / 5, "only {disturbances} requests failed");
    for publisher in &publishers {
        publisher.check(&server, publisher.confirmed.load(Ordering::SeqCst));
        assert_eq!(server.states(publisher.name)[0], "active");
    }
    super::publish(&server, "afterwards", &[("f", b"1")]);
    larder("verify --data").arg(&server.data).ok();
}
