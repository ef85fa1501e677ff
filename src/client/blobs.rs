//! Blobs: query for missing ones, upload from a file, download from an offset.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use futures_util::stream::BoxStream;
use reqwest::header::{self, HeaderMap};
use reqwest::{Body, Method, RequestBuilder, Response, StatusCode};
use tokio::time::Instant;

use super::answer::{Answer, checked, describe, next_chunk, tell};
use super::error::origin;
use super::sources::{Search, Sources};
use super::{Client, ClientError, Content, ErrorKind, IDLE, Meter};
use crate::domain::Digest;
use crate::domain::manifest::Descriptor;
use crate::wire::limits::MISSING_DIGESTS;
use crate::wire::{MissingBlobs, MissingQuestion};

/// Whether an upload created a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// The blob was created.
    New,
    /// The server already had it.
    Existing,
}

impl Client {
    /// Which of these blobs the server lacks. Needs a token with the permission to upload.
    ///
    /// # Errors
    /// The server's refusal, or the transport's failure.
    pub async fn missing(&self, digests: &[Digest]) -> Result<HashSet<Digest>, ClientError> {
        let mut missing = HashSet::new();
        for part in digests.chunks(MISSING_DIGESTS) {
            let question = MissingQuestion { digests: part.to_vec() };
            let build = || self.request(Method::POST, self.url("blobs/missing")).json(&question);
            missing.extend(self.answer(build).await?.json::<MissingBlobs>()?.missing);
        }
        Ok(missing)
    }

    /// Whether the server has this blob.
    ///
    /// # Errors
    /// The server's refusal, or the transport's failure.
    pub async fn has_blob(&self, digest: Digest) -> Result<bool, ClientError> {
        Ok(self.look_at(digest).await?.is_some())
    }

    /// Size of a blob in bytes according to the server; `None` if the server does not have it.
    ///
    /// # Errors
    /// The server's refusal, or the transport's failure.
    pub async fn blob_size(&self, digest: Digest) -> Result<Option<u64>, ClientError> {
        let Some(answer) = self.look_at(digest).await? else { return Ok(None) };
        let size = answer.header(header::CONTENT_LENGTH).and_then(|length| length.parse().ok());
        size.map(Some).ok_or_else(|| answer.unexpected("it does not say how long the blob is".to_owned()))
    }

    async fn look_at(&self, digest: Digest) -> Result<Option<Answer>, ClientError> {
        match &self.sources {
            Some(sources) => Box::pin(self.look_at_any(sources, digest)).await,
            None => self.look_at_own(digest).await,
        }
    }

    async fn look_at_any(&self, sources: &Sources, digest: Digest) -> Result<Option<Answer>, ClientError> {
        let mut search = Search::new(sources, format!("the blob {digest}"), self.policy.start());
        let mut is_absent = false;
        loop {
            let (at, client) = match search.next().await {
                // Whoever could be asked has said that it is not there.
                Err(ClientError::NoSource { .. }) if is_absent => return Ok(None),
                next => next?,
            };
            match search.within(at, client.look_at_own(digest)).await {
                Ok(Some(answer)) => return Ok(Some(answer)),
                Ok(None) => {
                    is_absent = true;
                    search.lacks(at);
                }
                Err(error) => search.failed(at, &error),
            }
        }
    }

