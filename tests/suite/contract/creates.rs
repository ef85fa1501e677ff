//! Creating small objects: once, by exactly one.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;
use larder::store::Created;
use tokio::sync::Barrier;

use larder::clock::{Clock as _, SystemClock};

use crate::support::store::*;

contract!(a_created_object_can_be_looked_at_and_read, |store| async {
    put(&store, "some/where/deep", "hello").await;
    let meta = store.head(&key("some/where/deep")).await.unwrap().unwrap();
    assert_eq!((meta.key, meta.size), (key("some/where/deep"), 5));
    assert_eq!(read(&store, "some/where/deep").await.unwrap(), "hello");
});

contract!(an_object_is_dated_by_the_store, |store| async {
    let started = SystemClock.now();
    put(&store, "a", "").await;
    let meta = store.head(&key("a")).await.unwrap().unwrap();
    let off = meta.modified.duration_since(started).abs();
    assert!(off < jiff::SignedDuration::from_mins(5), "{} was created at {started}", meta.modified);
});

contract!(an_empty_object_is_an_object, |store| async {
    put(&store, "empty", "").await;
    assert_eq!(store.head(&key("empty")).await.unwrap().unwrap().size, 0);
    assert_eq!(read(&store, "empty").await.unwrap(), "");
});

contract!(a_second_create_keeps_the_first_bytes, |store| async {
    put(&store, "a/b", "first").await;
    for bytes in ["second", "", "first"] {
        assert_eq!(create(&store, "a/b", bytes).await, Created::AlreadyExists);
    }
    assert_eq!(read(&store, "a/b").await.unwrap(), "first");
});

contract!(racing_creates_have_one_winner_whose_bytes_stay, |store| async {
    const TASKS: usize = 32;
    for round in 0..20 {
        let (name, start) = (format!("race/{round}"), Arc::new(Barrier::new(TASKS)));
        let racers = (0..TASKS).map(|racer| {
            let (store, name, start) = (Arc::clone(&store), name.clone(), Arc::clone(&start));
            tokio::spawn(async move {
                start.wait().await;
                let created = create(&store, &name, format!("racer {racer}")).await;
                // Whoever is told that the object exists can read it at once.
                (created, racer, read(&store, &name).await.expect("visible to every racer"))
            })
        });
        let ends: Vec<(Created, usize, Bytes)> = join_all(racers).await.into_iter().map(Result::unwrap).collect();
        let winners: Vec<_> = ends.iter().filter(|(created, ..)| *created == Created::New).collect();
        let [(_, winner, _)] = winners[..] else { panic!("round {round} has {} winners", winners.len()) };
        assert!(ends.iter().all(|(.., bytes)| *bytes == format!("racer {winner}")), "round {round}");
    }
});

contract!(a_counter_made_of_creates_loses_no_increment, |store| async {
    const TASKS: usize = 8;
    const STEPS: usize = 25;
    let workers = (0..TASKS).map(|_| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for _ in 0..STEPS {
                increment(&store).await;
            }
        })
    });
    for worker in join_all(workers).await {
        worker.unwrap();
    }
    let expected: Vec<String> = (1..=TASKS * STEPS).map(|number| format!("counter/{number:05}")).collect();
    assert_eq!(all_keys(&store).await, expected);
});

/// Creates the number after the highest one that is listed; whoever loses looks again.
async fn increment(store: &Store) {
    loop {
        let highest = keys(store, "counter/", None, None).await.pop();
        let number = highest.map_or(0, |key| key["counter/".len()..].parse::<usize>().unwrap()) + 1;
        if create(store, &format!("counter/{number:05}"), "").await == Created::New {
            return;
        }
    }
}

contract!(a_cancelled_create_leaves_nothing_or_all_of_it, |store| async {
    use futures_util::FutureExt as _;
    let bytes = pattern(CHUNK * 8);
    for round in 0..20 {
        let name = format!("cancelled/{round}");
        drop(store.create(&key(&name), bytes.clone()).now_or_never());
        // It may still come into being; what is there must be whole at any moment.
        for _ in 0..3 {
            let found = read(&store, &name).await;
            assert!(found.is_none_or(|found| found == bytes), "round {round}");
        }
        create(&store, &name, bytes.clone()).await;
        assert_eq!(read(&store, &name).await.unwrap(), bytes);
    }
});

contract!(persisting_what_is_there_changes_nothing, |store| async {
    put(&store, "a/b/c", "1").await;
    put(&store, "a/d", "2").await;
    store.persist(&[]).await.unwrap();
    store.persist(&[key("a/b/c"), key("a/d"), key("a/d")]).await.unwrap();
    assert_eq!(all_keys(&store).await, ["a/b/c", "a/d"]);
    assert_eq!(read(&store, "a/b/c").await.unwrap(), "1");
});

contract!(many_empty_objects_at_once_leave_those_that_are_there, |store| async {
    put(&store, "d/b", "full").await;
    store.create_empty(&[]).await.unwrap();
    store.create_empty(&["d/a", "d/b", "f/g/h", "d/a"].map(key)).await.unwrap();
    assert_eq!(all_keys(&store).await, ["d/a", "d/b", "f/g/h"]);
    assert_eq!(read(&store, "d/a").await.unwrap(), "");
    assert_eq!(read(&store, "d/b").await.unwrap(), "full");
    assert_eq!(create(&store, "f/g/h", "late").await, Created::AlreadyExists);
});

contract!(an_empty_object_and_a_full_one_race_for_a_key_and_one_wins, |store| async {
    for round in 0..20 {
        let key = key(&format!("race/{round}"));
        let keys = [key.clone()];
        let (empty, full) = tokio::join!(store.create_empty(&keys), store.create(&key, "full".into()));
        empty.unwrap();
        let stored = read(&store, key.as_str()).await.unwrap();
        let expected = if full.unwrap() == Created::New { "full" } else { "" };
        assert_eq!(stored, expected, "whoever was first stays");
    }
});

contract!(any_number_of_objects_can_be_made_durable_at_once, |store| async {
    let keys: Vec<_> = (0..1_000).map(|at| key(&format!("many/{:03}/{at}", at % 700))).collect();
    store.create_empty(&keys).await.unwrap();
    store.persist(&keys).await.unwrap();
    store.persist(&[]).await.unwrap();
    assert_eq!(all_keys(&store).await.len(), 1_000);
});
