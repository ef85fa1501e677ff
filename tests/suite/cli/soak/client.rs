//! One client of the soak: what it does at random, and what it holds the servers to.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use larder::domain::Digest;
use serde_json::{Value, json};

use super::super::noise;
use super::registry::Pushed;
use super::{COLLECTORS, Dice, NAMES, SERVERS, Soak, StopAll, count};
use crate::support::process::{Reply, exchange};

/// Different files that there are. So few that names share them, and that they come and go.
pub(super) const FILES: usize = 90;
/// Versions that one client keeps pinned. More, and after a while nothing would ever be collected.
const PINS: usize = 2;
/// How often a publish is tried again when blobs are missing.
pub(super) const TRIES: usize = 6;

pub(super) struct Client<'a> {
    pub(super) soak: &'a Soak,
    pub(super) dice: Dice,
    token: String,
    /// What this client pinned, oldest first.
    pinned: VecDeque<(&'static str, u64)>,
    /// What this client pushed last: repositories, manifests, and the digests below.
    pub(super) pushed: VecDeque<Pushed>,
}

/// The bytes of a file.
pub(super) fn file(number: usize) -> Vec<u8> {
    noise([10, 1000, 30_000][number % 3] + number, 1000 + number as u64)
}

impl<'a> Client<'a> {
    pub(super) fn new(soak: &'a Soak, number: usize) -> Self {
        let dice = Dice::new(soak.seed, SERVERS + COLLECTORS + number);
        Self { soak, dice, token: soak.token(), pinned: VecDeque::new(), pushed: VecDeque::new() }
    }

    pub(super) fn run(mut self) {
        let _stop = StopAll(&self.soak.stop);
        while !self.soak.stopped() {
            let name = self.dice.one_of(&NAMES);
            // What is asked of a server that is killed is just not done.
            let _: Option<()> = match self.dice.below(100) {
                0..12 => self.publish(name),
                12..25 => self.push(name),
                25..32 => self.pull(),
                32..36 => self.delete_from_registry(name),
                36..45 => self.publish_in_a_session(name),
                45..70 => self.read(name),
                70..78 => self.change("POST", &format!("/versions/{name}@previous/promote"), &Value::Null),
                78..82 => self.promote(name),
                82..90 => self.pin(name),
                90..95 => self.copy(name),
                95..97 => self.change("DELETE", &format!("/manifests/{name}"), &Value::Null),
                _ => {
                    let number = self.dice.below(FILES);
                    self.upload(&file(number))
                }
            };
        }
    }

