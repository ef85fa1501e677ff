//! Copies within the store.

use std::sync::Arc;

use futures_util::future::join_all;
use larder::store::Created;

use crate::support::store::*;

contract!(a_copy_has_the_bytes_of_its_source, |store| async {
    for length in [0, 1, CHUNK, 3 * CHUNK + 7] {
        let (from, to) = (format!("from/{length}"), format!("to/deep/{length}"));
        upload(&store, &from, &[pattern(length)]).await;
        assert_eq!(store.copy(&key(&from), &key(&to)).await.unwrap(), Some(Created::New));
        assert!(read(&store, &to).await.unwrap() == pattern(length), "{length} bytes");
        assert!(read(&store, &from).await.unwrap() == pattern(length), "{length} bytes");
    }
});

contract!(a_copy_lives_on_when_its_source_is_deleted, |store| async {
    put(&store, "from", "bytes").await;
    store.copy(&key("from"), &key("to")).await.unwrap();
    store.delete(&key("from")).await.unwrap();
    assert_eq!(read(&store, "to").await.unwrap(), "bytes");
    assert_absent(&store, "from").await;
});

contract!(a_copy_to_a_taken_key_keeps_the_old_bytes, |store| async {
    put(&store, "from", "new").await;
    put(&store, "to", "old").await;
    assert_eq!(store.copy(&key("from"), &key("to")).await.unwrap(), Some(Created::AlreadyExists));
    assert_eq!(read(&store, "to").await.unwrap(), "old");
});

contract!(a_copy_of_what_is_gone_makes_nothing, |store| async {
    put(&store, "from", "bytes").await;
    store.delete(&key("from")).await.unwrap();
    assert_eq!(store.copy(&key("from"), &key("to")).await.unwrap(), None);
    assert_absent(&store, "to").await;
});

contract!(racing_copies_have_one_winner_whose_bytes_stay, |store| async {
    for racer in 0..8 {
        put(&store, &format!("from/{racer}"), format!("racer {racer}")).await;
    }
    for round in 0..10 {
        let racers = (0..8).map(|racer| {
            let (store, to) = (Arc::clone(&store), key(&format!("to/{round}")));
            tokio::spawn(async move {
                let created = store.copy(&key(&format!("from/{racer}")), &to).await.unwrap();
                (created == Some(Created::New)).then_some(racer)
            })
        });
        let winners: Vec<usize> = join_all(racers).await.into_iter().filter_map(Result::unwrap).collect();
        assert_eq!(winners.len(), 1, "round {round}");
        assert_eq!(read(&store, &format!("to/{round}")).await.unwrap(), format!("racer {}", winners[0]));
    }
});

contract!(what_is_handed_over_stays_when_its_source_is_deleted, |store| async {
    for length in [0, CHUNK, 3 * CHUNK + 7] {
        let (from, to) = (format!("from/{length}"), format!("to/deep/{length}"));
        upload(&store, &from, &[pattern(length)]).await;
        assert_eq!(store.hand_over(&key(&from), &key(&to)).await.unwrap(), Some(Created::New));
        store.delete(&key(&from)).await.unwrap();
        assert!(read(&store, &to).await.unwrap() == pattern(length), "{length} bytes");
        assert_absent(&store, &from).await;
        assert_eq!(store.hand_over(&key(&from), &key("to/other")).await.unwrap(), None);
    }
    put(&store, "from/new", "new").await;
    put(&store, "to/old", "old").await;
    assert_eq!(store.hand_over(&key("from/new"), &key("to/old")).await.unwrap(), Some(Created::AlreadyExists));
    assert_eq!(read(&store, "to/old").await.unwrap(), "old");
});
