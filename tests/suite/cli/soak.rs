//! Servers and collectors on one directory or bucket that are killed at random while clients publish, roll back, pin, copy,
//! delete and read, natively and as registry clients do. A few seconds of it in every run of the suite, as long as wanted with
//! `LARDER_SOAK=5m cargo test --release --test suite -- soak --nocapture` (and `LARDER_SOAK_SEED=` what it printed).

mod client;
mod registry;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use larder::domain::{Digest, State};
use larder::layout::LayoutKey;
use larder::store::FsStore;
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::time::Instant;

use crate::support::ceph::Ceph;
use crate::support::deployment::{Deployment, TOKEN};
use crate::support::process::{Larder, Output, free_port, larder, until};
use crate::support::services::{Release, Services, closure, sound};
use crate::support::store::{Store, all_keys, key};
use client::Client;

/// Servers on a directory; on a bucket there is one less.
const SERVERS: usize = 3;
const COLLECTORS: usize = 2;
const CLIENTS: usize = 4;
const NAMES: [&str; 4] = ["fast/a", "fast/b", "kept/a", "kept/b"];
/// The longest time to wait for the floors, where the machine is slow.
const PATIENCE: Duration = Duration::from_secs(120);

/// Collects all the time, and keeps next to nothing.
const CONFIG: &str = r#"
[collector]
interval = "100ms"
min_age = "0s"
reports_for = "30s"

[[names]]
match = ["fast/**"]
keep_last = 0
keep_for = "0s"
staged_for = "0s"
untagged_for = "1s"
prepared_for = "2s"

[[names]]
match = ["**"]
keep_last = 2
keep_for = "1s"
staged_for = "1s"
untagged_for = "2s"
prepared_for = "2s"

[log]
filter = "warn"
"#;

