//! Objects in parts: they outlive whoever writes them, and become visible whole or not at all.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use futures_util::future::join_all;
use larder::store::{Created, MIN_PART, Part, Parts, Unfinished};

use crate::support::store::*;

/// Bytes of a part that is not the last one.
fn full(number: u32) -> Bytes {
    let at = usize::try_from(number).expect("a small number");
    pattern(usize::try_from(MIN_PART).expect("a small number") + at).slice(at..)
}

async fn write(store: &Store, parts: &Parts, number: u32, bytes: impl Into<Bytes>) -> Option<Part> {
    let offset = u64::from(number - 1) * MIN_PART;
    store.write_part(parts, number, offset, bytes.into()).await.expect("write a part")
}

async fn commit(store: &Store, parts: &Parts, written: &[Part]) -> Option<Created> {
    store.commit_parts(parts, written).await.expect("commit the parts")
}

async fn unfinished(store: &Store) -> Vec<Unfinished> {
    store.unfinished().try_collect().await.expect("list what is unfinished")
}

async fn knows(store: &Store, parts: &Parts) -> bool {
    unfinished(store).await.iter().any(|unfinished| unfinished.parts == *parts)
}

/// An object in two parts that is not committed yet.
async fn two_parts(store: &Store, text: &str, last: &str) -> (Parts, Vec<Part>) {
    let parts = store.begin_parts(&key(text)).await.expect("begin in parts");
    let first = write(store, &parts, 1, full(1)).await.expect("it is in the making");
    let second = write(store, &parts, 2, last.to_owned()).await.expect("it is in the making");
    (parts, vec![first, second])
}

fn joined(last: &str) -> Bytes {
    [full(1), last.to_owned().into()].concat().into()
}

contract!(parts_are_put_together_in_their_order_whenever_they_were_written, |store| async {
    let parts = store.begin_parts(&key("a/b")).await.unwrap();
    let third = write(&store, &parts, 3, "end").await.unwrap();
    let first = write(&store, &parts, 1, full(1)).await.unwrap();
    let second = write(&store, &parts, 2, full(2)).await.unwrap();
    assert_eq!((first.number, first.size, third.size), (1, MIN_PART, 3));
    assert_eq!(commit(&store, &parts, &[first, second, third]).await, Some(Created::New));
    assert!(read(&store, "a/b").await.unwrap() == [full(1), full(2), "end".into()].concat());
    assert_eq!(store.head(&key("a/b")).await.unwrap().unwrap().size, 2 * MIN_PART + 3);
});

contract!(nothing_is_visible_before_the_parts_are_committed, |store| async {
    let (parts, written) = two_parts(&store, "a", "end").await;
    assert_absent(&store, "a").await;
    assert!(all_keys(&store).await.is_empty());
    commit(&store, &parts, &written).await.unwrap();
    assert_eq!(all_keys(&store).await, ["a"]);
});

contract!(one_short_or_empty_part_makes_an_object, |store| async {
    for text in ["", "short"] {
        let name = format!("of/{}", text.len());
        let parts = store.begin_parts(&key(&name)).await.unwrap();
        let part = write(&store, &parts, 1, text.to_owned()).await.unwrap();
        assert_eq!(commit(&store, &parts, &[part]).await, Some(Created::New));
        assert_eq!(read(&store, &name).await.unwrap(), text);
    }
});

contract!(the_same_bytes_get_the_same_tag_and_others_another, |store| async {
    let (parts, written) = two_parts(&store, "a", "end").await;
    assert_eq!(write(&store, &parts, 2, "end").await.unwrap(), written[1]);
    assert_ne!(write(&store, &parts, 2, "END").await.unwrap().tag, written[1].tag);
    assert!(written.iter().all(|part| part.tag.len() <= 256 && part.tag.bytes().all(|byte| byte.is_ascii_graphic())));
    assert!(parts.id.len() <= 1024 && parts.id.bytes().all(|byte| byte.is_ascii_graphic()), "{parts:?}");
    store.abort_parts(&parts).await.unwrap();
});

contract!(a_part_that_is_written_again_is_replaced, |store| async {
    let (parts, mut written) = two_parts(&store, "a", "a long end").await;
    written[1] = write(&store, &parts, 2, "short").await.unwrap();
    assert_eq!(commit(&store, &parts, &written).await, Some(Created::New));
    assert!(read(&store, "a").await.unwrap() == joined("short"));
});

contract!(a_part_that_was_replaced_meanwhile_is_not_committed, |store| async {
    let (parts, written) = two_parts(&store, "a", "mine").await;
    write(&store, &parts, 2, "ours").await.unwrap();
    assert_eq!(commit(&store, &parts, &written).await, None, "these are not the bytes of the caller");
    assert_absent(&store, "a").await;
    store.abort_parts(&parts).await.unwrap();
});

contract!(a_part_that_is_not_committed_is_left_out_or_keeps_the_rest_from_being_committed, |store| async {
    let (parts, written) = two_parts(&store, "a", "end").await;
    write(&store, &parts, 3, "more").await.unwrap();
    match commit(&store, &parts, &written).await {
        Some(created) => assert!(created == Created::New && read(&store, "a").await.unwrap() == joined("end")),
        None => assert_absent(&store, "a").await,
    }
    store.abort_parts(&parts).await.unwrap();
});

