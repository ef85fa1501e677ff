//! Schedules, from their seed to their end.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::FutureExt as _;
use jiff::SignedDuration;
use larder::domain::{Digest, LogName};
use larder::layout;
use tokio::task::JoinSet;

use super::clients::{Claim, Client, NAMES, Task};
use super::collectors::{Collector, End, Kind};
use super::naive::Flaw;
use super::oracle;
use super::plan::Plan;
use super::process::{Process, Servers};
use super::random::Random;
use super::world::World;
use crate::support::services::{Release, activate, name};

/// A schedule that went wrong.
#[derive(Debug)]
pub struct Failed {
    pub seed: u64,
    pub why: String,
    pub trace: Vec<String>,
}

/// How a schedule went.
pub struct Ended {
    pub trace: Vec<String>,
    /// How many changes clients were told of.
    pub claims: usize,
}

/// Releases that share their files, and one of which has another's manifest among them.
pub fn releases() -> Arc<Vec<Release>> {
    let file = |at: usize| (format!("f{at}"), Bytes::from(format!("the bytes of file {at}")));
    let release = |label: &str, files: &[usize]| Release {
        label: label.into(),
        files: files.iter().map(|at| file(*at)).collect(),
    };
    let mut all = vec![
        release("r0", &[0, 1]),
        release("r1", &[1, 2]),
        release("r2", &[0, 2, 3]),
        release("r3", &[3]),
        release("r4", &[0, 1, 2, 3]),
    ];
    let manifest = all[3].manifest();
    all[1].files.push(("manifest".into(), manifest));
    Arc::new(all)
}

/// Drives one schedule.
pub fn drive(seed: u64, kind: Kind) -> Result<Ended, Failed> {
    let mut random = Random::new(seed);
    let world = World::new(random.next(), Plan::any(&mut random));
    ended(seed, &world, drive_world(&world, schedule(&world, random, kind)))
}

/// The end of a schedule in which clients were told so many changes.
pub fn ended(seed: u64, world: &World, claims: Result<usize, String>) -> Result<Ended, Failed> {
    let trace = world.trace();
    match claims {
        Ok(claims) => Ok(Ended { trace, claims }),
        Err(why) => Err(Failed { seed, why, trace }),
    }
}

/// Lets everything in a world happen. An error says what went wrong.
pub fn drive_world<T>(world: &Arc<World>, everything: impl Future<Output = T>) -> Result<T, String> {
    let turns = Arc::clone(world);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .on_thread_park(move || turns.turn())
        .build()
        .expect("build a runtime");
    let ended = runtime.block_on(async {
        tokio::select! {
            biased;
            () = world.stop.cancelled() => None,
            ended = AssertUnwindSafe(everything).catch_unwind() => Some(ended),
        }
    });
    match (world.wrong(), ended) {
        (Some(why), _) => Err(why),
        (None, Some(ended)) => ended.map_err(|panic| words(&*panic)),
        (None, None) => unreachable!("it is only stopped when something is wrong"),
    }
}

/// What somebody said who panicked.
pub fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

async fn schedule(world: &Arc<World>, mut random: Random, kind: Kind) -> usize {
    let releases = releases();
    world.with(|store| store.truth.withdrawals = kind == Kind::Naive(Flaw::WithdrawsTombstones));
    tell(world, &releases);
    begin(world, &mut random, &releases).await;
    let claims = act(world, &mut random, &releases, kind).await;
    let kind = if kind == Kind::Real { kind } else { Kind::Naive(Flaw::None) };
    end(world, &claims, &random.pick(&releases), &Collector::quiet(kind)).await;
    claims.len()
}

/// Says what the releases consist of, so that it can be seen from outside whether they are whole.
pub fn tell(world: &World, releases: &[Release]) {
    for release in releases {
        let blobs = release.files.iter().map(|(_, bytes)| Digest::of(bytes)).collect();
        world.with(|store| store.truth.knows(release.digest(), blobs));
    }
}

/// Whatever happened before: everything is sound, publishing and collecting work, and nothing is left that nobody needs.
pub async fn end(world: &Arc<World>, claims: &[Claim], release: &Release, collector: &Collector) {
    world.set_quiet(true);
    let late = world.settle();
    if world.wrong().is_some() {
        return;
    }
    let last = Process::start(world, "last", SignedDuration::ZERO);
    let names = NAMES.map(|of| LogName::from(name(of)));
    oracle::check(&last.store, &names, claims).await;
    last.services.release(NAMES[0], release).await.expect("publishing still works");
    collector.run(&last).await.expect("nothing disturbs the last collector");
    oracle::check_collected(world, &last.store).await;
    // Calls of those who are long gone may still take effect.
    for mut late in late {
        world.with(|store| late.0.apply(store));
    }
    world.with(|store| {
        let check = store.truth.all_whole(&store.objects);
        store.check(check);
    });
}

/// Publishes a few versions before anything goes wrong.
async fn begin(world: &Arc<World>, random: &mut Random, releases: &[Release]) {
    let first = Process::start(world, "first", SignedDuration::ZERO);
    layout::marker::open(&*first.store).await.expect("mark the layout");
    for _ in 0..random.below(4) {
        let (to, release) = (random.pick(&NAMES), random.pick(releases));
        first.services.upload_all(&release).await.expect("upload");
        first.services.publish_only(to, &release, activate()).await.expect("publish");
    }
}

