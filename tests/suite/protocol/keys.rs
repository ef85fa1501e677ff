//! The key ring, and the marks of tokens that were used or revoked.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use larder::clock::ManualClock;
use larder::protocol::{DerivedKey, KeyRing, TokenMark, TokenMarks};
use larder::store::StoreErrorKind;

use crate::support::faulty::{FaultyStore, Op, Rule};
use crate::support::store::*;

const PURPOSE: &str = "test";

fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

struct Ring {
    disk: FsBackend,
    clock: Arc<ManualClock>,
}

impl Ring {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::new("2026-07-01T12:00:00Z".parse().unwrap()));
        Self { disk: FsBackend::new(), clock }
    }

    /// As a server has it.
    fn open(&self) -> KeyRing {
        KeyRing::new(self.disk.store(), self.clock.clone())
    }
}

async fn signing(ring: &KeyRing) -> String {
    ring.signing(PURPOSE).await.unwrap().id
}

async fn knows(ring: &KeyRing, id: &str) -> bool {
    ring.verifying(id, PURPOSE).await.unwrap().is_some()
}

#[tokio::test]
async fn servers_that_race_for_the_first_key_agree_on_one() {
    let world = Ring::new();
    let rings: Vec<_> = (0..8).map(|_| world.open()).collect();
    let ids = futures_util::future::join_all(rings.iter().map(signing)).await;
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert!(knows(&world.open(), &ids[0]).await);
    let (one, other) = (rings[0].signing("one").await.unwrap(), rings[0].signing("other").await.unwrap());
    assert_eq!(one.id, other.id);
    assert_ne!(one.secret, other.secret, "each purpose has a key of its own");
    assert_eq!(one.secret, world.open().signing("one").await.unwrap().secret, "and every server the same");
    assert!(!format!("{one:?} {:?}", rings[0]).contains(&hex::encode(one.secret)), "{one:?}");
}

#[tokio::test]
async fn keys_are_replaced_without_a_moment_in_which_a_server_does_not_know_one() {
    let world = Ring::new();
    let (one, other) = (world.open(), world.open());
    let first = signing(&one).await;
    assert!(knows(&other, &first).await);
    world.clock.advance(hours(30 * 24));
    assert_eq!(signing(&one).await, first, "a new key signs only once every server has read it");
    assert!(knows(&other, &first).await);
    world.clock.advance(SignedDuration::from_mins(2));
    let second = signing(&one).await;
    assert_ne!(second, first);
    assert!(knows(&other, &second).await && knows(&other, &first).await);
    world.clock.advance(hours(47));
    assert!(knows(&one, &first).await, "what it signed lives for a while");
    world.clock.advance(hours(1));
    assert!(!knows(&one, &first).await && knows(&one, &second).await);
}

#[tokio::test]
async fn a_key_that_nobody_has_costs_a_look_now_and_then() {
    let world = Ring::new();
    let faulty = FaultyStore::over(&world.disk.store());
    let ring = KeyRing::new(faulty.store(), world.clock.clone());
    signing(&ring).await;
    faulty.reset();
    for number in 0..100 {
        assert!(!knows(&ring, &format!("invented{number}")).await);
    }
    assert_eq!(faulty.total(), 0, "what was read is new enough");
    world.clock.advance(SignedDuration::from_secs(6));
    for number in 0..100 {
        assert!(!knows(&ring, &format!("invented{number}")).await);
    }
    assert!(faulty.total() <= 2, "{}", faulty.total());
}

#[tokio::test]
async fn a_ring_whose_making_is_reported_lost_is_found_again() {
    let world = Ring::new();
    let faulty = FaultyStore::over(&world.disk.store());
    faulty.script(Rule::on(Op::Create).key("aux/keys").nth(1).lose_reply());
    let ring = KeyRing::new(faulty.store(), world.clock.clone());
    let id = signing(&ring).await;
    assert_eq!(signing(&world.open()).await, id);
}

