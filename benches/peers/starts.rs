//! How long a server takes from its start to its first answer, on a store that is full.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::cores::Cores;
use super::fixtures::TAG;
use super::install::Programs;
use super::plant::{self, Noise};
use super::process::settle_disk;
use super::results::{Results, Sample, Who, Work};
use super::servers::{Kind, Peer};

/// How often a server is asked whether it answers.
const PAUSE: Duration = Duration::from_micros(200);
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of a planted blob.
const SIZE: u64 = 64;
/// A name that the planted store has.
const PLANTED: &str = "/manifests/bench/000000";

/// What is started, and on what.
pub(crate) struct Starts<'a> {
    pub programs: &'a Programs,
    pub cores: &'a Cores,
    /// Larder's store, full.
    planted: PathBuf,
    /// What is measured of the others: their stores as they are, on which their start does not depend.
    pub others: Vec<(Kind, PathBuf)>,
}

impl<'a> Starts<'a> {
    /// Fills a store for Larder with so many blobs.
    pub(crate) fn plant(programs: &'a Programs, cores: &'a Cores, directory: &Path, blobs: u64) -> Self {
        let planted = directory.join("planted");
        plant::plant(&mut plant::Larder::new(&planted), blobs, Noise::new(1, SIZE));
        settle_disk(directory);
        // The first start of all makes a token.
        drop(Peer::start(Kind::Larder, programs, cores, &planted));
        Self { programs, cores, planted, others: Vec::new() }
    }

    /// Starts each server anew.
    pub(crate) fn round(&self, work: Work, results: &mut Results) {
        let path = if work == Work::StartAndRead { PLANTED } else { "/livez" };
        self.start(work, Kind::Larder, &self.planted, path, results);
        for (kind, root) in &self.others {
            let oci = format!("/v2/{}/manifests/{TAG}", super::fixtures::NAME);
            let path = match (work, kind.is_registry()) {
                (Work::StartAndRead, true) => oci,
                (_, true) => "/v2/".to_owned(),
                (_, false) => format!("/manifests/{}/{TAG}", super::fixtures::NAME),
            };
            self.start(work, *kind, root, &path, results);
        }
    }

    fn start(&self, work: Work, kind: Kind, root: &Path, path: &str, results: &mut Results) {
        let since = Instant::now();
        let mut peer = Peer::spawn(kind, self.programs, self.cores, root);
        while !answers(peer.address, path).unwrap_or(false) {
            peer.process.assert_alive();
            assert!(since.elapsed() < PATIENCE, "{} does not answer {path}", kind.name());
            thread::sleep(PAUSE);
        }
        let sample = Sample {
            memory: Some(peer.process.memory() as f64 / 1024.0),
            ..Sample::of(since.elapsed().as_secs_f64() * 1e3)
        };
        results.add(work, None, Who::Peer(kind), sample);
    }
}

/// Whether the server answers this with 200.
fn answers(address: SocketAddr, path: &str) -> io::Result<bool> {
    let mut stream = TcpStream::connect(address)?;
    let accept = super::fixtures::IMAGE;
    let head = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\naccept: {accept}, */*\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer.starts_with(b"HTTP/1.1 200"))
}
