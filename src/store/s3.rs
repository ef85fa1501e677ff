//! The S3 backend: immutable objects in a bucket, or under a prefix of one.
//!
//! Requires of the engine: an atomic PUT with `If-None-Match: *`, and listings that show writes immediately. The
//! backend never overwrites a key that it knows to exist, never keeps whole objects in memory, and never lets the SDK
//! retry.
//!
//! # What is exact, and what is not
//! - A small object is one conditional PUT: of all writers in all processes, exactly one gets [`Created::New`].
//! - Every write carries a random mark in the object's metadata. If the reply to a write is lost and the retry finds
//!   the key taken, the mark shows whether this writer took it.
//! - A streamed object larger than one part, and a copy, become visible by requests whose conditions most engines
//!   ignore. The key is checked first, and writers of one process take turns. If writers of several processes race for
//!   one key, all of them may get [`Created::New`], and the last one's object remains. So both are only for keys that
//!   determine their bytes, such as the generations of a blob: then it does not matter whose object remains.
//! - `persist` is a no-op: engines acknowledge a write once it is durable.

mod client;
mod copy;
mod create;
mod delete;
mod error;
mod list;
mod parts;
mod read;
mod retry;
mod upload;

use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::presigning::PresigningConfig;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use tokio::sync::{Mutex, MutexGuard};

use super::{
    ByteRange, Created, Key, List, Object, ObjectMeta, ObjectStore, Part, PartStore, Parts, Prefix, PresignOptions,
    Result, StoreError, StoreErrorKind, Unfinished, Upload,
};
use crate::shares::Memory;

pub use client::{AccessKey, S3Settings};
pub use retry::Timeouts;

/// Number of locks that writers of one process share; writers of keys that hash to different locks do not wait for each
/// other.
const TURNS: usize = 256;
/// Concurrent requests of a call that takes many keys.
const AT_ONCE: usize = 32;

/// A store in a bucket. Cheap to clone. Any number of processes may share one.
#[derive(Clone)]
pub struct S3Store {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client,
    settings: S3Settings,
    signs_bodies: bool,
    /// Prefix of every key in the bucket: empty, or ending with `/`.
    prefix: String,
    memory: Memory,
    turns: Vec<Mutex<()>>,
    /// Set when the engine turns out not to support batch deletion.
    deletes_one_by_one: AtomicBool,
}

impl fmt::Debug for S3Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Store").field("settings", &self.inner.settings).finish_non_exhaustive()
    }
}

impl S3Store {
    /// Creates a store in the bucket that `settings` names. Sends no request to the bucket: the first call shows
    /// whether it can be used.
    ///
    /// # Errors
    /// [`StoreErrorKind::Internal`] if the settings contradict each other.
    pub async fn connect(settings: S3Settings) -> Result<Self> {
        settings.check().map_err(|text| StoreError::new(StoreErrorKind::Internal, &settings.bucket, text))?;
        let (client, signs_bodies) = client::connect(&settings).await;
        let prefix = if settings.prefix.is_empty() { String::new() } else { format!("{}/", settings.prefix) };
        let inner = Inner {
            client,
            signs_bodies,
            prefix,
            memory: Memory::new(settings.memory, settings.timeouts.give_up),
            turns: std::iter::repeat_with(Mutex::default).take(TURNS).collect(),
            deletes_one_by_one: AtomicBool::default(),
            settings,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The settings that the store was opened with.
    #[must_use]
    pub fn settings(&self) -> &S3Settings {
        &self.inner.settings
    }
}

impl Inner {
    /// The full key in the bucket.
    fn full(&self, key: &Key) -> String {
        format!("{}{key}", self.prefix)
    }

    /// Strips the prefix off a key in the bucket.
    fn own(&self, full: &str) -> Result<Key> {
        let text = full.strip_prefix(&self.prefix).unwrap_or(full);
        text.parse().map_err(|_| StoreError::stray(full))
    }

    /// Waits for a turn, so that no other writer of this process is between checking this key and taking it.
    async fn turn(&self, key: &Key) -> MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let at = usize::try_from(hasher.finish() % TURNS as u64).unwrap_or_default();
        self.turns[at].lock().await
    }
}

#[async_trait]
impl ObjectStore for S3Store {
    async fn head(&self, key: &Key) -> Result<Option<ObjectMeta>> {
        let seen = self.inner.look(key).await.map_err(|failure| failure.about(key))?;
        Ok(seen.map(|seen| seen.meta))
    }

    async fn get(&self, key: &Key, range: Option<ByteRange>) -> Result<Option<Object>> {
        read::open(&self.inner, key, range).await
    }

    async fn create(&self, key: &Key, bytes: Bytes) -> Result<Created> {
        self.inner.create(key, bytes).await
    }

    async fn begin(&self, key: &Key) -> Result<Box<dyn Upload>> {
        Ok(Box::new(upload::S3Upload::new(Arc::clone(&self.inner), key.clone())))
    }

    async fn copy(&self, from: &Key, to: &Key) -> Result<Option<Created>> {
        copy::copy(&self.inner, from, to).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.inner.delete(key).await
    }

    async fn create_empty(&self, keys: &[Key]) -> Result<()> {
        self.inner.create_empty(keys).await
    }

    async fn delete_all(&self, keys: &[Key]) -> Result<()> {
        self.inner.delete_all(keys).await
    }

    fn list(&self, prefix: &Prefix, options: List) -> BoxStream<'_, Result<ObjectMeta>> {
        list::objects(&self.inner, prefix, options)
    }

    async fn presign(&self, key: &Key, options: &PresignOptions) -> Result<Option<String>> {
        let internal = |text: String| StoreError::new(StoreErrorKind::Internal, key, text);
        let config = PresigningConfig::expires_in(options.valid_for).map_err(|error| internal(error.to_string()))?;
        let request = self.inner.client.get_object().bucket(&self.inner.settings.bucket).key(self.inner.full(key));
        let request =
            request.response_content_type(&options.media_type).response_content_disposition(&options.disposition);
        let signed = request.presigned(config).await;
        let signed = signed.map_err(|error| error::Failure::from(error).about(key))?;
        Ok(Some(signed.uri().to_owned()))
    }
}

#[async_trait]
impl PartStore for S3Store {
    async fn begin_parts(&self, key: &Key) -> Result<Parts> {
        let id = self.inner.begin_multipart(key, &create::mark()).await.map_err(|failure| failure.about(key))?;
        Ok(Parts { key: key.clone(), id })
    }

    async fn write_part(&self, parts: &Parts, number: u32, _: u64, bytes: Bytes) -> Result<Option<Part>> {
        let size = bytes.len() as u64;
        let tag = self.inner.put_part(&parts.key, &parts.id, number, bytes).await?;
        Ok(tag.map(|tag| Part { number, size, tag }))
    }

    async fn commit_parts(&self, parts: &Parts, written: &[Part]) -> Result<Option<Created>> {
        self.inner.commit_parts(parts, written).await
    }

    async fn abort_parts(&self, parts: &Parts) -> Result<()> {
        self.inner.abort_multipart(&parts.key, &parts.id).await.map_err(|failure| failure.about(&parts.key))
    }

    fn unfinished(&self) -> BoxStream<'_, Result<Unfinished>> {
        list::unfinished(&self.inner)
    }
}
