//! The loads that write: uploads and whole publishes, and what the machine takes for the same bytes without a server.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use larder::domain::Hasher;
use serde::{Deserialize, Serialize};

use super::cores::Cores;
use super::fixtures::{Blob, IMAGE, Maker, NAME, image};
use super::load::pattern::Digests;
use super::load::plan::{Plan, Report, Until};
use super::options::{Set, Sizes};
use super::process::{Helper, carry_out, run, settle_disk};
use super::reads::Requests;
use super::results::{Cost, Results, Sample, Who, Work, measure, with_latency};
use super::servers::{Kind, Peer, image_path};
use super::support::LARDER;

/// Connections of many small uploads, and of the reads beside a publish.
const CONNECTIONS: usize = 16;
/// Files that `larder publish` transfers at once, if not told otherwise; the registries get as many.
const AT_ONCE: usize = 4;
/// Layers that clients transfer at once.
const LAYERS_AT_ONCE: usize = 3;
/// How often an image is pulled for one sample.
const PULLS: u32 = 5;
/// How long these reads go on before the publish begins.
const HEAD_START: Duration = Duration::from_millis(200);
/// How the machine's own work is called.
pub(crate) const HASH: Who = Who::Floor("(hash)");
pub(crate) const WRITE: Who = Who::Floor("(write, sync)");
pub(crate) const HASH_AND_WRITE: Who = Who::Floor("(hash, write, sync)");

/// What the writing loads need.
pub(crate) struct Writes<'a> {
    pub cores: &'a Cores,
    pub sizes: Sizes,
    pub directory: &'a Path,
    pub peers: &'a [(Peer, Requests)],
}

impl Writes<'_> {
    /// One round of a load at each peer that can do it.
    pub(crate) fn round(&self, work: Work, maker: &mut Maker, results: &mut Results) {
        match work {
            Work::PutHuge => self.put(work, Set { count: 1, size: self.sizes.huge }, 1, maker, results),
            Work::PutMany => self.put(work, self.sizes.puts, CONNECTIONS, maker, results),
            Work::PushImage | Work::PullImage => self.image(work, maker, results),
            Work::PublishTree => self.publish(work, self.sizes.tree, maker, results),
            _ => self.publish(work, self.sizes.release, maker, results),
        }
    }

    fn writers(&self) -> impl Iterator<Item = &(Peer, Requests)> {
        self.peers.iter().filter(|(peer, _)| peer.kind != Kind::Nginx)
    }

    fn put(&self, work: Work, set: Set, connections: usize, maker: &mut Maker, results: &mut Results) {
        let blobs = maker.blobs(set);
        if work == Work::PutHuge {
            let rate = |pass| Sample::of(set.bytes() as f64 / f64::from(1 << 20) / self.floor(&blobs, pass));
            results.add(work, None, HASH, rate(Pass { hash: true, write: false }));
            results.add(work, None, WRITE, rate(Pass { hash: false, write: true }));
        }
        let connections_shown = (connections > 1).then_some(connections);
        for (peer, _) in self.writers().filter(|(peer, _)| work == Work::PutHuge || peer.kind != Kind::Engine) {
            let uploads = blobs.iter().map(|blob| peer.upload(blob)).collect();
            settle_disk(self.directory);
            let plan = Plan::once(peer.address, connections, uploads);
            let sample = measure(work, &peer.process, self.cores, &plan);
            for blob in &blobs {
                peer.forget(&blob.digest);
            }
            results.add(work, connections_shown, Who::Peer(peer.kind), sample);
        }
    }

    fn publish(&self, work: Work, set: Set, maker: &mut Maker, results: &mut Results) {
        let blobs = maker.blobs(set);
        let files = self.directory.join("release");
        fs::create_dir(&files).expect("a new directory");
        for (at, blob) in blobs.iter().enumerate() {
            maker.write(blob, &mut fs::File::create_new(files.join(format!("file-{at}"))).expect("a new file"));
        }
        let tag = blobs[0].digest.hex();
        if work != Work::PublishBesideReads {
            let seconds = self.floor(&blobs, Pass { hash: true, write: true });
            results.add(work, None, HASH_AND_WRITE, Sample::of(seconds));
        }
        for (peer, requests) in self.writers().filter(|(peer, _)| peer.kind != Kind::Engine) {
            settle_disk(self.directory);
            let reads = (work == Work::PublishBesideReads).then(|| {
                let plan = requests.of(Work::GetSmall, CONNECTIONS, Until::Told, peer).expect("every server has blobs");
                let reads = Helper::load(self.cores, &plan);
                thread::sleep(HEAD_START);
                reads
            });
            let ((seconds, reads), cost) = Cost::measure(&peer.process, || {
                let seconds = match peer.kind {
                    Kind::Larder => self.larder(peer, &tag, &files),
                    _ => self.registry(peer, &tag, &blobs),
                };
                (seconds, reads.map(Helper::finish::<Report>))
            });
            let bytes = set.bytes() + reads.as_ref().map_or(0, |reads| reads.all_bytes);
            let sample = cost.sample(seconds, bytes, set.count as u64);
            let sample = reads.map_or(sample, |reads| with_latency(sample, &reads));
            results.add(work, None, Who::Peer(peer.kind), sample);
        }
        fs::remove_dir_all(files).expect("a directory to remove");
    }

    /// Pushes an image over the registry protocol, and pulls it again.
    fn image(&self, work: Work, maker: &mut Maker, results: &mut Results) {
        let layers = maker.blobs(self.sizes.image);
        let manifest = image(&layers).to_string();
        let tag = &layers[0].digest.hex()[..16];
        let bytes = self.sizes.image.bytes();
        for (peer, _) in self.peers.iter().filter(|(peer, _)| peer.kind.takes_images()) {
            let each = |plans: [Plan; 2]| plans.map(|plan| carry_out(self.cores, &plan).seconds).iter().sum::<f64>();
            let push = || {
                let layers = layers.iter().map(|layer| peer.push(layer)).collect();
                let manifest = vec![peer.push_manifest(tag, manifest.clone())];
                each([Plan::once(peer.address, LAYERS_AT_ONCE, layers), Plan::once(peer.address, 1, manifest)])
            };
            let pull = || {
                let accept = [("accept", IMAGE.to_owned())];
                let manifest = peer.ask("GET", &image_path(tag), &accept, 200, Some(manifest.len() as u64));
                let layers = layers.iter().map(|layer| peer.pull(layer)).collect();
                let manifest = Plan::once(peer.address, 1, vec![manifest.into()]);
                each([manifest, Plan::once(peer.address, LAYERS_AT_ONCE, layers)])
            };
            settle_disk(self.directory);
            let (seconds, cost) = Cost::measure(&peer.process, push);
            let (times, (seconds, cost)) = if work == Work::PushImage {
                (1, (seconds, cost))
            } else {
                // The first one brings the layers into memory.
                pull();
                (PULLS, Cost::measure(&peer.process, || (0..PULLS).map(|_| pull()).sum::<f64>()))
            };
            let requests = u64::from(times) * (layers.len() as u64 + 1);
            let sample = cost.sample(seconds / f64::from(times), bytes * u64::from(times), requests);
            results.add(work, None, Who::Peer(peer.kind), sample);
        }
    }

    /// The command that people use: it hashes the files, asks what is missing, uploads, and publishes.
    fn larder(&self, peer: &Peer, tag: &str, files: &Path) -> f64 {
        let mut command = self.cores.load(LARDER);
        command.args(["publish", &format!("{NAME}/{}", &tag[..16])]).arg(files);
        command.env("LARDER_SERVER", format!("http://{}", peer.address)).env("LARDER_TOKEN", &peer.token);
        let since = Instant::now();
        run(&mut command);
        since.elapsed().as_secs_f64()
    }

    /// Uploads and a manifest, by the load generator, which knows all digests beforehand.
    fn registry(&self, peer: &Peer, tag: &str, blobs: &[Blob]) -> f64 {
        let uploads = blobs.iter().map(|blob| peer.upload(blob)).collect();
        let publish = vec![peer.publish(tag, image(blobs).to_string())];
        let blobs = carry_out(self.cores, &Plan::once(peer.address, AT_ONCE, uploads));
        blobs.seconds + carry_out(self.cores, &Plan::once(peer.address, 1, publish)).seconds
    }

    /// The seconds that one process on a core of the servers takes for the same bytes.
    pub(crate) fn floor(&self, blobs: &[Blob], pass: Pass) -> f64 {
        settle_disk(self.directory);
        let blobs = blobs.iter().map(|blob| (blob.length, blob.seed)).collect();
        let plan = Floor { blobs, pass, into: self.directory.join("floor") };
        let command = self.cores.serve(std::env::current_exe().expect("this program"));
        Helper::start(command, "--floor", &serde_json::to_string(&plan).expect("a plan is JSON")).finish()
    }
}

