//! Files of other servers as content to upload: their bytes pass through, chunk by chunk.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use reqwest::{Method, Response, StatusCode, Url};

use super::answer::next_chunk;
use super::blobs::range_start;
use super::error::origin;
use super::web::{Web, length, shown};
use super::{ClientError, Content};
use crate::domain::manifest::Descriptor;

/// A file of another server. After a broken transfer it is read on from where that ended.
pub struct Remote {
    web: Web,
    url: Url,
    accept: &'static str,
    blob: Descriptor,
    /// What went wrong while the bytes were sent on.
    failure: Arc<Mutex<Option<ClientError>>>,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("url", &shown(&self.url)).field("blob", &self.blob).finish_non_exhaustive()
    }
}

#[async_trait]
impl Content for Remote {
    fn blob(&self) -> Descriptor {
        self.blob
    }

    async fn open(&self, from: u64) -> Result<BoxStream<'static, io::Result<Bytes>>, ClientError> {
        let refuse = |reason: String| ClientError::Unusable { url: shown(&self.url), reason };
        let response = self.web.open(Method::GET, &self.url, self.accept, from).await?;
        let response = response.ok_or_else(|| refuse("there is no such file any more".to_owned()))?;
        let partial = response.status() == StatusCode::PARTIAL_CONTENT;
        if partial && range_start(response.headers()) != Some(from) {
            return Err(refuse(format!("the range it sent does not begin at byte {from}")));
        }
        let skip = if partial { 0 } else { from };
        let expected = self.blob.size - from + skip;
        match length(response.headers()) {
            Some(length) if length != expected => {
                let actual = length + from - skip;
                return Err(refuse(format!("it has {actual} bytes, not {}", self.blob.size)));
            }
            _ => {}
        }
        let (failure, url) = (Arc::clone(&self.failure), self.url.clone());
        let state = Some(Reading { response, skip, left: self.blob.size - from });
        let chunks = stream::unfold(state, move |state| {
            let (failure, url) = (Arc::clone(&failure), url.clone());
            async move {
                match state?.next(&url).await {
                    Ok(next) => next.map(|(chunk, reading)| (Ok(chunk), Some(reading))),
                    Err(error) => {
                        let broken = io::Error::other(error.to_string());
                        *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                        Some((Err(broken), None))
                    }
                }
            }
        });
        Ok(chunks.boxed())
    }

    async fn explain(&self, error: ClientError) -> ClientError {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or(error)
    }
}

impl Remote {
    /// The file at `url`, which should be these bytes.
    #[must_use]
    pub fn new(web: Web, url: Url, accept: &'static str, blob: Descriptor) -> Self {
        Self { web, url, accept, blob, failure: Arc::default() }
    }
}

/// A response that is read on.
struct Reading {
    response: Response,
    /// Bytes at the beginning that were sent already.
    skip: u64,
    /// Bytes that must follow them.
    left: u64,
}

impl Reading {
    async fn next(mut self, url: &Url) -> Result<Option<(Bytes, Self)>, ClientError> {
        while let Some(mut chunk) = next_chunk(&mut self.response).await? {
            let skipped = self.skip.min(chunk.len() as u64);
            self.skip -= skipped;
            let chunk = chunk.split_off(usize::try_from(skipped).unwrap_or(chunk.len()));
            if chunk.is_empty() {
                continue;
            }
            let Some(left) = self.left.checked_sub(chunk.len() as u64) else {
                let reason = "it is longer than it should be".to_owned();
                return Err(ClientError::Unusable { url: shown(url), reason });
            };
            self.left = left;
            return Ok(Some((chunk, self)));
        }
        if self.left == 0 {
            return Ok(None);
        }
        let reason = format!("{} bytes before the end of the file", self.left);
        Err(ClientError::Broken { server: origin(url), reason })
    }
}