/// Numbers without a pattern, the same ones for a seed.
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    fn new(seed: u64, thread: usize) -> Self {
        let mut dice = Self(seed ^ (thread as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        dice.below(2);
        dice
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from((self.0 >> 11) % bound as u64).unwrap()
    }

    fn time(&mut self, milliseconds: usize) -> Duration {
        Duration::from_millis(self.below(milliseconds) as u64)
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

/// What was counted.
#[derive(Debug, Default)]
struct Counts {
    killed_servers: AtomicUsize,
    killed_collectors: AtomicUsize,
    /// Runs of `larder collect` that came to their end.
    runs: AtomicUsize,
    publishes: AtomicUsize,
    /// Manifests that were pushed by tag or digest.
    pushes: AtomicUsize,
    /// Tags and digests that were deleted.
    deletions: AtomicUsize,
    /// Images of which every byte was read by the digest of the manifest.
    pulls: AtomicUsize,
    /// Publishes that were refused because blobs were missing, and then sent.
    refusals: AtomicUsize,
    /// Rollbacks, promotions, pins, copies and deletions that were made.
    changes: AtomicUsize,
    /// Versions of which every byte was read.
    reads: AtomicUsize,
    /// Readers whose version was retired under them.
    overtaken: AtomicUsize,
    /// Requests that got no answer.
    disturbances: AtomicUsize,
}

fn count(counter: &AtomicUsize) {
    counter.fetch_add(1, Ordering::SeqCst);
}

/// What is never to be forgotten: a name, a version, and its manifest.
type Acknowledged = (&'static str, u64, Digest);

/// Where everything is stored.
enum Place {
    Directory(PathBuf),
    Bucket(Box<Deployment>),
}

struct Soak {
    seed: u64,
    place: Place,
    store: Store,
    config: PathBuf,
    ports: Vec<u16>,
    counts: Counts,
    acknowledged: Mutex<Vec<Acknowledged>>,
    /// Names and manifests that registry clients were told are pushed.
    pushed: Mutex<BTreeSet<(&'static str, Digest)>>,
    stop: AtomicBool,
}

/// Ends all threads when one fails.
struct StopAll<'a>(&'a AtomicBool);

impl Drop for StopAll<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store(true, Ordering::SeqCst);
        }
    }
}

impl Soak {
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    fn pause(&self, time: Duration) {
        let began = Instant::now();
        while began.elapsed() < time && !self.stopped() {
            thread::sleep(Duration::from_millis(5).min(time));
        }
    }

    fn larder(&self, arguments: &str) -> Larder {
        match &self.place {
            Place::Directory(data) => larder(arguments).arg("--config").arg(&self.config).arg("--data").arg(data),
            Place::Bucket(deployment) => deployment.larder(arguments),
        }
    }

    fn is_on_a_bucket(&self) -> bool {
        matches!(self.place, Place::Bucket(_))
    }

    /// The token of the clients.
    fn token(&self) -> String {
        match &self.place {
            Place::Directory(data) => std::fs::read_to_string(data.join("admin.token")).unwrap().trim().to_owned(),
            Place::Bucket(_) => TOKEN.to_owned(),
        }
    }

    fn is_up(port: u16) -> bool {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    }

    /// Starts a server again and again, and kills it at some moment, often before it is up.
    fn serve(&self, number: usize) {
        let _stop = StopAll(&self.stop);
        let (port, mut dice) = (self.ports[number], Dice::new(self.seed, number));
        while !self.stopped() {
            let server = self.larder(&format!("serve --listen 127.0.0.1:{port}")).start();
            // On a bucket it takes longer to be up.
            let life = if self.is_on_a_bucket() { dice.time(9000) } else { dice.time(3000) };
            self.pause(life);
            server.signal(Signal::KILL);
            assert_well(&server.wait(), None);
            count(&self.counts.killed_servers);
        }
    }

    /// Does one run after the other, and kills every third at some moment.
    fn collect(&self, number: usize) {
        let _stop = StopAll(&self.stop);
        let mut dice = Dice::new(self.seed, SERVERS + number);
        while !self.stopped() {
            let run = self.larder("collect --once --json").start();
            if dice.below(3) == 0 {
                self.pause(dice.time(60));
                run.signal(Signal::KILL);
            }
            let output = run.wait();
            assert_well(&output, Some(0));
            count(if output.code().is_some() { &self.counts.runs } else { &self.counts.killed_collectors });
            self.pause(dice.time(50));
        }
    }

    /// Whether enough happened for the run to mean something.
    fn means_something(&self) -> bool {
        // Everything takes longer on a bucket.
        let share = if self.is_on_a_bucket() { 10 } else { 1 };
        let at_least = |counter: &AtomicUsize, least: usize| counter.load(Ordering::SeqCst) >= least / share;
        let counts = &self.counts;
        at_least(&counts.killed_servers, 5)
            && at_least(&counts.killed_collectors, 5)
            && at_least(&counts.runs, 10)
            && at_least(&counts.publishes, 40)
            && at_least(&counts.pushes, 20)
            && at_least(&counts.deletions, 5)
            && at_least(&counts.pulls, 5)
            && at_least(&counts.refusals, 10)
            && at_least(&counts.changes, 20)
            && at_least(&counts.reads, 20)
    }

    fn wait(&self, time: Duration) {
        let began = Instant::now();
        while !self.stopped() && (began.elapsed() < time || !self.means_something()) {
            assert!(began.elapsed() < time + PATIENCE, "too little happened: {:?}", self.counts);
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A process ended by SIGKILL, or else with this code, and never complained.
#[track_caller]
fn assert_well(output: &Output, code: Option<i32>) {
    let killed = output.code().is_none();
    assert!(killed || output.code() == code, "{output:#?}");
    assert!(!output.stderr.contains("ERROR") && !output.stderr.contains("panicked"), "{output:#?}");
}

/// How long the soak is to last.
fn duration() -> Duration {
    let wanted = std::env::var("LARDER_SOAK").ok();
    wanted.map_or(Duration::from_secs(8), |text| humantime::parse_duration(&text).expect("LARDER_SOAK is a time"))
}

fn seed() -> u64 {
    let wanted = std::env::var("LARDER_SOAK_SEED").ok();
    wanted.map_or_else(|| getrandom::u64().unwrap(), |text| text.parse().expect("LARDER_SOAK_SEED is a number"))
}

#[test]
fn soak_of_servers_and_collectors_that_are_killed_at_random() {
    // In memory where that can be had: what SIGKILL leaves does not depend on the disk.
    let memory = std::path::Path::new("/dev/shm");
    let directory = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() }.unwrap();
    let (data, config) = (directory.path().join("data"), directory.path().join("larder.toml"));
    std::fs::write(&config, CONFIG).unwrap();
    let store = Arc::new(FsStore::open(&data).unwrap());
    soak(Place::Directory(data), config, store, SERVERS, 50);
}

#[test]
#[ignore = "needs Ceph: .ci/run installs it and runs this; by hand: cargo test -- --ignored"]
fn soak_of_servers_and_collectors_on_a_real_engine() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let ceph = runtime.block_on(Ceph::start());
    let deployment = Deployment::with(&ceph.settings(), "", CONFIG);
    let store = runtime.block_on(ceph.store());
    soak(Place::Bucket(Box::new(deployment)), PathBuf::new(), store, SERVERS - 1, 5);
    runtime.block_on(ceph.finish());
}

/// Has so many servers for a while, and expects that at least so many blobs were deleted.
#[expect(clippy::print_stderr, reason = "a failure can be repeated, and a long run says what it did")]
fn soak(place: Place, config: PathBuf, store: Store, servers: usize, least: usize) {
    let seed = seed();
    eprintln!("LARDER_SOAK_SEED={seed}");
    let ports = std::iter::repeat_with(free_port).take(servers).collect();
    let (counts, stop) = (Counts::default(), AtomicBool::new(false));
    let (acknowledged, pushed) = (Mutex::default(), Mutex::default());
    let soak = Soak { seed, place, store, config, ports, counts, acknowledged, pushed, stop };
    let first = soak.larder(&format!("serve --listen 127.0.0.1:{}", soak.ports[0])).start();
    until("the first server is up", || Soak::is_up(soak.ports[0]));
    first.signal(Signal::KILL);
    drop(first);
    // A store with a name but no head yet looks damaged to a collector.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let release = Release::new("first", 1);
    runtime.block_on(Services::over(&soak.store).release(NAMES[3], &release)).unwrap();
    thread::scope(|scope| {
        let _stop = StopAll(&soak.stop);
        for number in 0..servers {
            let soak = &soak;
            scope.spawn(move || soak.serve(number));
        }
        for number in 0..COLLECTORS {
            let soak = &soak;
            scope.spawn(move || soak.collect(number));
        }
        for number in 0..CLIENTS {
            let soak = &soak;
            scope.spawn(move || Client::new(soak, number).run());
        }
        soak.wait(duration());
        soak.stop.store(true, Ordering::SeqCst);
    });
    // By then the time of everything that is still prepared is up.
    thread::sleep(Duration::from_millis(2500));
    let collect = soak.larder("collect --once --json --min-age 0s");
    // Servers that were killed while they tried the bucket out have left what they began.
    let output = collect.env("LARDER__COLLECTOR__UPLOADS_FOR", "0s").ok();
    assert_eq!(output.json()["totals"]["lost"], 0, "{output:#?}");
    soak.larder("verify").ok();
    let deleted = runtime.block_on(soak.check());
    eprintln!("{:?}, {deleted} blobs deleted", soak.counts);
    assert!(deleted > least, "only {deleted} blobs were deleted");
}

impl Soak {
    /// Looks at the store when all is over. Returns how many generations of blobs were deleted.
    async fn check(&self) -> usize {
        let store = Arc::clone(&self.store);
        let mut needed = BTreeSet::new();
        for name in NAMES {
            // Every byte is there, has its digest, and may be relied on.
            sound(&store, name).await;
            let rows = Services::over(&store).rows(name).await;
            let published = |row: &&larder::domain::VersionRow| !matches!(row.state, State::Prepared | State::Aborted);
            for (of, number, digest) in self.acknowledged.lock().unwrap().iter().filter(|(of, ..)| *of == name) {
                let row = rows.iter().filter(published).find(|row| row.number == *number);
                assert_eq!(
                    row.map(larder::domain::VersionRow::digest),
                    Some(*digest),
                    "{of}@{number} was acknowledged"
                );
            }
            for (of, digest) in self.pushed.lock().unwrap().iter().filter(|(of, _)| *of == name) {
                assert!(rows.iter().filter(published).any(|row| row.digest() == *digest), "{of} had {digest}");
            }
            needed.extend(needs(&store, &rows).await);
        }
        for log in hidden_logs(&store).await {
            sound(&store, &log).await;
            needed.extend(needs(&store, &Services::over(&store).rows(&log).await).await);
        }
        self.check_blobs(&store, &needed).await
    }

    /// What is stored is what is needed, and nothing else.
    async fn check_blobs(&self, store: &Store, needed: &BTreeSet<Digest>) -> usize {
        let (mut stored, mut condemned) = (BTreeSet::new(), BTreeSet::new());
        for text in all_keys(store).await {
            match LayoutKey::parse(&key(&text)).expect("a known key") {
                LayoutKey::Blob(digest, generation) => drop(stored.insert((digest, generation))),
                LayoutKey::Condemned(digest, generation) => drop(condemned.insert((digest, generation))),
                _ => {}
            }
        }
        assert!(stored.is_disjoint(&condemned), "{:?}", stored.intersection(&condemned));
        let digests: BTreeSet<Digest> = stored.iter().map(|(digest, _)| *digest).collect();
        assert_eq!((&digests, stored.len()), (needed, needed.len()));
        condemned.len()
    }
}

/// The hidden logs, which hold what was pushed by its digest.
async fn hidden_logs(store: &Store) -> BTreeSet<String> {
    let hidden = |text: &String| match LayoutKey::parse(&key(text)) {
        Some(LayoutKey::Head(log, _)) if log.visible().is_none() => Some(log.to_string()),
        _ => None,
    };
    all_keys(store).await.iter().filter_map(hidden).collect()
}

/// The digests that the roots among these versions need.
async fn needs(store: &Store, rows: &[larder::domain::VersionRow]) -> BTreeSet<Digest> {
    let services = Services::over(store);
    let mut needed = BTreeSet::new();
    for row in rows.iter().filter(|row| row.state.is_root()) {
        let closure = closure(&services, row).await;
        // What is prepared may not have its manifest.
        let absent: BTreeSet<Digest> = closure.absent.iter().map(|blob| blob.digest).collect();
        needed.extend(closure.needed.iter().map(|blob| blob.digest).filter(|digest| !absent.contains(digest)));
    }
    needed
}