/// Bytes to hash and to write.
#[derive(Debug, Serialize, Deserialize)]
struct Floor {
    /// Lengths and seeds.
    blobs: Vec<(u64, u64)>,
    pass: Pass,
    /// A directory that is made and removed.
    into: PathBuf,
}

/// What is done with them.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Pass {
    pub hash: bool,
    pub write: bool,
}

/// Hashes and writes what standard input says: one file after the other, each synced, and their directory at the end.
/// Returns the seconds.
pub(crate) fn run_floor() -> String {
    let plan: Floor = serde_json::from_reader(std::io::stdin()).expect("a plan on standard input");
    let digests = Digests::new();
    fs::create_dir(&plan.into).expect("a new directory");
    let since = Instant::now();
    for (at, (length, seed)) in plan.blobs.iter().enumerate() {
        if plan.pass.hash {
            let mut hasher = Hashing(Hasher::new());
            digests.write(*length, *seed, &mut hasher).expect("hashing cannot fail");
            std::hint::black_box(hasher.0.finish());
        }
        if plan.pass.write {
            let mut file = fs::File::create_new(plan.into.join(at.to_string())).expect("a new file");
            digests.write(*length, *seed, &mut file).expect("space on the disk");
            file.sync_data().expect("a disk that syncs");
        }
    }
    if plan.pass.write {
        fs::File::open(&plan.into).and_then(|directory| directory.sync_all()).expect("a directory that syncs");
    }
    let seconds = since.elapsed().as_secs_f64();
    fs::remove_dir_all(&plan.into).expect("a directory to remove");
    seconds.to_string()
}

struct Hashing(Hasher);

impl std::io::Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
