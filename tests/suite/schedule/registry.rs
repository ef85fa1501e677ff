//! Registry clients under schedules: pushes of images, indexes and referrers by tag and by digest, pulls, deletions of both
//! kinds and rollbacks, beside collectors that retire whatever may be retired.
//!
//! Beside what holds of every version: a manifest is found by its digest only while a complete version of its repository
//! holds it, and always then; what was deleted by its digest is gone unless it was pushed meanwhile.

mod clients;
mod images;
mod systematic;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use jiff::SignedDuration;
use larder::domain::{AnyDigest, Digest, LogName};
use larder::layout::{self, LayoutKey};
use tokio::task::JoinSet;

use self::clients::{Client, Task};
use self::images::{Pushable, images, repository};
use super::clients::Claim;
use super::collectors::{Collector, Kind};
use super::oracle;
use super::plan::Plan;
use super::process::{Process, Servers};
use super::random::Random;
use super::runs::{Ended, Failed, collect, drive_all, drive_world, ended, seeds, words};
use super::world::World;
use crate::support::services::{AsOf, Services, blob};

/// Drives one schedule.
fn drive(seed: u64) -> Result<Ended, Failed> {
    let mut random = Random::new(seed);
    let world = World::new(random.next(), Plan::any(&mut random));
    ended(seed, &world, drive_world(&world, schedule(&world, random)))
}

async fn schedule(world: &Arc<World>, mut random: Random) -> usize {
    let images = images();
    tell(world, &images);
    begin(world, &mut random, &images).await;
    let claims = act(world, &mut random, &images).await;
    end(world, &claims, &images).await;
    claims.len()
}

/// Says what the images consist of, so that it can be seen from outside whether they are whole.
fn tell(world: &World, images: &[Pushable]) {
    for image in images {
        world.with(|store| store.truth.knows(image.digest, image.needs.clone()));
    }
}

/// Pushes a few images before anything goes wrong.
async fn begin(world: &Arc<World>, random: &mut Random, images: &[Pushable]) {
    let first = Process::start(world, "first", SignedDuration::ZERO);
    layout::marker::open(&*first.store).await.expect("mark the layout");
    for _ in 0..random.below(4) {
        let (image, tag) = (random.below(images.len()), random.pick(&images::TAGS));
        images::push_all(&first.services, images, image, Some(tag)).await;
    }
}

