//! Listings: their cost, and buckets that hold more than ours.

use futures_util::{StreamExt as _, TryStreamExt as _};
use larder::store::{List, StoreErrorKind};

use crate::support::s3::{Fault, Op, S3Model};
use crate::support::store::*;

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_any_size_make_one_listing() {
    let model = S3Model::start().await;
    let store = model.store().await;
    let all: Vec<_> = (0..50).map(|at| key(&format!("a/{at:02}"))).collect();
    store.create_empty(&all).await.unwrap();
    model.quirks(|quirks| quirks.page = 7);
    model.fail(Op::ListObjects, 3, Fault::LostReply);
    assert_eq!(all_keys(&store).await, all.iter().map(ToString::to_string).collect::<Vec<_>>());
    assert_eq!(model.requests()[&Op::ListObjects], 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_keys_of_groups_cost_as_much_as_the_groups() {
    let model = S3Model::start().await;
    let store = model.store().await;
    let all: Vec<_> = (0..2_000).map(|at| key(&format!("n/{:02}/@/{at:04}", at / 100))).collect();
    store.create_empty(&all).await.unwrap();
    model.requests();
    let options = List { first_of: Some("/@/"), ..List::default() };
    let firsts: Vec<_> = store.list(&"n/".parse().unwrap(), options).try_collect().await.unwrap();
    assert_eq!(firsts.len(), 20);
    assert!(model.requests()[&Op::ListObjects] <= 21);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_is_passed_on() {
    let model = S3Model::start().await;
    let store = model.store().await;
    store.create_empty(&["a", "b", "c"].map(key)).await.unwrap();
    model.requests();
    assert_eq!(keys(&store, "", None, Some(2)).await, ["a", "b"]);
    assert!(keys(&store, "", None, Some(0)).await.is_empty());
    assert_eq!(model.requests()[&Op::ListObjects], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_sees_only_its_prefix() {
    let model = S3Model::start().await;
    let outer = model.store().await;
    let inner = model.store_with(|settings| settings.prefix = "some/prefix".to_owned()).await;
    put(&inner, "a", "inner").await;
    put(&outer, "a", "outer").await;
    put(&outer, "some/prefix-too", "outer").await;
    assert_eq!(all_keys(&inner).await, ["a"]);
    assert_eq!(read(&inner, "a").await.unwrap(), "inner");
    assert_eq!(model.keys(), ["a", "some/prefix-too", "some/prefix/a"]);
    inner.delete_all(&["a", "b"].map(key)).await.unwrap();
    assert_eq!(model.keys(), ["a", "some/prefix-too"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_not_ours_ends_a_listing() {
    let model = S3Model::start().await;
    let store = model.store().await;
    put(&store, "a", "bytes").await;
    model.plant("b c", "somebody's");
    let mut listing = store.list(&"".parse().unwrap(), List::default());
    let error = loop {
        match listing.try_next().await {
            Ok(found) => assert!(found.is_some(), "the listing ended as if it were complete"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind, StoreErrorKind::Stray);
    assert!(error.to_string().contains("b c"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_past_what_is_not_ours_shows_all_that_is() {
    let model = S3Model::start().await;
    let store = model.store().await;
    store.create_empty(&["a", "b/1", "b/2", "c"].map(key)).await.unwrap();
    for stray in ["a b", "b/", "b/1~", "d~"] {
        model.plant(stray, "somebody's");
    }
    for page in [1000, 1] {
        model.quirks(|quirks| quirks.page = page);
        for (limit, expected) in [
            (None, &["a", "!a b", "!b/", "b/1", "!b/1~", "b/2", "c", "!d~"][..]),
            (Some(2), &["a", "!a b", "!b/", "b/1"][..]),
        ] {
            let options = List { limit, past_strays: true, ..List::default() };
            let listing = store.list(&"".parse().unwrap(), options);
            let shown: Vec<String> = listing
                .map(|listed| match listed {
                    Ok(meta) => meta.key.to_string(),
                    Err(error) if error.kind == StoreErrorKind::Stray => format!("!{}", error.key),
                    Err(error) => panic!("{error}"),
                })
                .collect()
                .await;
            assert_eq!(shown, expected);
        }
    }
}
