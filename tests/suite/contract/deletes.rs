//! Deletion.

use std::sync::Arc;

use futures_util::future::join_all;

use crate::support::store::*;

contract!(deleting_what_is_not_there_is_no_error, |store| async {
    store.delete(&key("a")).await.unwrap();
    store.delete(&key("deep/down/below")).await.unwrap();
    put(&store, "a", "1").await;
    store.delete(&key("a")).await.unwrap();
    store.delete(&key("a")).await.unwrap();
    // What an object is in the way of cannot be there either.
    put(&store, "b", "2").await;
    store.delete(&key("b/c")).await.unwrap();
    assert_eq!(all_keys(&store).await, ["b"]);
});

contract!(a_deleted_object_is_gone_and_its_neighbours_stay, |store| async {
    for name in ["d/a", "d/b", "d/c"] {
        put(&store, name, name).await;
    }
    store.delete(&key("d/b")).await.unwrap();
    assert_absent(&store, "d/b").await;
    assert_eq!(all_keys(&store).await, ["d/a", "d/c"]);
    assert_eq!(read(&store, "d/a").await.unwrap(), "d/a");
});

contract!(racing_deletes_all_succeed, |store| async {
    for round in 0..10 {
        let name = format!("race/{round}");
        put(&store, &name, "bytes").await;
        let racers = (0..8).map(|_| {
            let (store, key) = (Arc::clone(&store), key(&name));
            tokio::spawn(async move { store.delete(&key).await })
        });
        for racer in join_all(racers).await {
            racer.unwrap().unwrap();
        }
        assert_absent(&store, &name).await;
    }
});

contract!(many_deletes_at_once_take_what_is_there, |store| async {
    for name in ["d/a", "d/b", "e", "f/g/h"] {
        put(&store, name, name).await;
    }
    store.delete_all(&[]).await.unwrap();
    store.delete_all(&["d/a", "d/absent", "f/g/h", "d/a", "e/below"].map(key)).await.unwrap();
    assert_eq!(all_keys(&store).await, ["d/b", "e"]);
});
