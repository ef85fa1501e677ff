//! Verified downloads that survive broken connections.

use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use super::retry::Retries;
use super::{Client, ClientError, Meter};
use crate::domain::Hasher;
use crate::domain::manifest::Descriptor;

/// Progress of a download: the bytes already written, as length and running hash.
#[derive(Debug, Clone, Default)]
pub struct Position {
    /// Number of bytes written.
    pub length: u64,
    /// Running hash of the bytes written.
    pub hasher: Hasher,
}

impl Client {
    /// Writes a blob to `out`, starting at `position`. Broken transfers are resumed where they stopped; the whole blob
    /// is verified at the end. `out` has been written to even if the result is an error.
    ///
    /// # Errors
    /// [`ClientError::Damaged`] when the digest does not match; else the server's refusal, the transport's failure
    /// after all retries, or an error of `out`.
    pub async fn download<W>(
        &self,
        blob: Descriptor,
        mut position: Position,
        out: &mut W,
        meter: &Meter,
    ) -> Result<(), ClientError>
    where
        W: AsyncWrite + Unpin,
    {
        let mut retries = self.policy.start();
        meter(position.length);
        while position.length < blob.size {
            match self.stretch(blob, &mut position, out, meter, &mut retries).await {
                Ok(()) => {}
                Err(error) => retries.pause(error).await?,
            }
        }
        out.flush().await.map_err(writing)?;
        let actual = position.hasher.finish();
        if actual == blob.digest { Ok(()) } else { Err(damaged(blob, actual.to_string())) }
    }

    /// Reads from one connection until it ends.
    async fn stretch<W>(
        &self,
        blob: Descriptor,
        position: &mut Position,
        out: &mut W,
        meter: &Meter,
        retries: &mut Retries,
    ) -> Result<(), ClientError>
    where
        W: AsyncWrite + Unpin,
    {
        let mut stream = self.blob_from(blob, position.length).await?;
        while let Some(chunk) = stream.chunk().await? {
            let length = position.length + chunk.len() as u64;
            if length > blob.size {
                return Err(damaged(blob, format!("more than its {} bytes", blob.size)));
            }
            out.write_all(&chunk).await.map_err(writing)?;
            position.hasher.update(&chunk);
            position.length = length;
            retries.progressed();
            meter(length);
        }
        if position.length == blob.size {
            return Ok(());
        }
        let reason = format!("after {} of {} bytes", position.length, blob.size);
        Err(ClientError::Broken { server: super::error::origin(&self.base), reason })
    }
}

fn damaged(blob: Descriptor, actual: String) -> ClientError {
    ClientError::Damaged { what: "The blob".to_owned(), expected: blob.digest, actual }
}

fn writing(source: std::io::Error) -> ClientError {
    ClientError::Io { action: "write what was downloaded".to_owned(), source }
}
