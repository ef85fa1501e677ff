//! A file of a publish whose content is not on a disk.

use std::io;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};

use crate::client::{ClientError, Content};
use crate::domain::Digest;
use crate::domain::manifest::Descriptor;

/// A text that is held in memory.
#[derive(Debug)]
pub(in crate::cli) struct Text {
    bytes: Bytes,
    blob: Descriptor,
}

impl Text {
    /// The text with these bytes.
    pub(in crate::cli) fn new(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let blob = Descriptor { digest: Digest::of(&bytes), size: bytes.len() as u64 };
        Self { bytes, blob }
    }
}

#[async_trait]
impl Content for Text {
    fn blob(&self) -> Descriptor {
        self.blob
    }

    async fn open(&self, from: u64) -> Result<BoxStream<'static, io::Result<Bytes>>, ClientError> {
        let from = usize::try_from(from).unwrap_or(usize::MAX).min(self.bytes.len());
        Ok(stream::iter([Ok(self.bytes.slice(from..))]).boxed())
    }

    async fn explain(&self, error: ClientError) -> ClientError {
        error
    }
}
