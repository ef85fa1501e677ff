//! Reading: whole objects, ranges, and objects that go away meanwhile.

use futures_util::TryStreamExt as _;

use crate::support::store::*;

contract!(what_was_never_created_is_absent, |store| async {
    assert_absent(&store, "a").await;
    assert_absent(&store, "deep/down/below").await;
});

contract!(a_range_holds_just_its_bytes, |store| async {
    let bytes = pattern(2 * CHUNK + 1);
    upload(&store, "a", std::slice::from_ref(&bytes)).await;
    let (chunk, end) = (CHUNK as u64, bytes.len() as u64);
    for (from, to) in [
        (0, 1),
        (0, end),
        (1, end),
        (0, end - 1),
        (end - 1, end),
        (7, 7),
        (chunk - 1, chunk),
        (chunk, chunk + 1),
        (chunk - 1, chunk + 1),
        (chunk, 2 * chunk),
        (1, 2 * chunk),
        (2 * chunk, end),
    ] {
        let part = read_range(&store, "a", from, to).await;
        assert!(part == bytes[usize::try_from(from).unwrap()..usize::try_from(to).unwrap()], "{from}..{to}");
    }
});

contract!(a_range_is_cut_off_at_the_end_of_the_object, |store| async {
    put(&store, "a", "0123456789").await;
    assert_eq!(read_range(&store, "a", 7, 11).await, "789");
    assert_eq!(read_range(&store, "a", 9, u64::MAX).await, "9");
    assert_eq!(read_range(&store, "a", 0, 1 << 40).await, "0123456789");
});

contract!(a_range_comes_with_the_size_of_the_whole_object, |store| async {
    use larder::store::ByteRange;
    put(&store, "a", "0123456789").await;
    let part = store.get(&key("a"), Some(ByteRange { start: 2, end: 4 })).await.unwrap().unwrap();
    assert_eq!(part.meta.size, 10);
    assert_eq!(part.meta, store.head(&key("a")).await.unwrap().unwrap());
});

contract!(a_range_of_a_missing_object_is_absent, |store| async {
    use larder::store::ByteRange;
    assert!(store.get(&key("a"), Some(ByteRange { start: 0, end: 1 })).await.unwrap().is_none());
});

contract!(an_object_deleted_while_it_is_read_never_ends_short, |store| async {
    let bytes = pattern(32 * CHUNK);
    upload(&store, "a", std::slice::from_ref(&bytes)).await;
    let mut body = store.get(&key("a"), None).await.unwrap().unwrap().body;
    let mut all = body.try_next().await.unwrap().expect("a first piece").to_vec();
    store.delete(&key("a")).await.unwrap();
    let ended = loop {
        match body.try_next().await {
            Ok(Some(piece)) => all.extend_from_slice(&piece),
            Ok(None) => break true,
            Err(_) => break false,
        }
    };
    assert!(!ended || all == bytes, "ended without an error after {} of {} bytes", all.len(), bytes.len());
});

contract!(many_readers_of_one_object_do_not_disturb_each_other, |store| async {
    let bytes = pattern(4 * CHUNK + 5);
    upload(&store, "a", std::slice::from_ref(&bytes)).await;
    let reads = futures_util::future::join_all((0..16).map(|_| read(&store, "a"))).await;
    assert!(reads.into_iter().all(|found| found.unwrap() == bytes));
});

contract!(collecting_more_than_the_limit_is_refused, |store| async {
    use larder::store::StoreErrorKind;
    put(&store, "a", "12345").await;
    let object = store.get(&key("a"), None).await.unwrap().unwrap();
    assert_eq!(object.bytes(4).await.unwrap_err().kind, StoreErrorKind::Corrupt);
    let object = store.get(&key("a"), None).await.unwrap().unwrap();
    assert_eq!(object.bytes(5).await.unwrap(), "12345");
});
