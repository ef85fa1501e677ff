//! Checking for objects, and creating small ones with one conditional PUT each.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::{ByteStream, DateTime};
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;

use super::super::{Created, Key, ObjectMeta, Result};
use super::error::{Failure, Reason};
use super::retry::{Attempts, absent_is_none, odd};
use super::{AT_ONCE, Inner};

/// Name of the metadata field that identifies the writer of an object. Engines keep at least 256 bytes of metadata.
pub(super) const MARK: &str = "larder-writer";
/// How long to wait for the one-byte body of a check.
const DRAIN: Duration = Duration::from_secs(1);
/// How many times to retry a check if the object appears and disappears between its requests.
const LOOKS: usize = 4;

/// A mark unique to one write: 32 hex digits.
pub(super) fn mark() -> String {
    static SEQUENCE: AtomicU64 = AtomicU64::new(0);
    let mut random = [0; 16];
    if getrandom::fill(&mut random).is_err() {
        // Only ever compared with what the same process wrote a moment ago, so a counter is enough.
        let number = SEQUENCE.fetch_add(1, Ordering::Relaxed);
        random[..8].copy_from_slice(&number.to_be_bytes());
        random[8..12].copy_from_slice(&std::process::id().to_be_bytes());
    }
    hex::encode(random)
}

/// Result of checking a key.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) meta: ObjectMeta,
    /// The writer's mark, if a Larder process wrote it.
    pub(super) mark: Option<String>,
}

impl Inner {
    /// Checks what is stored under a key. GETs the first byte instead of sending HEAD: the response to HEAD has no
    /// body, so it cannot tell a free key from a missing bucket, and in the latter case nothing may be taken for
    /// absent.
    pub(super) async fn look(&self, key: &Key) -> std::result::Result<Option<Seen>, Failure> {
        for _ in 0..LOOKS {
            let mut attempts = Attempts::of("head", self.settings.timeouts);
            let request =
                || self.client.get_object().bucket(&self.settings.bucket).key(self.full(key)).range("bytes=0-0");
            match attempts.run(|| request().send()).await {
                Ok(answer) => {
                    let seen = Seen { meta: meta_of(key, &answer)?, mark: mark_of(answer.metadata()) };
                    // Reading the body to its end keeps the connection reusable, but is not worth waiting long for.
                    let _ = tokio::time::timeout(DRAIN, answer.body.collect()).await;
                    return Ok(Some(seen));
                }
                Err(failure) if failure.reason == Reason::Absent => return Ok(None),
                // Empty objects have no first byte.
                Err(failure) if failure.reason == Reason::Range => {}
                Err(failure) => return Err(failure),
            }
            if let Some(seen) = self.look_at_empty(key).await? {
                return Ok(Some(seen));
            }
        }
        Err(Failure::broken("the object comes and goes"))
    }

    async fn look_at_empty(&self, key: &Key) -> std::result::Result<Option<Seen>, Failure> {
        let mut attempts = Attempts::of("head", self.settings.timeouts);
        let request = || self.client.head_object().bucket(&self.settings.bucket).key(self.full(key));
        let Some(answer) = absent_is_none(attempts.run(|| request().send()).await)? else { return Ok(None) };
        let size = u64::try_from(answer.content_length().unwrap_or(0)).unwrap_or(0);
        let meta = ObjectMeta { key: key.clone(), size, modified: seconds(answer.last_modified()) };
        Ok(Some(Seen { meta, mark: mark_of(answer.metadata()) }))
    }

    pub(super) async fn create(&self, key: &Key, bytes: Bytes) -> Result<Created> {
        if self.settings.single_writer {
            let _turn = self.turn(key).await;
            return match self.look(key).await.map_err(|failure| failure.about(key))? {
                Some(_) => Ok(Created::AlreadyExists),
                None => self.put(key, bytes, None).await,
            };
        }
        self.put(key, bytes, Some("*")).await
    }

    async fn put(&self, key: &Key, bytes: Bytes, unless: Option<&str>) -> Result<Created> {
        let mark = mark();
        let mut attempts = Attempts::sending("create", self.settings.timeouts, bytes.len());
        let request = || {
            let request = self.client.put_object().bucket(&self.settings.bucket).key(self.full(key));
            let request = request.metadata(MARK, &mark).set_if_none_match(unless.map(str::to_owned));
            let request = request.body(ByteStream::from(bytes.clone())).customize();
            if self.signs_bodies { request } else { request.disable_payload_signing() }.send()
        };
        match attempts.run(request).await {
            Ok(_) => Ok(Created::New),
            Err(failure) if failure.reason == Reason::Precondition && attempts.unsure => {
                self.whose(key, &mark).await.map_err(|failure| failure.about(key))
            }
            Err(failure) if failure.reason == Reason::Precondition => Ok(Created::AlreadyExists),
            Err(failure) if failure.reason == Reason::Unsupported && unless.is_some() => Err(failure
                .advise(
                    "the engine must create objects only if their key is free; if this is the only \
                     process that writes, set store.single_writer = true",
                )
                .about(key)),
            Err(failure) => Err(failure.about(key)),
        }
    }

    /// Determines who took the key: this writer, with an attempt whose reply was lost, or another one.
    pub(super) async fn whose(&self, key: &Key, mark: &str) -> std::result::Result<Created, Failure> {
        let seen = self.look(key).await?;
        let ours = seen.and_then(|seen| seen.mark).is_some_and(|found| found == mark);
        Ok(if ours { Created::New } else { Created::AlreadyExists })
    }

    pub(super) async fn create_empty(&self, keys: &[Key]) -> Result<()> {
        let created = stream::iter(keys.to_vec())
            .map(|key| async move { self.create(&key, Bytes::new()).await })
            .buffer_unordered(AT_ONCE);
        created.try_for_each(|_| async { Ok(()) }).await
    }
}

/// Metadata of the whole object, from the response to a GET.
pub(super) fn meta_of(key: &Key, answer: &GetObjectOutput) -> std::result::Result<ObjectMeta, Failure> {
    let total = match answer.content_range() {
        Some(range) => range.rsplit_once('/').and_then(|(_, total)| total.parse().ok()),
        None => answer.content_length().and_then(|length| u64::try_from(length).ok()),
    };
    let size = total.ok_or_else(|| odd("the engine does not say how long the object is"))?;
    Ok(ObjectMeta { key: key.clone(), size, modified: seconds(answer.last_modified()) })
}

fn mark_of(metadata: Option<&std::collections::HashMap<String, String>>) -> Option<String> {
    metadata?.get(MARK).cloned()
}

/// Creation time, truncated to seconds: listings are more precise than GETs, and both must agree.
pub(super) fn seconds(time: Option<&DateTime>) -> Timestamp {
    time.and_then(|time| Timestamp::from_second(time.secs()).ok()).unwrap_or(Timestamp::UNIX_EPOCH)
}