#[tokio::test]
async fn a_mark_is_set_once_even_where_its_reply_is_lost() {
    let disk = FsBackend::new();
    let faulty = FaultyStore::over(&disk.store());
    let marks = TokenMarks::new(faulty.store());
    assert!(!marks.is_set(TokenMark::Used, "ab").await.unwrap());
    faulty.script(Rule::on(Op::Create).key("tmp/jti").nth(1).lose_reply());
    assert!(marks.set(TokenMark::Used, "ab").await.unwrap(), "it is one's own");
    assert!(!marks.set(TokenMark::Used, "ab").await.unwrap());
    assert!(marks.is_set(TokenMark::Used, "ab").await.unwrap());
    assert!(!marks.is_set(TokenMark::Revoked, "ab").await.unwrap(), "the kinds are apart");
    faulty.script(Rule::on(Op::Create).key("tmp/revoked").fail());
    marks.set(TokenMark::Revoked, "cd").await.unwrap_err();
    let illegal = marks.set(TokenMark::Used, "../x").await.unwrap_err();
    assert_eq!(illegal.kind, StoreErrorKind::Internal);
}

#[tokio::test]
async fn marks_go_once_no_token_counts_that_they_are_about() {
    let disk = FsBackend::new();
    let marks = TokenMarks::new(disk.store());
    for (mark, id) in [(TokenMark::Used, "ab"), (TokenMark::Used, "cd"), (TokenMark::Revoked, "ef")] {
        marks.set(mark, id).await.unwrap();
    }
    let now: Timestamp = larder::clock::Clock::now(&larder::clock::SystemClock);
    assert_eq!(marks.forget_old(now + hours(25)).await.unwrap(), 0);
    assert!(marks.is_set(TokenMark::Used, "ab").await.unwrap());
    assert_eq!(marks.forget_old(now + hours(27)).await.unwrap(), 3);
    assert!(!marks.is_set(TokenMark::Used, "ab").await.unwrap());
}

#[tokio::test]
async fn a_key_that_others_know_stays_the_same_while_others_are_replaced() {
    let world = Ring::new();
    let rings: Vec<_> = (0..4).map(|_| world.open()).collect();
    let keys = futures_util::future::join_all(rings.iter().map(|ring| ring.lasting("tuf:a"))).await;
    let only = |keys: &[DerivedKey]| {
        assert_eq!(keys.len(), 1);
        keys[0].secret
    };
    let secret = only(keys[0].as_ref().unwrap());
    assert!(keys.iter().all(|key| only(key.as_ref().unwrap()) == secret), "all servers have the same");
    assert_ne!(only(&rings[0].lasting("tuf:b").await.unwrap()), secret, "each purpose has a key of its own");
    let first = signing(&rings[1]).await;
    world.clock.advance(SignedDuration::from_secs(6));
    assert!(knows(&rings[2], &first).await);
    assert!(!knows(&rings[2], &keys[0].as_ref().unwrap()[0].id).await, "it verifies nothing of Larder's own");
    for _ in 0..4 {
        world.clock.advance(hours(31 * 24));
        signing(&world.open()).await;
    }
    assert_ne!(signing(&world.open()).await, first);
    for ring in [&rings[0], &world.open()] {
        assert_eq!(only(&ring.lasting("tuf:a").await.unwrap()), secret);
    }
}

#[tokio::test]
async fn a_key_that_others_know_is_replaced_by_hand_and_the_earlier_ones_stay() {
    let world = Ring::new();
    let (server, other, operator) = (world.open(), world.open(), world.open());
    let ids = async |ring: &KeyRing| -> Vec<String> {
        ring.lasting("tuf:a").await.unwrap().into_iter().map(|key| key.id).collect()
    };
    let first = ids(&server).await;
    assert_eq!(ids(&other).await, first);
    let added = operator.add_lasting().await.unwrap();
    world.clock.advance(SignedDuration::from_secs(6));
    for ring in [&server, &other, &operator] {
        assert_eq!(ids(ring).await, [added.clone(), first[0].clone()], "the newest first, everywhere");
    }
    for _ in 0..9 {
        operator.add_lasting().await.unwrap();
        signing(&server).await;
    }
    world.clock.advance(SignedDuration::from_secs(6));
    let kept = ids(&server).await;
    assert_eq!(kept.len(), 8);
    assert!(!kept.contains(&added) && !kept.contains(&first[0]));
}