contract!(parts_to_a_taken_key_keep_the_old_bytes, |store| async {
    let (parts, written) = two_parts(&store, "a", "new").await;
    put(&store, "a", "old").await;
    assert_eq!(commit(&store, &parts, &written).await, Some(Created::AlreadyExists));
    assert_eq!(read(&store, "a").await.unwrap(), "old");
    assert!(unfinished(&store).await.is_empty(), "it is over either way");
});

contract!(nothing_can_be_done_with_parts_that_were_committed, |store| async {
    let (parts, written) = two_parts(&store, "a", "end").await;
    commit(&store, &parts, &written).await.unwrap();
    assert_eq!(write(&store, &parts, 2, "other").await, None);
    assert_ne!(commit(&store, &parts, &written).await, Some(Created::New));
    store.abort_parts(&parts).await.unwrap();
    assert!(read(&store, "a").await.unwrap() == joined("end"), "the object stays as it is");
});

contract!(nothing_remains_of_parts_that_were_aborted, |store| async {
    let (parts, written) = two_parts(&store, "a", "end").await;
    store.abort_parts(&parts).await.unwrap();
    assert_absent(&store, "a").await;
    assert!(unfinished(&store).await.is_empty());
    assert_eq!(write(&store, &parts, 2, "end").await, None);
    assert_eq!(commit(&store, &parts, &written).await, None);
    assert_absent(&store, "a").await;
    store.abort_parts(&parts).await.expect("that is no error");
    put(&store, "a", "free").await;
});

contract!(objects_in_parts_of_one_key_do_not_mix, |store| async {
    let (one, of_one) = two_parts(&store, "a", "1").await;
    let (two, of_two) = two_parts(&store, "a", "2").await;
    assert_ne!(one, two);
    store.abort_parts(&one).await.unwrap();
    assert_eq!(commit(&store, &one, &of_one).await, None);
    assert_eq!(commit(&store, &two, &of_two).await, Some(Created::New));
    assert!(read(&store, "a").await.unwrap() == joined("2"));
});

contract!(what_was_begun_is_remembered_until_it_is_over, |store| async {
    assert!(unfinished(&store).await.is_empty());
    let (one, written) = two_parts(&store, "a/1", "end").await;
    let two = store.begin_parts(&key("a/2")).await.unwrap();
    put(&store, "now", "").await;
    let now = store.head(&key("now")).await.unwrap().unwrap().modified;
    for of in unfinished(&store).await {
        assert!(now.duration_since(of.begun).as_secs().abs() < 60, "{of:?} at {now}");
    }
    assert!(knows(&store, &one).await && knows(&store, &two).await);
    commit(&store, &one, &written).await.unwrap();
    assert!(!knows(&store, &one).await && knows(&store, &two).await);
    store.abort_parts(&two).await.unwrap();
    assert!(unfinished(&store).await.is_empty());
});

contract!(an_object_in_parts_is_as_young_as_its_commit, |store| async {
    let (parts, written) = two_parts(&store, "a", "end").await;
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    put(&store, "before", "").await;
    commit(&store, &parts, &written).await.unwrap();
    let modified = async |text: &str| store.head(&key(text)).await.unwrap().unwrap().modified;
    let earlier = modified("before").await.as_second();
    assert!(modified("a").await.as_second() >= earlier, "its bytes may be much older");
});

contract!(racing_commits_of_parts_have_one_winner, |store| async {
    const TASKS: usize = 8;
    let made = join_all((0..TASKS).map(|racer| {
        let store = Arc::clone(&store);
        async move { two_parts(&store, "a", &format!("racer {racer}")).await }
    }))
    .await;
    let racers = made.into_iter().enumerate().map(|(racer, (parts, written))| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { (racer, commit(&store, &parts, &written).await.expect("nobody aborts it")) })
    });
    let ended: Vec<_> = join_all(racers).await.into_iter().map(Result::unwrap).collect();
    let winners: Vec<usize> = ended.iter().filter(|(_, made)| *made == Created::New).map(|(racer, _)| *racer).collect();
    assert_eq!(winners.len(), 1);
    assert!(read(&store, "a").await.unwrap() == joined(&format!("racer {}", winners[0])));
});

contract!(commits_of_the_same_parts_at_once_make_one_object, |store| async {
    let (parts, written) = two_parts(&store, "a", "end").await;
    let racers = (0..8).map(|_| {
        let (store, parts, written) = (Arc::clone(&store), parts.clone(), written.clone());
        tokio::spawn(async move { commit(&store, &parts, &written).await })
    });
    let ended: Vec<_> = join_all(racers).await.into_iter().map(Result::unwrap).collect();
    assert!(ended.iter().filter(|made| **made == Some(Created::New)).count() <= 1, "{ended:?}");
    assert!(read(&store, "a").await.unwrap() == joined("end"));
});
