//! Verified downloads that survive broken connections.

use std::collections::BTreeSet;

use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Instant, timeout};

use super::retry::Retries;
use super::sources::{LEAST, PATIENCE, Search, Sources};
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

/// A download under way.
struct Download<'a, W> {
    blob: Descriptor,
    position: Position,
    out: &'a mut W,
    meter: &'a Meter,
}

impl Client {
    /// Writes a blob to `out`, starting at `position`. Broken transfers are resumed where they stopped, if there are
    /// mirrors from another server; the whole blob is verified at the end. `out` has been written to even if the result
    /// is an error.
    ///
    /// # Errors
    /// [`ClientError::Damaged`] when the digest does not match: it may be downloaded again from its first byte, as often as
    /// [`Client::downloads`] says. Else the server's refusal, the transport's failure after all retries, or an error of
    /// `out`.
    pub async fn download<W>(
        &self,
        blob: Descriptor,
        position: Position,
        out: &mut W,
        meter: &Meter,
    ) -> Result<(), ClientError>
    where
        W: AsyncWrite + Unpin,
    {
        meter(position.length);
        let mut download = Download { blob, position, out, meter };
        if let Some(sources) = &self.sources {
            return Box::pin(download.run(sources, self.policy.start())).await;
        }
        let mut retries = self.policy.start();
        while download.is_open() {
            match download.stretch(self, false, &mut retries).await {
                Ok(()) => {}
                Err(error) => retries.pause(error).await?,
            }
        }
        download.finish().await
    }

    /// How often a download may be begun: one that is damaged may be so because of earlier bytes, or of one of the servers.
    #[must_use]
    pub fn downloads(&self) -> usize {
        2 * self.sources.as_ref().map_or(1, |sources| sources.clients().count() + 1)
    }
}

impl<W: AsyncWrite + Unpin> Download<'_, W> {
    fn is_open(&self) -> bool {
        self.position.length < self.blob.size
    }

    /// Downloads from one server after the other.
    async fn run(&mut self, sources: &Sources, retries: Retries) -> Result<(), ClientError> {
        let digest = self.blob.digest;
        let mut search = Search::new(sources, format!("the blob {digest}"), retries);
        // Who has sent parts of it. What was there before is of somebody unknown.
        let (resumed, mut senders) = (self.position.length > 0, BTreeSet::new());
        while self.is_open() {
            let (at, client) = search.next().await?;
            if sources.is_mixed(digest) && !senders.is_empty() && !senders.contains(&at) {
                return Err(damaged(self.blob, "parts from several servers".to_owned()));
            }
            let (before, impatient) = (self.position.length, search.has_others(at));
            let result = self.stretch(client, impatient, &mut search.retries).await;
            if self.position.length > before {
                senders.insert(at);
            }
            match result {
                Ok(()) => {}
                Err(error @ ClientError::Io { .. }) => return Err(error),
                Err(error) => search.failed(at, &error),
            }
        }
        let result = self.finish().await;
        if let Err(error @ ClientError::Damaged { .. }) = &result {
            match senders.first() {
                Some(at) if senders.len() == 1 && !resumed => search.failed(*at, error),
                _ => sources.set_mixed(digest),
            }
        }
        result
    }

    /// Reads from one connection until it ends; an impatient one also ends where it is slow.
    async fn stretch(&mut self, client: &Client, impatient: bool, retries: &mut Retries) -> Result<(), ClientError> {
        let server = || super::error::origin(&client.base);
        let slow = || ClientError::Timeout { server: server(), after: PATIENCE };
        let limit = if impatient { PATIENCE } else { super::IDLE * 2 };
        let opened = timeout(limit, client.blob_from(self.blob, self.position.length)).await;
        let mut stream = opened.map_err(|_| slow())??;
        let (mut since, mut received) = (Instant::now(), 0);
        while let Some(chunk) = timeout(limit, stream.chunk()).await.map_err(|_| slow())?? {
            let length = self.position.length + chunk.len() as u64;
            if length > self.blob.size {
                return Err(damaged(self.blob, format!("more than its {} bytes", self.blob.size)));
            }
            self.out.write_all(&chunk).await.map_err(writing)?;
            self.position.hasher.update(&chunk);
            self.position.length = length;
            retries.progressed();
            (self.meter)(length);
            received += chunk.len() as u64;
            if impatient && since.elapsed() > PATIENCE {
                if received < LEAST && self.is_open() {
                    return Err(slow());
                }
                (since, received) = (Instant::now(), 0);
            }
        }
        if !self.is_open() {
            return Ok(());
        }
        let reason = format!("after {} of {} bytes", self.position.length, self.blob.size);
        Err(ClientError::Broken { server: server(), reason })
    }

    async fn finish(&mut self) -> Result<(), ClientError> {
        self.out.flush().await.map_err(writing)?;
        let actual = std::mem::take(&mut self.position.hasher).finish();
        if actual == self.blob.digest { Ok(()) } else { Err(damaged(self.blob, actual.to_string())) }
    }
}

fn damaged(blob: Descriptor, actual: String) -> ClientError {
    ClientError::Damaged { what: "The blob".to_owned(), expected: blob.digest, actual }
}

fn writing(source: std::io::Error) -> ClientError {
    ClientError::Io { action: "write what was downloaded".to_owned(), source }
}
