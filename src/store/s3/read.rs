//! Reading objects as streams. A body that breaks off is resumed where it broke, and never ends short.

use std::sync::Arc;

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};

use super::super::{ByteRange, Key, Object, Result, StoreErrorKind};
use super::Inner;
use super::create::meta_of;
use super::error::{Failure, Reason};
use super::retry::{Attempts, absent_is_none, odd};

/// How often a body may break off before the read fails. Reset after every [`PROGRESS`] bytes.
const BREAKS: u32 = 5;
/// Bytes after which earlier breaks no longer count.
const PROGRESS: u64 = 64 << 20;

/// Opens an object, or a range of it.
pub(super) async fn open(inner: &Arc<Inner>, key: &Key, range: Option<ByteRange>) -> Result<Option<Object>> {
    open_it(inner, key, range).await.map_err(|failure| failure.about(key))
}

async fn open_it(
    inner: &Arc<Inner>,
    key: &Key,
    range: Option<ByteRange>,
) -> std::result::Result<Option<Object>, Failure> {
    if range.is_some_and(|range| range.start >= range.end) {
        return nothing_of(inner, key).await;
    }
    let answer = match absent_is_none(get(inner, key, range, None).await) {
        Ok(Some(answer)) => answer,
        Ok(None) => return Ok(None),
        // The range holds no byte of the object; an empty object has none at all.
        Err(failure) if failure.reason == Reason::Range => return nothing_of(inner, key).await,
        Err(failure) => return Err(failure),
    };
    let meta = meta_of(key, &answer)?;
    let range = range.unwrap_or(ByteRange { start: 0, end: meta.size });
    let end = range.end.min(meta.size);
    check_start(&answer, range.start, end)?;
    let reader = Reader {
        inner: Arc::clone(inner),
        key: key.clone(),
        tag: answer.e_tag,
        body: answer.body,
        at: range.start,
        end,
        breaks: 0,
        since: range.start,
    };
    Ok(Some(Object { meta, body: reader.stream(), file: None }))
}

async fn nothing_of(inner: &Inner, key: &Key) -> std::result::Result<Option<Object>, Failure> {
    let seen = inner.look(key).await?;
    Ok(seen.map(|seen| Object { meta: seen.meta, body: stream::empty().boxed(), file: None }))
}

async fn get(
    inner: &Inner,
    key: &Key,
    range: Option<ByteRange>,
    tag: Option<&str>,
) -> std::result::Result<GetObjectOutput, Failure> {
    let mut attempts = Attempts::of("get", inner.settings.timeouts);
    // HTTP ranges include their last byte.
    let range = range.map(|range| match range.end.checked_sub(1) {
        Some(last) if last <= i64::MAX.cast_unsigned() => format!("bytes={}-{last}", range.start),
        _ => format!("bytes={}-", range.start),
    });
    let request = || {
        let request = inner.client.get_object().bucket(&inner.settings.bucket).key(inner.full(key));
        request.set_range(range.clone()).set_if_match(tag.map(str::to_owned)).send()
    };
    attempts.run(request).await
}

/// Guards against engines that ignore ranges and return other bytes than requested.
fn check_start(answer: &GetObjectOutput, start: u64, end: u64) -> std::result::Result<(), Failure> {
    let first = answer.content_range().and_then(|range| range.strip_prefix("bytes ")?.split_once('-')?.0.parse().ok());
    let length = answer.content_length().and_then(|length| u64::try_from(length).ok());
    if first.unwrap_or(0) == start && length.is_none_or(|length| length == end.saturating_sub(start)) {
        return Ok(());
    }
    Err(odd(format!("the engine was asked for the bytes from {start} to {end} and sends others")))
}

struct Reader {
    inner: Arc<Inner>,
    key: Key,
    /// The entity tag: a resumed read must continue the same object.
    tag: Option<String>,
    body: ByteStream,
    at: u64,
    end: u64,
    breaks: u32,
    /// Offset from which breaks are counted.
    since: u64,
}

impl Reader {
    fn stream(self) -> BoxStream<'static, Result<Bytes>> {
        stream::unfold(Some(self), |reader| async {
            let mut reader = reader?;
            match reader.next().await {
                Ok(None) => None,
                Ok(Some(bytes)) => Some((Ok(bytes), Some(reader))),
                Err(failure) => Some((Err(failure.about(&reader.key)), None)),
            }
        })
        .boxed()
    }

    /// The next bytes; `None` at the end.
    async fn next(&mut self) -> std::result::Result<Option<Bytes>, Failure> {
        while self.at < self.end {
            let idle = self.inner.settings.timeouts.attempt;
            let broken = match tokio::time::timeout(idle, self.body.next()).await {
                Ok(Some(Ok(bytes))) if bytes.is_empty() => continue,
                Ok(Some(Ok(bytes))) => {
                    self.at += bytes.len() as u64;
                    return if self.at <= self.end { Ok(Some(bytes)) } else { Err(odd("more bytes than announced")) };
                }
                Ok(Some(Err(error))) => error.to_string(),
                Ok(None) => "the body ended early".to_owned(),
                Err(_) => "the body stalled".to_owned(),
            };
            self.take_up_again(&broken).await?;
        }
        Ok(None)
    }

    async fn take_up_again(&mut self, broken: &str) -> std::result::Result<(), Failure> {
        if self.at - self.since >= PROGRESS {
            (self.since, self.breaks) = (self.at, 0);
        }
        self.breaks += 1;
        if self.breaks > BREAKS {
            return Err(Failure::broken(format!(
                "the body broke off {BREAKS} times, at last at byte {}: {broken}",
                self.at
            )));
        }
        tracing::debug!(key = %self.key, at = self.at, broken, "taking up a body again");
        metrics::counter!("larder_store_retries_total", "operation" => "body").increment(1);
        let range = ByteRange { start: self.at, end: self.end };
        let answer = get(&self.inner, &self.key, Some(range), self.tag.as_deref()).await.map_err(|failure| {
            let other = matches!(failure.reason, Reason::Absent | Reason::Precondition | Reason::Range);
            let gone = || Failure::new(failure.reason, StoreErrorKind::Unavailable, "deleted while it was read");
            if other { gone() } else { failure }
        })?;
        check_start(&answer, self.at, self.end)?;
        self.body = answer.body;
        Ok(())
    }
}
