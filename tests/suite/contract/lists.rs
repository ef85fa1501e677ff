//! Listing: complete, in byte order, from anywhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use larder::store::List;
use tokio::sync::Semaphore;

use crate::support::store::*;

/// Keys whose order in directories is not their order in bytes, sorted.
const TRICKY: [&str; 15] =
    ["a!", "a-", "a.b", "a.b.c", "a/-", "a/b-", "a/b.c", "a/b/c", "a/b/d/e", "a/b0", "a/c", "a0", "a@", "aa/a", "b"];

async fn tricky(store: &Store) {
    for name in TRICKY.iter().rev() {
        put(store, name, *name).await;
    }
}

/// What a listing of the tricky keys must be, by definition.
fn expected(prefix: &str, start_after: Option<&str>, limit: Option<usize>) -> Vec<&'static str> {
    let after = |name: &&str| start_after.is_none_or(|start| **name > *start);
    let matching = TRICKY.into_iter().filter(|name| name.starts_with(prefix)).filter(after);
    matching.take(limit.unwrap_or(usize::MAX)).collect()
}

contract!(keys_are_listed_in_their_byte_order, |store| async {
    tricky(&store).await;
    assert_eq!(all_keys(&store).await, TRICKY);
});

contract!(an_empty_store_lists_nothing, |store| async {
    assert!(all_keys(&store).await.is_empty());
    assert!(keys(&store, "a/b/c", Some("a"), Some(3)).await.is_empty());
});

contract!(a_listing_tells_what_a_look_tells, |store| async {
    tricky(&store).await;
    let listed: Vec<_> = store.list(&"".parse().unwrap(), List::default()).try_collect().await.unwrap();
    for meta in listed {
        assert_eq!(store.head(&meta.key).await.unwrap().unwrap(), meta);
    }
});

contract!(a_prefix_need_not_end_at_a_directory, |store| async {
    tricky(&store).await;
    for prefix in ["a", "a/", "a/b", "a/b/", "a/b/d", "a.", "a-", "aa", "b", "b/", "a/b/c", "c", "a/b/c/", "A"] {
        assert_eq!(keys(&store, prefix, None, None).await, expected(prefix, None, None), "{prefix:?}");
    }
});

contract!(a_listing_starts_after_any_key_there_or_not, |store| async {
    tricky(&store).await;
    let absent = ["!", "a", "a/b", "a/b/d", "a/b/d/d", "a.", "a/b/c/x", "a/z", "a0/x", "zz", "aa", "a.b/x"];
    for start in absent.into_iter().chain(TRICKY) {
        assert_eq!(keys(&store, "", Some(start), None).await, expected("", Some(start), None), "after {start:?}");
    }
});

contract!(prefix_start_and_limit_go_together, |store| async {
    tricky(&store).await;
    for prefix in ["", "a", "a/", "a/b", "a/b/"] {
        for start in ["!", "a", "a.b", "a/b", "a/b/c", "a/b0", "a0", "b"] {
            for limit in [0, 1, 2, 5, 100] {
                let found = keys(&store, prefix, Some(start), Some(limit)).await;
                assert_eq!(found, expected(prefix, Some(start), Some(limit)), "{prefix:?} {start:?} {limit}");
            }
        }
    }
});