    /// Sends a request to some server. `None` when there was no complete answer, or it says to try again later.
    pub(super) fn send(&mut self, method: &str, path: &str, body: &[u8]) -> Option<Reply> {
        // One that is up, if there is one: the others are not disturbed in the middle of anything.
        let ports: Vec<u16> = self.soak.ports.iter().copied().filter(|port| Soak::is_up(*port)).collect();
        let port = if ports.is_empty() { self.soak.ports[0] } else { self.dice.one_of(&ports) };
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let (token, length) = (&self.token, body.len());
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
             content-length: {length}\r\n\r\n"
        );
        let reply = exchange(address, &head, body).ok().filter(|reply| {
            // A head that was cut off has lost its length.
            reply.status == 204 || reply.header("content-length").is_some()
        });
        let Some(reply) = reply.filter(|reply| reply.status != 503) else {
            count(&self.soak.counts.disturbances);
            thread::sleep(Duration::from_millis(2));
            return None;
        };
        assert!(reply.status < 500, "{method} {path}: {}", String::from_utf8_lossy(&reply.body));
        Some(reply)
    }

    fn upload(&mut self, bytes: &[u8]) -> Option<()> {
        let reply = self.send("PUT", &format!("/blobs/{}", Digest::of(bytes)), bytes)?;
        assert!(matches!(reply.status, 200 | 201), "{reply:?}");
        Some(())
    }

    /// Uploads those files that the server says are missing.
    fn upload_missing(&mut self, missing: &Value) -> Option<()> {
        for digest in missing.as_array().expect("a list of digests") {
            let wanted = |number: &usize| Digest::of(&file(*number)).to_string() == *digest;
            // A manifest that is missing is sent with the next try.
            if let Some(number) = (0..FILES).find(wanted) {
                self.upload(&file(number))?;
            }
        }
        Some(())
    }

    /// A manifest of some files. There are so few labels that the same one comes again.
    fn manifest(&mut self) -> Vec<u8> {
        let first = self.dice.below(FILES);
        let count = 1 + self.dice.below(4);
        let artifacts = (first..first + count).map(|number| {
            let bytes = file(number % FILES);
            json!({"name": format!("f{number}"), "blob": Digest::of(&bytes), "size": bytes.len()})
        });
        let artifacts: Vec<Value> = artifacts.collect();
        json!({"version": format!("v{}", self.dice.below(3)), "artifacts": artifacts}).to_string().into_bytes()
    }

    fn acknowledge(&self, name: &'static str, receipt: &Value) {
        count(&self.soak.counts.publishes);
        let digest = receipt["manifest"].as_str().unwrap().parse().unwrap();
        self.soak.acknowledged.lock().unwrap().push((name, receipt["version"].as_u64().unwrap(), digest));
    }

    /// Publishes as a simple pipeline does, and sends what is missing when it is told so.
    fn publish(&mut self, name: &'static str) -> Option<()> {
        let manifest = self.manifest();
        for _ in 0..TRIES {
            let reply = self.send("PUT", &format!("/manifests/{name}"), &manifest)?;
            match reply.status {
                200 | 201 => {
                    self.acknowledge(name, &reply.json());
                    return Some(());
                }
                // Given up by a collector that found it too slow.
                404 => return None,
                409 => {
                    count(&self.soak.counts.refusals);
                    self.upload_missing(&reply.json()["missing"])?;
                }
                _ => panic!("{reply:?}"),
            }
        }
        None
    }

    fn publish_in_a_session(&mut self, name: &'static str) -> Option<()> {
        let manifest = self.manifest();
        let reply = self.send("POST", &format!("/sessions/{name}"), &manifest)?;
        let session = reply.json();
        if reply.status == 200 {
            self.acknowledge(name, &session);
            return Some(());
        }
        assert_eq!(reply.status, 201, "{reply:?}");
        let location = session["location"].as_str().unwrap().to_owned();
        let mut missing = session["missing"].clone();
        for _ in 0..TRIES {
            self.upload_missing(&missing)?;
            if self.dice.below(10) == 0 {
                // A client that goes away, or thinks better of it.
                let gone = self.dice.below(2) == 0;
                return if gone { None } else { self.change("DELETE", &location, &Value::Null) };
            }
            let reply = self.send("PUT", &location, b"")?;
            match reply.status {
                200 | 201 => {
                    self.acknowledge(name, &reply.json());
                    return Some(());
                }
                409 if reply.json()["missing"].is_array() => missing = reply.json()["missing"].clone(),
                // Given up by a collector that found it too slow, or by a client that got the same session.
                404 | 409 | 410 => return None,
                _ => panic!("{reply:?}"),
            }
        }
        None
    }

    /// Asks for a change that may be refused for what the name is like now.
    fn change(&mut self, method: &str, path: &str, body: &Value) -> Option<()> {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let reply = self.send(method, path, &body)?;
        match reply.status {
            200 | 201 | 204 => count(&self.soak.counts.changes),
            404 | 409 | 410 => {}
            _ => panic!("{method} {path}: {} {}", reply.status, String::from_utf8_lossy(&reply.body)),
        }
        Some(())
    }

    /// The number of one of the newest versions.
    fn some_version(&mut self, name: &'static str) -> Option<u64> {
        let history = self.send("GET", &format!("/versions/{name}?limit=6"), b"")?;
        if history.status != 200 {
            return None;
        }
        let history = history.json();
        let rows = history["versions"].as_array().unwrap();
        let numbers: Vec<u64> = rows.iter().map(|row| row["number"].as_u64().unwrap()).collect();
        if numbers.is_empty() { None } else { Some(self.dice.one_of(&numbers)) }
    }

    fn promote(&mut self, name: &'static str) -> Option<()> {
        let number = self.some_version(name)?;
        self.change("POST", &format!("/versions/{name}@{number}/promote"), &Value::Null)
    }

    /// Pins a version, and lets go of the one that was pinned first.
    fn pin(&mut self, name: &'static str) -> Option<()> {
        let number = self.some_version(name)?;
        // Whatever the answer, or none: it may be pinned now.
        self.pinned.push_back((name, number));
        self.change("PUT", &format!("/versions/{name}@{number}/pin"), &Value::Null)?;
        while self.pinned.len() > PINS {
            let (name, number) = self.pinned[0];
            self.change("DELETE", &format!("/versions/{name}@{number}/pin"), &Value::Null)?;
            self.pinned.pop_front();
        }
        Some(())
    }

    fn copy(&mut self, name: &'static str) -> Option<()> {
        let to = self.dice.one_of(&NAMES);
        let reply =
            self.send("POST", &format!("/versions/{name}@active/copy"), json!({"to": to}).to_string().as_bytes())?;
        match reply.status {
            200 | 201 => {
                self.acknowledge(to, &reply.json());
                count(&self.soak.counts.changes);
            }
            404 | 409 | 410 => {}
            _ => panic!("{reply:?}"),
        }
        Some(())
    }

    /// Reads what is active, every byte of it.
    fn read(&mut self, name: &'static str) -> Option<()> {
        let reply = self.send("GET", &format!("/manifests/{name}"), b"")?;
        if matches!(reply.status, 404 | 410) {
            return Some(());
        }
        let version = reply.header("larder-version").expect("the version").to_owned();
        let manifest = reply.json();
        // An image has layers; what an index names is pulled by digest.
        let artifacts = ["artifacts", "layers"].iter().find_map(|member| manifest[member].as_array());
        for artifact in artifacts.into_iter().flatten() {
            let digest = artifact["blob"].as_str().or(artifact["digest"].as_str()).unwrap();
            let blob = self.send("GET", &format!("/blobs/{digest}"), b"")?;
            if blob.status == 404 {
                return self.must_be_retired(name, &version, digest);
            }
            assert_eq!(
                (blob.status, Digest::of(&blob.body).to_string().as_str()),
                (200, digest),
                "of {name}@{version}"
            );
        }
        count(&self.soak.counts.reads);
        Some(())
    }

    /// A version whose blob was not there is retired now, for it is for ever.
    fn must_be_retired(&mut self, name: &str, version: &str, digest: &str) -> Option<()> {
        let path = format!("/versions/{name}@{version}");
        let row = loop {
            match self.send("GET", &path, b"") {
                Some(reply) => break reply,
                None if self.soak.stop.load(Ordering::SeqCst) => return None,
                None => {}
            }
        };
        let row = row.json();
        assert_eq!(row["state"], "retired", "{digest} was not there, but {name}@{version} is to be read: {row}");
        count(&self.soak.counts.overtaken);
        Some(())
    }
}
