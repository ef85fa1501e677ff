//! Listings that are right by the letter and show too little: R11.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use larder::domain::Digest;
use larder::layout::LayoutKey;
use larder::store::{
    ByteRange, Created, Key, List, Object, ObjectMeta, ObjectStore, Part, PartStore, Parts, Prefix, Result, Unfinished,
    Upload,
};
use tokio_util::sync::CancellationToken;

use super::{End, assert_only, collect, collector, end_of, keep_nothing, v1, v2, with_releases};
use crate::support::faulty::{FaultyStore, Op, Rule};
use crate::support::services::*;
use crate::support::store::*;

/// A store in which something happens in the middle of every listing of one prefix: the names were read, but not yet what
/// is stored under them. The listing shows neither what was made meanwhile nor what was deleted, as its contract allows.
#[derive(Clone)]
struct Torn {
    inner: Store,
    prefix: String,
    meanwhile: Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>,
}

impl std::fmt::Debug for Torn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Torn").finish_non_exhaustive()
    }
}

impl Torn {
    async fn listing(&self, prefix: Prefix, options: List) -> Vec<Result<ObjectMeta>> {
        let listed: Vec<Result<ObjectMeta>> = self.inner.list(&prefix, options).collect().await;
        if prefix.as_str() != self.prefix {
            return listed;
        }
        (self.meanwhile)().await;
        let mut still_there = Vec::new();
        for meta in listed {
            let gone = matches!(&meta, Ok(meta) if self.inner.head(&meta.key).await.unwrap().is_none());
            still_there.extend((!gone).then_some(meta));
        }
        still_there
    }
}

#[async_trait]
impl ObjectStore for Torn {
    async fn head(&self, key: &Key) -> Result<Option<ObjectMeta>> {
        self.inner.head(key).await
    }

    async fn get(&self, key: &Key, range: Option<ByteRange>) -> Result<Option<Object>> {
        self.inner.get(key, range).await
    }

    async fn create(&self, key: &Key, bytes: Bytes) -> Result<Created> {
        self.inner.create(key, bytes).await
    }

    async fn begin(&self, key: &Key) -> Result<Box<dyn Upload>> {
        self.inner.begin(key).await
    }

    async fn copy(&self, from: &Key, to: &Key) -> Result<Option<Created>> {
        self.inner.copy(from, to).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.inner.delete(key).await
    }

    fn list(&self, prefix: &Prefix, options: List) -> BoxStream<'_, Result<ObjectMeta>> {
        stream::once(self.listing(prefix.clone(), options)).flat_map(stream::iter).boxed()
    }
}

#[async_trait]
impl PartStore for Torn {
    async fn begin_parts(&self, key: &Key) -> Result<Parts> {
        self.inner.begin_parts(key).await
    }

    async fn write_part(&self, parts: &Parts, number: u32, offset: u64, bytes: Bytes) -> Result<Option<Part>> {
        self.inner.write_part(parts, number, offset, bytes).await
    }

    async fn commit_parts(&self, parts: &Parts, written: &[Part]) -> Result<Option<Created>> {
        self.inner.commit_parts(parts, written).await
    }

    async fn abort_parts(&self, parts: &Parts) -> Result<()> {
        self.inner.abort_parts(parts).await
    }

    fn unfinished(&self) -> BoxStream<'_, Result<Unfinished>> {
        self.inner.unfinished()
    }
}

/// What collectors do to a blob that they condemned though it is needed: the bytes move to the next generation.
async fn move_on(store: &Store, digest: Digest, from: u64) {
    condemn(store, digest, from).await;
    let key = |generation| LayoutKey::Blob(digest, generation).key();
    store.copy(&key(from), &key(from + 1)).await.unwrap();
    sweep(store, digest, from).await;
}

/// A store that moves a blob on, once, in the middle of the first listing of it.
fn moving(store: &Store, digest: Digest, from: u64) -> Store {
    let (inner, once) = (Arc::clone(store), Arc::new(std::sync::atomic::AtomicBool::new(true)));
    let meanwhile = move || -> BoxFuture<'static, ()> {
        let (inner, first) = (Arc::clone(&inner), once.swap(false, std::sync::atomic::Ordering::SeqCst));
        Box::pin(async move {
            if first {
                move_on(&inner, digest, from).await;
            }
        })
    };
    let prefix = larder::layout::blob(&digest).to_string();
    Arc::new(Torn { inner: Arc::clone(store), prefix, meanwhile: Arc::new(meanwhile) })
}

/// R11. Who suffers: a publisher between its check and its commit. The collector's second marking looks for the manifest
/// just while other collectors move it to another generation, so that a listing shows no bytes of it at all. Nothing may be
/// concluded from that about what the publisher has checked.
#[tokio::test(flavor = "multi_thread")]
async fn r11_a_copy_that_moves_during_a_listing_is_not_taken_for_lost() {
    for from in [0, 1] {
        let backend = with_releases(&[v1()]).await;
        let (store, manifest) = (backend.store(), v2().digest());
        Services::over(&store).upload_all(&v2()).await.unwrap();
        let slow_collector = FaultyStore::over(&moving(&store, manifest, from));
        let condemning = slow_collector.stall(Rule::on(Op::Create).key(".condemned").nth(1));
        let run = collector(&slow_collector.store(), keep_nothing());
        let running = tokio::spawn(async move { run.run(&CancellationToken::new()).await });
        condemning.reached().await;
        let slow_publisher = FaultyStore::over(&store);
        let committing = slow_publisher.stall(Rule::on(Op::Create).key("heads/").nth(2));
        let services = Services::over(&slow_publisher.store());
        let publishing = tokio::spawn(async move { services.publish_only("main", &v2(), activate()).await });
        committing.reached().await;
        for generation in 0..from {
            move_on(&store, manifest, generation).await;
        }
        condemning.release();
        let report = running.await.unwrap().unwrap();
        committing.release();
        assert_eq!(end_of(publishing.await.unwrap()), End::Done);
        assert_eq!(super::readers::served(&store, "main").await, "v2");
        assert_eq!((report.totals.deleted.blobs, report.totals.lost), (0, 0));
        collect(&store).await;
        assert_eq!(sound(&store, "main").await.as_deref(), Some("v2"));
        assert_only(&store, &[v2()]).await;
    }
}

/// R11, for publishers and collectors that need a blob: while it is moved it is neither missing nor lost.
#[tokio::test(flavor = "multi_thread")]
async fn r11_a_blob_that_moves_during_a_listing_is_neither_missing_nor_lost() {
    let backend = with_releases(&[v1()]).await;
    let (store, blob) = (backend.store(), v1().file(0));
    condemn(&store, blob, 0).await;
    let services = Services::over(&moving(&store, blob, 0));
    assert_eq!(end_of(services.publish_only("other", &v1(), activate()).await), End::Done);
    assert_eq!(sound(&store, "other").await.as_deref(), Some("v1"));
    condemn(&store, blob, 1).await;
    let run = collector(&moving(&store, blob, 1), keep_nothing());
    assert_eq!(run.run(&CancellationToken::new()).await.unwrap().totals.lost, 0);
    assert_eq!(sound(&store, "main").await.as_deref(), Some("v1"));
}