/// Everybody does what they do, until all are done.
async fn act(world: &Arc<World>, random: &mut Random, releases: &Arc<Vec<Release>>, kind: Kind) -> Vec<Claim> {
    let mut skew = || SignedDuration::from_mins(random.pick(&[0, 0, 0, -90, 2000]));
    let skews = vec![skew(), skew()];
    let servers = Arc::new(Servers::start(world, skews));
    let claims = Arc::new(Mutex::new(Vec::new()));
    let mut actors = JoinSet::new();
    for number in 0..random.between(1, 4) {
        let tasks: Vec<Task> = (0..random.between(1, 4)).map(|_| Task::any(random, releases)).collect();
        let (servers, releases) = (Arc::clone(&servers), Arc::clone(releases));
        let client = Client { number, world: Arc::clone(world), servers, releases, claims: Arc::clone(&claims) };
        actors.spawn(client.run(tasks));
    }
    for number in 0..random.between(1, 3) {
        let collector = Collector::any(kind, random);
        actors.spawn(collect(Arc::clone(world), 100 + number, random.between(1, 3), collector));
    }
    world.set_quiet(false);
    while let Some(ended) = actors.join_next().await {
        if let Err(error) = ended {
            world.report(error.try_into_panic().map_or_else(|error| error.to_string(), |panic| words(&*panic)));
        }
    }
    claims.lock().unwrap().clone()
}

/// Runs of a collector, each in a process of its own.
pub async fn collect(world: Arc<World>, number: usize, runs: usize, collector: Collector) {
    for _ in 0..runs {
        let process = Process::start(&world, "collector", collector.skew);
        world.note(&format!("      collector {number}: begins {collector:?}"));
        match process.serve(&world, number, collector.run(&process)).await {
            Some(Ok(())) => world.note(&format!("      collector {number}: is done")),
            Some(Err(End::Failed(why))) => world.note(&format!("      collector {number}: gives up: {why}")),
            Some(Err(End::Wrong(why))) => world.report(format!("collector {number}: {why}")),
            None => world.note(&format!("      collector {number}: is dead")),
        }
    }
}

/// Drives the schedules of these seeds on two threads. The first that goes wrong is returned.
pub fn drive_all(seeds: std::ops::Range<u64>, drive: impl Fn(u64) -> Result<Ended, Failed> + Sync) -> Option<Failed> {
    let next = std::sync::atomic::AtomicU64::new(seeds.start);
    let found: Mutex<Option<Failed>> = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while found.lock().unwrap().is_none() {
                    let seed = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    if seed >= seeds.end {
                        break;
                    }
                    if let Err(failed) = drive(seed) {
                        found.lock().unwrap().get_or_insert(failed);
                    }
                }
            });
        }
    });
    found.into_inner().unwrap()
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for line in &self.trace {
            writeln!(f, "{line}")?;
        }
        writeln!(f, "seed {}: {}", self.seed, self.why)?;
        write!(f, "again: LARDER_SEED={} cargo test --test suite -- schedule", self.seed)
    }
}

/// A schedule for each of these seeds. Panics with the first that goes wrong.
fn assert_sound(seeds: std::ops::Range<u64>, kind: Kind) {
    if let Some(failed) = drive_all(seeds, |seed| drive(seed, kind)) {
        panic!("{failed}");
    }
}

/// The seeds that are asked for, or so many.
pub fn seeds(usual: u64) -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let seeds = match (number("LARDER_SEED"), number("LARDER_SCHEDULES")) {
        (Some(seed), _) => seed..seed + 1,
        (None, count) => 0..count.unwrap_or(usual),
    };
    eprintln!("schedules with the seeds {seeds:?}");
    seeds
}

#[test]
fn whatever_happens_no_version_loses_a_byte() {
    assert_sound(seeds(600), Kind::Real);
}

#[test]
fn a_collector_made_of_plain_calls_is_as_safe() {
    assert_sound(0..100, Kind::Naive(Flaw::None));
}

#[test]
fn a_seed_is_a_schedule() {
    let mut claims = 0;
    for seed in 0..12 {
        let [first, second] = [(); 2].map(|()| drive(seed, Kind::Real).unwrap());
        assert_eq!(first.claims, second.claims, "seed {seed}");
        claims += first.claims;
        let (first, second) = (first.trace, second.trace);
        assert!(first.len() > 20, "seed {seed}: {first:?}");
        let differs = first.iter().zip(&second).find(|(one, other)| one != other);
        assert_eq!((differs, first.len()), (None, second.len()), "seed {seed}");
    }
    assert!(claims > 12, "clients were told of only {claims} changes");
}

#[test]
fn every_mistake_of_a_collector_is_found() {
    for flaw in [
        Flaw::NoSecondMark,
        Flaw::DeletesBeforeCopying,
        Flaw::WithdrawsTombstones,
        Flaw::TakesErrorsForAbsence,
        Flaw::ForgetsPrepared,
    ] {
        let failed = drive_all(0..2000, |seed| drive(seed, Kind::Naive(flaw)))
            .unwrap_or_else(|| panic!("{flaw:?} costs nothing"));
        eprintln!("{flaw:?} is found with seed {}: {}", failed.seed, failed.why);
        assert!(failed.why.contains(" lost ") || failed.why.contains("lacks"), "{flaw:?}: {}", failed.why);
    }
}