contract!(a_listing_may_show_only_the_first_key_of_each_group, |store| async {
    let names = ["n/a/@/1/2", "n/a/@/1/3", "n/a/@/2", "n/a/b/@/5", "n/b/@/1", "n/b/@/2/@/3", "n/c", "n/d/@", "o/x/@/1"];
    for name in names.iter().rev() {
        put(&store, name, *name).await;
    }
    let grouped = |prefix: &'static str, start: Option<&'static str>, limit, infix| {
        let options = List { start_after: start.map(key), limit, first_of: Some(infix), ..List::default() };
        let store = Arc::clone(&store);
        async move {
            let listing = store.list(&prefix.parse().unwrap(), options);
            listing.map_ok(|meta| meta.key.to_string()).try_collect::<Vec<_>>().await.unwrap()
        }
    };
    let firsts = ["n/a/@/1/2", "n/a/b/@/5", "n/b/@/1", "n/c", "n/d/@", "o/x/@/1"];
    assert_eq!(grouped("", None, None, "/@/").await, firsts);
    assert_eq!(grouped("n/", None, Some(3), "/@/").await, firsts[..3]);
    assert_eq!(grouped("n/a/@/1", None, None, "/@/").await, ["n/a/@/1/2"]);
    assert_eq!(
        grouped("n/", Some("n/a/@/1/3"), None, "/@/").await,
        ["n/a/@/2", "n/a/b/@/5", "n/b/@/1", "n/c", "n/d/@"]
    );
    assert_eq!(grouped("", None, None, "/").await, ["n/a/@/1/2", "o/x/@/1"]);
    // An object that goes away between two listings makes room for the next of its group.
    store.delete(&key("n/a/@/1/2")).await.unwrap();
    store.delete(&key("n/a/@/1/3")).await.unwrap();
    assert_eq!(grouped("n/a/@/", None, None, "/@/").await, ["n/a/@/2"]);
});

contract!(pages_of_many_keys_show_each_key_once, |store| async {
    const COUNT: usize = 2_000;
    let names: Vec<String> = (0..COUNT).map(|at| format!("many/{:02}/{:03}", at % 37, at)).collect();
    let made = stream::iter(&names).map(|name| put(&store, name, "")).buffer_unordered(64);
    made.collect::<()>().await;
    let mut paged: Vec<String> = Vec::new();
    loop {
        let page = keys(&store, "many/", paged.last().map(String::as_str), Some(300)).await;
        assert!(page.len() <= 300);
        if page.is_empty() {
            break;
        }
        paged.extend(page);
    }
    let mut sorted = names;
    sorted.sort();
    assert_eq!(paged, sorted);
    assert_eq!(all_keys(&store).await, sorted);
});

contract!(a_listing_shows_everything_created_before_it_began, |store| async {
    const COUNT: usize = 150;
    let name = |at: usize| format!("grow/{}/{at:03}", at % 7);
    let (made, maker) = (Arc::new(AtomicUsize::new(0)), Arc::clone(&store));
    let count = Arc::clone(&made);
    // However fast the store is, some objects come after the first listing.
    let listed_once = Arc::new(Semaphore::new(0));
    let half_time = Arc::clone(&listed_once);
    let making = tokio::spawn(async move {
        for at in 0..COUNT {
            if at == COUNT / 2 {
                half_time.acquire().await.unwrap().forget();
            }
            put(&maker, &name(at), "").await;
            count.store(at + 1, Ordering::SeqCst);
        }
    });
    let mut rounds = 0;
    loop {
        let before = made.load(Ordering::SeqCst);
        let listed = keys(&store, "grow/", None, None).await;
        assert!(listed.is_sorted(), "{listed:?}");
        assert!((0..before).all(|at| listed.contains(&name(at))), "{before} were there, {listed:?} are listed");
        rounds += 1;
        listed_once.add_permits(1);
        if before == COUNT {
            break;
        }
    }
    making.await.unwrap();
    assert!(rounds > 1, "listed while objects were being created");
});

contract!(a_listing_survives_deletions_beside_it, |store| async {
    for at in 0..300 {
        put(&store, &format!("d/{at:03}"), "").await;
    }
    let mut listing = store.list(&"d/".parse().unwrap(), List::default());
    let mut seen = vec![listing.try_next().await.unwrap().unwrap().key.to_string()];
    for at in (0..300).filter(|at| at % 2 == 1) {
        store.delete(&key(&format!("d/{at:03}"))).await.unwrap();
    }
    while let Some(meta) = listing.try_next().await.unwrap() {
        seen.push(meta.key.to_string());
    }
    assert!((0..300).step_by(2).all(|at| seen.contains(&format!("d/{at:03}"))), "what was not deleted is listed");
    assert!(seen.is_sorted());
});