    async fn look_at_own(&self, digest: Digest) -> Result<Option<Answer>, ClientError> {
        let url = self.url(&format!("blobs/{digest}"));
        match self.answer(|| self.request(Method::HEAD, url.clone())).await {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Uploads a blob, such as a file as it was when it was hashed. It is streamed, never held in memory. After a
    /// broken connection, a large one is resumed where the upload stopped, if the server supports that.
    ///
    /// # Errors
    /// [`ClientError::Changed`] when a file has changed since; else the server's refusal or the transport's failure.
    pub async fn put_blob(&self, upload: &dyn Content, meter: &Meter) -> Result<Stored, ClientError> {
        if upload.blob().size >= self.resumable_from
            && let Some(stored) = self.put_resumable(upload, meter).await?
        {
            return Ok(stored);
        }
        let mut retries = self.policy.start();
        loop {
            let error = match self.put_blob_once(upload, meter).await {
                Ok(stored) => return Ok(stored),
                Err(error) => error,
            };
            if error.kind() == ErrorKind::Integrity {
                return Err(upload.explain(error).await);
            }
            retries.pause(error).await?;
            // Perhaps only the reply was lost, and sending the bytes again is expensive. Asked with the permission to
            // upload, because this token need not be allowed to read blobs.
            if self.missing(&[upload.blob().digest]).await?.is_empty() {
                meter(upload.blob().size);
                return Ok(Stored::Existing);
            }
        }
    }

    async fn put_blob_once(&self, upload: &dyn Content, meter: &Meter) -> Result<Stored, ClientError> {
        let request = self
            .request(Method::PUT, self.url(&format!("blobs/{}", upload.blob().digest)))
            .header(header::CONTENT_TYPE, "application/octet-stream");
        let status = self.send_content(request, upload, 0, meter).await?.status();
        Ok(if status == StatusCode::CREATED { Stored::New } else { Stored::Existing })
    }

    /// Sends the bytes from offset `from` on as the body of a request.
    pub(super) async fn send_content(
        &self,
        request: RequestBuilder,
        upload: &dyn Content,
        from: u64,
        meter: &Meter,
    ) -> Result<Response, ClientError> {
        let bytes = upload.open(from).await?;
        let (sent, size) = (Arc::new(AtomicU64::new(from)), upload.blob().size.saturating_sub(from));
        let request =
            request.header(header::CONTENT_LENGTH, size).body(body(bytes, size, Arc::clone(&sent), Arc::clone(meter)));
        match self.send_watched(request, &sent).await {
            Err(error @ ClientError::Broken { .. }) => Err(upload.explain(error).await),
            result => result,
        }
    }

    /// Sends a request with a large body. Times out only after a period in which no byte was sent.
    async fn send_watched(&self, request: RequestBuilder, sent: &AtomicU64) -> Result<Response, ClientError> {
        let (client, request) = request.build_split();
        let request = request.map_err(|error| ClientError::from_transport(&self.base, &error, IDLE))?;
        let (asked, began) = (describe(&request), Instant::now());
        let sending = client.execute(request);
        tokio::pin!(sending);
        let mut seen = sent.load(Ordering::Relaxed);
        loop {
            tokio::select! {
                result = &mut sending => {
                    tell(&asked, began, result.as_ref());
                    let response = result.map_err(|error| ClientError::from_transport(&self.base, &error, IDLE))?;
                    return checked(response).await;
                }
                () = tokio::time::sleep(IDLE) => {
                    let now = sent.load(Ordering::Relaxed);
                    if now == seen {
                        return Err(ClientError::Timeout { server: origin(&self.base), after: IDLE });
                    }
                    seen = now;
                }
            }
        }
    }

    /// Opens a blob for reading from `offset` on. A single attempt.
    ///
    /// # Errors
    /// The server's refusal, or the transport's failure.
    pub async fn blob_from(&self, blob: Descriptor, offset: u64) -> Result<BlobStream, ClientError> {
        let mut request = self.request(Method::GET, self.url(&format!("blobs/{}", blob.digest)));
        if offset > 0 {
            request = request
                .header(header::RANGE, format!("bytes={offset}-"))
                .header(header::IF_RANGE, format!("\"{}\"", blob.digest));
        }
        let response = self.attempt(request).await?;
        let partial = response.status() == StatusCode::PARTIAL_CONTENT;
        if partial && range_start(response.headers()) != Some(offset) {
            let reason = format!("the range it sent does not begin at byte {offset}");
            return Err(ClientError::Protocol { server: origin(response.url()), reason });
        }
        // A server or proxy without range support sends the whole blob. The bytes are the same, so skip those before
        // `offset`.
        Ok(BlobStream { response, skip: if partial { 0 } else { offset } })
    }
}

/// The bytes of a blob as they are received.
#[derive(Debug)]
pub struct BlobStream {
    response: Response,
    skip: u64,
}

impl BlobStream {
    /// The next chunk, or `None` at the end of the stream, which may be premature.
    ///
    /// # Errors
    /// The transport's failure, or a time-out after one minute without data.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, ClientError> {
        while let Some(mut chunk) = next_chunk(&mut self.response).await? {
            let skipped = self.skip.min(chunk.len() as u64);
            self.skip -= skipped;
            let chunk = chunk.split_off(usize::try_from(skipped).unwrap_or(chunk.len()));
            if !chunk.is_empty() {
                return Ok(Some(chunk));
            }
        }
        Ok(None)
    }
}

/// The first byte position of `Content-Range: bytes FIRST-LAST/LENGTH`.
pub(super) fn range_start(headers: &HeaderMap) -> Option<u64> {
    let value = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    value.strip_prefix("bytes ")?.split_once('-')?.0.parse().ok()
}

fn body(bytes: BoxStream<'static, io::Result<Bytes>>, size: u64, sent: Arc<AtomicU64>, meter: Meter) -> Body {
    if size == 0 {
        return Body::from(Bytes::new());
    }
    let stream = bytes.inspect_ok(move |chunk: &Bytes| {
        let count = chunk.len() as u64;
        meter(sent.fetch_add(count, Ordering::Relaxed) + count);
    });
    Body::wrap_stream(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_of_a_range_is_read() {
        let start = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_RANGE, text.parse().unwrap());
            range_start(&headers)
        };
        assert_eq!(start("bytes 10-99/100"), Some(10));
        assert_eq!(start("bytes 0-0/*"), Some(0));
        assert_eq!(start("bytes */100"), None);
        assert_eq!(start("lines 1-2/3"), None);
    }
}
