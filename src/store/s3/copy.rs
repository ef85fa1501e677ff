//! Server-side copies.
//!
//! Most engines ignore conditions on copies, so the target key is checked first. Copies only go to generations of a
//! blob, which have the same bytes whichever process writes them.

use std::sync::Arc;

use aws_sdk_s3::types::MetadataDirective;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::super::{Created, Key, MAX_PARTS, Part, Result};
use super::Inner;
use super::create::{MARK, mark};
use super::error::{Failure, Reason};
use super::parts::{Multipart, tag_of};
use super::retry::Attempts;

/// Characters that are not percent-encoded in the header that names the copy source.
const LITERAL: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.');
/// Concurrent part copies of one object.
const PARTS_AT_ONCE: usize = 8;

pub(super) async fn copy(inner: &Arc<Inner>, from: &Key, to: &Key) -> Result<Option<Created>> {
    let turn = inner.turn(to).await;
    let (source, target) = tokio::join!(inner.look(from), inner.look(to));
    let Some(source) = source.map_err(|failure| failure.about(from))? else { return Ok(None) };
    if target.map_err(|failure| failure.about(to))?.is_some() {
        return Ok(Some(Created::AlreadyExists));
    }
    if source.meta.size > inner.settings.copy_at_once {
        drop(turn);
        return in_parts(inner, from, to, source.meta.size).await;
    }
    at_once(inner, from, to, source.meta.size).await.map_err(|failure| failure.about(to))
}

async fn at_once(inner: &Inner, from: &Key, to: &Key, size: u64) -> std::result::Result<Option<Created>, Failure> {
    let mark = mark();
    let mut attempts = Attempts::heavy("copy", inner.settings.timeouts, size);
    let request = || {
        let request = inner.client.copy_object().bucket(&inner.settings.bucket).key(inner.full(to));
        let request = request.copy_source(source(inner, from));
        request.metadata_directive(MetadataDirective::Replace).metadata(MARK, &mark).send()
    };
    match attempts.run(request).await {
        Ok(_) => Ok(Some(Created::New)),
        Err(failure) if failure.reason == Reason::Absent => Ok(None),
        Err(failure) if failure.reason == Reason::Precondition && attempts.unsure => {
            inner.whose(to, &mark).await.map(Some)
        }
        Err(failure) if failure.reason == Reason::Precondition => Ok(Some(Created::AlreadyExists)),
        Err(failure) => Err(failure),
    }
}

async fn in_parts(inner: &Arc<Inner>, from: &Key, to: &Key, size: u64) -> Result<Option<Created>> {
    let multipart = Multipart::begin(inner, to).await?;
    let part = inner.settings.copy_at_once.max(size.div_ceil(u64::from(MAX_PARTS)));
    let ranges = (1..).zip((0..size).step_by(usize::try_from(part).unwrap_or(usize::MAX)));
    let copied = ranges.map(|(number, start)| {
        let end = size.min(start + part);
        copy_part(inner, from, to, multipart.id(), number, start..end)
    });
    let parts: Option<Vec<Part>> =
        stream::iter(copied).buffered(PARTS_AT_ONCE).try_collect::<Vec<_>>().await?.into_iter().collect();
    if let Some(parts) = parts {
        return multipart.complete(&parts).await.map(Some);
    }
    multipart.abort().await;
    Ok(None)
}

/// Copies one part. `None` if the source no longer exists.
async fn copy_part(
    inner: &Inner,
    from: &Key,
    to: &Key,
    id: &str,
    number: u32,
    range: std::ops::Range<u64>,
) -> Result<Option<Part>> {
    let size = range.end - range.start;
    let mut attempts = Attempts::heavy("copy", inner.settings.timeouts, size);
    let request = || {
        let request = inner.client.upload_part_copy().bucket(&inner.settings.bucket).key(inner.full(to)).upload_id(id);
        let bytes = format!("bytes={}-{}", range.start, range.end - 1);
        let request =
            request.part_number(number.cast_signed()).copy_source(source(inner, from)).copy_source_range(bytes);
        // The SDK omits `Content-Length` for an empty body, and some engines insist on it.
        request.customize().mutate_request(|request| drop(request.headers_mut().insert("content-length", "0"))).send()
    };
    match attempts.run(request).await {
        Ok(answer) => {
            let tag = tag_of(to, answer.copy_part_result.and_then(|result| result.e_tag))?;
            Ok(Some(Part { number, size, tag }))
        }
        Err(failure) if failure.reason == Reason::Absent => Ok(None),
        Err(failure) => Err(failure.about(to)),
    }
}

fn source(inner: &Inner, key: &Key) -> String {
    let path = format!("{}/{}", inner.settings.bucket, inner.full(key));
    utf8_percent_encode(&path, LITERAL).to_string()
}
