//! Another Larder server as a source of intact blobs.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::io::AsyncWrite;

use crate::cli::Context;
use crate::cli::progress::Progress;
use crate::client::{Client, ClientError, ErrorKind, Meter, Position};
use crate::domain::Digest;
use crate::domain::manifest::Descriptor;
use crate::upkeep::verify::{Source, SourceError};

/// The server to heal from.
pub(super) struct Peer {
    pub(super) client: Client,
    /// For a command that somebody watches: where progress is shown.
    pub(super) shown: Option<Context>,
}

#[async_trait]
impl Source for Peer {
    async fn fetch(
        &self,
        digest: Digest,
        size: Option<u64>,
        mut out: &mut (dyn AsyncWrite + Send + Unpin),
    ) -> Result<(), SourceError> {
        let there = self.client.blob_size(digest).await.map_err(|error| self.refusal(&error))?;
        let there = there.ok_or_else(|| SourceError::Blob(format!("{} does not have it.", self.client.base())))?;
        if let Some(size) = size.filter(|size| *size != there) {
            let why = format!("{} has {there} bytes of it, not {size}.", self.client.base());
            return Err(SourceError::Blob(why));
        }
        let bar = self.shown.as_ref().map(|context| Progress::new(context, "fetching", there));
        let meter = bar.as_ref().map_or_else(|| Arc::new(|_| {}) as Meter, Progress::meter);
        let blob = Descriptor { digest, size: there };
        let result = self.client.download(blob, Position::default(), &mut out, &meter).await;
        result.map_err(|error| self.refusal(&error))
    }
}

impl Peer {
    fn refusal(&self, error: &ClientError) -> SourceError {
        match error {
            ClientError::Connect { .. } | ClientError::Timeout { .. } => SourceError::Unreachable(error.to_string()),
            error if error.kind() == ErrorKind::Auth => {
                let hint = "Use --heal-token-file FILE with a token that may read.";
                SourceError::Unreachable(format!("{} refuses: {error} {hint}", self.client.base()))
            }
            error => SourceError::Blob(error.to_string()),
        }
    }
}
