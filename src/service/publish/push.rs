//! Pushing as registry clients do: a manifest by its digest, under tags, or both.

use bytes::Bytes;

use super::error::complete;
use super::secure::held;
use super::{Document, Publish, PublishError, PublishOptions, Receipt};
use crate::domain::head::Change;
use crate::domain::manifest::Descriptor;
use crate::domain::{Author, LogName, Sha512, Summary};

/// The result of a push.
#[derive(Debug)]
pub struct Pushed {
    /// The logs that have the manifest now, in the order in which they were named.
    pub receipts: Vec<Receipt>,
    /// Why those that follow do not. Repeating the push completes it.
    pub failed: Option<PublishError>,
}

impl Publish {
    /// Publishes a manifest of this media type (`None`: a release in Larder's own format) in several logs of a repository.
    /// All versions are prepared and secured before the first is committed; from then on the commits are carried through one
    /// after the other. Their rows keep the SHA-512 digest by which it was pushed, if it was.
    ///
    /// # Errors
    /// A [`PublishError`]; nothing is changed then.
    pub async fn push(
        &self,
        logs: &[LogName],
        (bytes, media_type): (Bytes, Option<&'static str>),
        (options, sha512): (&PublishOptions, Option<Sha512>),
        by: &Author,
    ) -> Result<Pushed, PublishError> {
        let document = self.checked_as(bytes, media_type).await?;
        let mut prepared = Vec::new();
        match Box::pin(self.prepare_all(logs, (&document, sha512), options, by, &mut prepared)).await {
            Ok(()) => Ok(Box::pin(self.commit_all(prepared, options, by)).await),
            Err(error) => {
                self.abort_all(&prepared, by).await;
                Err(error)
            }
        }
    }

    /// Steps P1 and P2 in each log. Leaves in `prepared` what must be aborted if it fails.
    async fn prepare_all(
        &self,
        logs: &[LogName],
        (Document { bytes, digest, manifest }, sha512): (&Document, Option<Sha512>),
        options: &PublishOptions,
        by: &Author,
        prepared: &mut Vec<Receipt>,
    ) -> Result<(), PublishError> {
        let descriptor = Descriptor { digest: *digest, size: bytes.len() as u64 };
        let mut summary = None;
        for log in logs {
            if let Some(receipt) = self.unchanged(log, descriptor.digest, options.activate).await?
                && self.is_whole(manifest, &receipt).await?
            {
                prepared.push(receipt);
                continue;
            }
            if options.activate {
                self.heads.require_movable(log, *digest).await?;
            }
            if summary.is_none() {
                self.blobs.put_hashed(*digest, bytes.clone()).await?;
                let known = self.manifests.summarise(bytes, manifest, descriptor).await?;
                summary = Some(Summary { pushed_as: sha512.map(Box::new), ..known });
            }
            let Some(summary) = summary.clone() else { continue };
            let change = Change::Prepare { summary, from: None, annex: None, expect: options.expect.clone() };
            prepared.push(Receipt::new(self.heads.change(log, &change, by.clone()).await?));
        }
        for receipt in prepared.iter().filter(|receipt| !receipt.unchanged) {
            self.check_immutable(&receipt.name, manifest, descriptor.digest).await?;
        }
        let mut changed = prepared.iter().filter(|receipt| !receipt.unchanged);
        let Some(first) = changed.next() else { return Ok(()) };
        // All of them are roots by now, so looking once is enough for all.
        let secured = self.secure(manifest, first, bytes.clone()).await?;
        let children = secured.children.clone();
        complete(secured)?;
        self.check_rules(manifest).await?;
        for receipt in changed {
            let held = held(receipt, manifest).into_iter().chain(children.iter().copied());
            self.index((&receipt.name, receipt.row.number), held, receipt.row.summary.subject).await?;
        }
        Ok(())
    }

    /// Step P3 in each log.
    async fn commit_all(&self, prepared: Vec<Receipt>, options: &PublishOptions, by: &Author) -> Pushed {
        let mut pushed = Pushed { receipts: Vec::with_capacity(prepared.len()), failed: None };
        let mut prepared = prepared.into_iter();
        for receipt in prepared.by_ref() {
            if receipt.unchanged {
                pushed.receipts.push(receipt);
                continue;
            }
            match self.commit_head(&receipt.name, receipt.row.number, options.clone(), by).await {
                Ok(receipt) => pushed.receipts.push(receipt),
                Err(error) => {
                    self.abort_quietly(&receipt.name, receipt.row.number, by).await;
                    pushed.failed = Some(error);
                    break;
                }
            }
        }
        self.abort_all(prepared.as_slice(), by).await;
        pushed
    }

    async fn abort_all(&self, prepared: &[Receipt], by: &Author) {
        for receipt in prepared.iter().filter(|receipt| !receipt.unchanged) {
            self.abort_quietly(&receipt.name, receipt.row.number, by).await;
        }
    }
}