async fn act(world: &Arc<World>, random: &mut Random, images: &Arc<Vec<Pushable>>) -> Vec<Claim> {
    let mut skew = || SignedDuration::from_mins(random.pick(&[0, 0, 0, -90, 2000]));
    let skews = vec![skew(), skew()];
    let servers = Arc::new(Servers::start(world, skews));
    let claims = Arc::new(Mutex::new(Vec::new()));
    let mut actors = JoinSet::new();
    for number in 0..random.between(1, 4) {
        let tasks: Vec<Task> = (0..random.between(1, 4)).map(|_| Task::any(random, images.len())).collect();
        let (world, servers, images) = (Arc::clone(world), Arc::clone(&servers), Arc::clone(images));
        let client = Client { number, world, servers, images, claims: Arc::clone(&claims) };
        actors.spawn(client.run(tasks));
    }
    for number in 0..random.between(1, 3) {
        let collector = Collector::any(Kind::Real, random);
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

/// Whatever happened before: everything is sound, pushing and collecting work, and nothing is left that nobody needs.
async fn end(world: &Arc<World>, claims: &[Claim], images: &[Pushable]) {
    world.set_quiet(true);
    let late = world.settle();
    if world.wrong().is_some() {
        return;
    }
    let last = Process::start(world, "last", SignedDuration::ZERO);
    oracle::check(&last.store, &logs(world), claims).await;
    images::push_all(&last.services, images, images::INDEX, Some(images::TAGS[0])).await;
    Collector::quiet(Kind::Real).run(&last).await.expect("nothing disturbs the last collector");
    check_collected(world, &Services::over(&last.store), images).await;
    // Calls of those who are long gone may still take effect.
    for mut late in late {
        world.with(|store| late.0.apply(store));
    }
    world.with(|store| {
        let check = store.truth.all_whole(&store.objects);
        store.check(check);
    });
}

fn keys(world: &World, prefix: &str) -> Vec<larder::store::Key> {
    world.with(|store| store.objects.after(prefix, None).map(|(key, _)| key.clone()).collect())
}

/// All logs, hidden ones among them.
fn logs(world: &World) -> Vec<LogName> {
    let log = |key: &larder::store::Key| match LayoutKey::parse(key) {
        Some(LayoutKey::Head(log, _)) => log,
        other => panic!("{key} is {other:?}"),
    };
    let logs: BTreeSet<LogName> = keys(world, "heads/").iter().map(log).collect();
    logs.into_iter().collect()
}

/// Asserts that complete versions are whole and found by each of their manifests, that nothing else is stored, and that
/// no entry is left of a version that has ended.
async fn check_collected(world: &World, services: &Services, images: &[Pushable]) {
    let (mut needed, mut roots) = (BTreeSet::new(), BTreeSet::new());
    for log in logs(world) {
        let head = services.heads.current(&log).await.expect("read the head").expect("a log that exists");
        for row in services.heads.rows(&head, u64::MAX, usize::MAX).await.expect("read the rows") {
            if row.state.is_root() {
                roots.insert((log.clone(), row.number));
                needed.extend(world.with(|store| store.truth.digests(row.digest()).collect::<Vec<Digest>>()));
            }
            if row.state.is_complete() {
                check_version(world, services, (&log, row.number), row.digest(), images).await;
            }
        }
    }
    oracle::check_stored(world, &needed);
    for key in keys(world, "aux/members/").iter().chain(&keys(world, "aux/referrers/")) {
        let index = if key.as_str().starts_with("aux/members/") { layout::MEMBERS } else { layout::REFERRERS };
        let (_, log, number) = index.parse(key).expect("an entry");
        assert!(roots.contains(&(log.clone(), number)), "{key} is left of a version that has ended");
    }
}

async fn check_version(
    world: &World,
    services: &Services,
    (log, number): (&LogName, u64),
    manifest: Digest,
    images: &[Pushable],
) {
    let digests: Vec<Digest> = world.with(|store| store.truth.digests(manifest).collect());
    for digest in &digests {
        let bytes = blob(services, *digest).await.expect("read").expect("the bytes of a complete version");
        assert_eq!(Digest::of(&bytes), *digest, "of {log}@{number}");
    }
    for image in images.iter().filter(|image| digests.contains(&image.digest)) {
        let how = (AsOf::Now, false);
        let found = services.repositories.by_digest(&repository(), image.digest, how, |_| true).await.expect("look");
        let (_, shown) = found.unwrap_or_else(|| panic!("{log}@{number} is not found by {}", image.digest));
        let bytes = services.repositories.bytes(&shown).await.expect("read").expect("the bytes of a manifest");
        assert_eq!(bytes, image.manifest, "{log}@{number}");
        if let Some(subject) = image.subject {
            let referrers =
                services.repositories.referrers(&repository(), &subject.into(), (None, None), |_| true).await;
            let mut entries = referrers.expect("list the referrers").entries.into_iter();
            assert!(
                entries.any(|entry| entry.digest == AnyDigest::from(image.digest)),
                "{} is no referrer",
                image.digest
            );
        }
    }
    let missing = services.blobs.missing(digests).await.expect("look for blobs");
    assert!(missing.is_empty(), "{log}@{number} relies on doomed bytes: {missing:?}");
}

#[test]
fn whatever_happens_no_image_loses_a_layer() {
    if let Some(failed) = drive_all(seeds(120), drive) {
        panic!("{failed}");
    }
}
