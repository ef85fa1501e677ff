//! `publish --sums`: a file with the digests of all others, as a file of the release, for those who sign it.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};

use super::facts::Facts;
use super::local_files::Hashed;
use crate::cli::CliError;
use crate::client::{ClientError, Content};
use crate::domain::Digest;
use crate::domain::manifest::Descriptor;
use crate::domain::sums::{SUMS_FILE, SumFormat, sums};

/// A text that is held in memory.
#[derive(Debug)]
struct Text {
    bytes: Bytes,
    blob: Descriptor,
}

/// The file with the digests of `files`.
pub(super) fn of(files: &[Hashed]) -> Result<Hashed, CliError> {
    if files.iter().any(|file| file.name.as_str() == SUMS_FILE) {
        let detail = format!("{SUMS_FILE} is among the files already; leave it out, or leave out --sums.");
        return Err(CliError::usage(detail));
    }
    let bytes = Bytes::from(sums(files.iter().map(|file| (&file.name, file.blob)), SumFormat::Gnu));
    let blob = Descriptor { digest: Digest::of(&bytes), size: bytes.len() as u64 };
    let name = SUMS_FILE.parse().map_err(anyhow::Error::from)?;
    let (content, facts) = (Arc::new(Text { bytes, blob }), Facts { is_utf8: true, variant: None });
    Ok(Hashed { name, blob, executable: false, content, path: None, facts })
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
