//! Multipart objects, as the store's interface has them.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _};

use super::{FsStore, blocking};
use crate::store::{Created, Key, Part, PartStore, Parts, Result, StoreError, Unfinished};

#[async_trait]
impl PartStore for FsStore {
    async fn begin_parts(&self, key: &Key) -> Result<Parts> {
        self.on(key, |inner, key| inner.begin_parts(&key)).await
    }

    async fn write_part(&self, parts: &Parts, number: u32, offset: u64, bytes: Bytes) -> Result<Option<Part>> {
        let owned = parts.clone();
        self.on(&parts.key, move |inner, _| inner.write_part(&owned, number, offset, &bytes)).await
    }

    async fn commit_parts(&self, parts: &Parts, written: &[Part]) -> Result<Option<Created>> {
        let (owned, written) = (parts.clone(), written.to_vec());
        self.on(&parts.key, move |inner, _| inner.commit_parts(&owned, &written)).await
    }

    async fn abort_parts(&self, parts: &Parts) -> Result<()> {
        let owned = parts.clone();
        self.on(&parts.key, move |inner, _| inner.abort_parts(&owned)).await
    }

    fn unfinished(&self) -> BoxStream<'_, Result<Unfinished>> {
        let inner = Arc::clone(&self.inner);
        let all = async move {
            let place = inner.parts.display().to_string();
            blocking(move || inner.unfinished()).await.map_err(|error| StoreError::io(place, error))
        };
        stream::once(all).map_ok(|all| stream::iter(all.into_iter().map(Ok))).try_flatten().boxed()
    }
}
