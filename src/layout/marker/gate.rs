//! A store wrapper that allows writing only while the layout marker does.
//!
//! Every service of a server uses the store through this gate, so that no handler and no background task has to
//! remember the check.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};

use super::Watch;
use crate::shares::Owner;
use crate::store::{
    ByteRange, Created, FoundObject, Key, List, Object, ObjectMeta, ObjectStore, Part, PartStore, Parts, Prefix,
    PresignOptions, Result, Unfinished, Upload,
};

/// A store guarded by a [`Watch`]. Writes fail with [`StoreErrorKind::ReadOnly`] while the watch forbids writing, and
/// all operations fail with [`StoreErrorKind::Newer`] once the watch has seen a layout that this binary cannot read.
///
/// [`StoreErrorKind::ReadOnly`]: crate::store::StoreErrorKind::ReadOnly
/// [`StoreErrorKind::Newer`]: crate::store::StoreErrorKind::Newer
#[derive(Debug)]
pub struct GatedStore {
    inner: Arc<dyn PartStore>,
    watch: Arc<Watch>,
}

impl GatedStore {
    /// Wraps `inner`. `watch` must watch the same store.
    #[must_use]
    pub fn new(inner: Arc<dyn PartStore>, watch: Arc<Watch>) -> Self {
        Self { inner, watch }
    }
}

#[async_trait]
impl ObjectStore for GatedStore {
    fn is_certainly_absent(&self, key: &Key) -> bool {
        self.watch.allows_reading(key).is_ok() && self.inner.is_certainly_absent(key)
    }

    async fn head(&self, key: &Key) -> Result<Option<ObjectMeta>> {
        self.watch.allows_reading(key)?;
        self.inner.head(key).await
    }

    async fn find(&self, key: &Key) -> Result<Option<FoundObject>> {
        self.watch.allows_reading(key)?;
        self.inner.find(key).await
    }

    async fn get(&self, key: &Key, range: Option<ByteRange>) -> Result<Option<Object>> {
        self.watch.allows_reading(key)?;
        self.inner.get(key, range).await
    }

    async fn create(&self, key: &Key, bytes: Bytes) -> Result<Created> {
        self.watch.allows_writing(key).await?;
        let needs_space = !bytes.is_empty();
        self.watch.note_write(self.inner.create(key, bytes).await, needs_space)
    }

    async fn begin(&self, key: &Key) -> Result<Box<dyn Upload>> {
        self.watch.allows_writing(key).await?;
        let inner = self.watch.note_write(self.inner.begin(key).await, false)?;
        let watch = Arc::clone(&self.watch);
        Ok(Box::new(GatedUpload { inner, watch, key: key.clone() }))
    }

    async fn copy(&self, from: &Key, to: &Key) -> Result<Option<Created>> {
        self.watch.allows_writing(to).await?;
        self.watch.note_write(self.inner.copy(from, to).await, true)
    }

    async fn hand_over(&self, from: &Key, to: &Key) -> Result<Option<Created>> {
        self.watch.allows_writing(to).await?;
        self.watch.note_write(self.inner.hand_over(from, to).await, true)
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.watch.allows_writing(key).await?;
        self.watch.note_write(self.inner.delete(key).await, false)
    }

    async fn create_empty(&self, keys: &[Key]) -> Result<()> {
        let Some(first) = keys.first() else { return Ok(()) };
        self.watch.allows_writing(first).await?;
        self.watch.note_write(self.inner.create_empty(keys).await, false)
    }

    async fn delete_all(&self, keys: &[Key]) -> Result<()> {
        let Some(first) = keys.first() else { return Ok(()) };
        self.watch.allows_writing(first).await?;
        self.watch.note_write(self.inner.delete_all(keys).await, false)
    }

    fn list(&self, prefix: &Prefix, options: List) -> BoxStream<'_, Result<ObjectMeta>> {
        match self.watch.allows_reading(prefix) {
            Ok(()) => self.inner.list(prefix, options),
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }

    async fn list_each(&self, prefixes: &[Prefix]) -> Result<Vec<Vec<Result<ObjectMeta>>>> {
        if let Some(first) = prefixes.first() {
            self.watch.allows_reading(first)?;
        }
        self.inner.list_each(prefixes).await
    }

    // Allowed without a check: it changes nothing visible, and readers need it.
    async fn persist(&self, keys: &[Key]) -> Result<()> {
        self.inner.persist(keys).await
    }

    fn has_files(&self) -> bool {
        self.inner.has_files()
    }

    async fn presign(&self, key: &Key, options: &PresignOptions) -> Result<Option<String>> {
        self.watch.allows_reading(key)?;
        self.inner.presign(key, options).await
    }
}

#[async_trait]
impl PartStore for GatedStore {
    async fn begin_parts(&self, key: &Key) -> Result<Parts> {
        self.watch.allows_writing(key).await?;
        self.watch.note_write(self.inner.begin_parts(key).await, false)
    }

    async fn write_part(&self, parts: &Parts, number: u32, offset: u64, bytes: Bytes) -> Result<Option<Part>> {
        self.watch.allows_writing(&parts.key).await?;
        self.watch.note_write(self.inner.write_part(parts, number, offset, bytes).await, true)
    }

    async fn commit_parts(&self, parts: &Parts, written: &[Part]) -> Result<Option<Created>> {
        self.watch.allows_writing(&parts.key).await?;
        self.watch.note_write(self.inner.commit_parts(parts, written).await, false)
    }

    async fn abort_parts(&self, parts: &Parts) -> Result<()> {
        self.watch.allows_writing(&parts.key).await?;
        self.inner.abort_parts(parts).await
    }

    fn unfinished(&self) -> BoxStream<'_, Result<Unfinished>> {
        match self.watch.allows_reading("unfinished objects") {
            Ok(()) => self.inner.unfinished(),
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }
}

/// An upload that may have begun before writing was forbidden, so its commit is checked again.
struct GatedUpload {
    inner: Box<dyn Upload>,
    watch: Arc<Watch>,
    key: Key,
}

#[async_trait]
impl Upload for GatedUpload {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.watch.note_write(self.inner.write(bytes).await, false)
    }

    fn set_owner(&mut self, owner: Owner) {
        self.inner.set_owner(owner);
    }

    async fn relax(&mut self) -> Result<()> {
        self.inner.relax().await
    }

    async fn commit(self: Box<Self>) -> Result<Created> {
        if let Err(error) = self.watch.allows_writing(&self.key).await {
            self.inner.abort().await;
            return Err(error);
        }
        let Self { inner, watch, .. } = *self;
        watch.note_write(inner.commit().await, true)
    }

    async fn abort(self: Box<Self>) {
        self.inner.abort().await;
    }
}
