//! The steps of a publish: prepare, upload missing blobs, commit, and abort the session on failure.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::local_files::LocalFiles;
use super::remarks::Remarks;
use super::signed::{NewSignature, Signer};
use super::unchanged;
use crate::cli::progress::Progress;
use crate::cli::{CliError, Context, signals};
use crate::client::{Client, ClientError, Content, ImportOrigin, Prepared, Problem, Session};
use crate::domain::{Digest, Expect, Manifest, ManifestName};
use crate::wire::Receipt;

/// How often blobs that were deleted in the meantime are uploaded again.
pub(super) const MAX_ROUNDS: usize = 3;

/// Maximum size of a small file, in bytes: the server takes longer to keep it than the network to bring it.
const SMALL: u64 = 64 << 10;
/// Small files that are uploaded at once for each of the jobs, and in all.
const SMALL_AT_ONCE: (usize, usize) = (16, 64);

/// What to publish, and how.
#[derive(Debug)]
pub(in crate::cli) struct Publication<'a> {
    pub(in crate::cli) client: &'a Client,
    pub(in crate::cli) name: &'a ManifestName,
    pub(in crate::cli) bytes: Bytes,
    pub(in crate::cli) manifest: Manifest,
    pub(in crate::cli) remarks: Remarks,
    /// Whether `bytes` are those of a manifest that is published already.
    pub(in crate::cli) unchanged: bool,
    pub(in crate::cli) files: LocalFiles,
    pub(in crate::cli) activate: bool,
    pub(in crate::cli) expect: Expect,
    /// Where an imported release comes from; empty for others.
    pub(in crate::cli) from: ImportOrigin,
    /// Signs the manifest, if it is to be signed.
    pub(in crate::cli) signer: Option<Signer>,
    pub(in crate::cli) jobs: usize,
}

/// The result of a publish.
#[derive(Debug)]
pub(in crate::cli) struct Published {
    pub(in crate::cli) receipt: Receipt,
    /// The blobs that were uploaded, with their sizes in bytes.
    pub(in crate::cli) uploaded: HashMap<Digest, u64>,
    /// The signature that went along.
    pub(in crate::cli) signature: Option<NewSignature>,
}

impl Publication<'_> {
    /// If the same files with the same description are published already, publishes that manifest's bytes instead,
    /// which the server then recognises by their digest.
    pub(in crate::cli) async fn reuse_unchanged(&mut self) -> Result<(), CliError> {
        let staged = !self.activate;
        if let Some(found) = unchanged::find(self.client, self.name, &self.bytes, staged, &self.expect).await? {
            self.bytes = found.bytes;
            self.unchanged = true;
        }
        Ok(())
    }

    /// Publishes. On an error or a signal, the session is aborted, so that it does not keep unused blobs alive.
    pub(in crate::cli) async fn run(&self, context: &Context) -> Result<Published, CliError> {
        let open = Mutex::new(None);
        let result = tokio::select! {
            result = self.steps(&open, context) => result,
            error = signals::interrupted() => Err(error),
        };
        let left = open.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let (Err(_), Some(session)) = (&result, left)
            && let Err(error) = self.client.abort(&session).await
        {
            // Sessions expire on the server anyway, and the original failure is the one to report.
            tracing::debug!(%error, "the session was not given back");
        }
        result
    }

    async fn steps(&self, open: &Mutex<Option<Session>>, context: &Context) -> Result<Published, CliError> {
        let signature = match &self.signer {
            Some(signer) => Some(signer.sign(self.client, self.name, &self.bytes).await?),
            None => None,
        };
        let content = (self.bytes.clone(), signature.as_ref().map(|signature| &signature.bytes));
        let prepared = self.client.prepare(self.name, content, &self.from, self.activate, &self.expect).await?;
        let (session, mut missing) = match prepared {
            Prepared::Unchanged(receipt) => return Ok(Published { receipt, uploaded: HashMap::new(), signature }),
            Prepared::Open(session, missing) => (session, missing),
        };
        *open.lock().unwrap_or_else(PoisonError::into_inner) = Some(session.clone());
        let mut uploaded = HashMap::new();
        for _ in 0..MAX_ROUNDS {
            match self.upload(&missing, context).await {
                Ok(sent) => uploaded.extend(sent),
                Err(error) => return Err(self.why_wanted(&session, error).await),
            }
            match self.client.commit(&session).await {
                Ok(receipt) => return Ok(Published { receipt, uploaded, signature }),
                Err(error) => missing = still_missing(error)?,
            }
        }
        uploaded.extend(self.upload(&missing, context).await?);
        let receipt = self.client.commit(&session).await?;
        Ok(Published { receipt, uploaded, signature })
    }

    /// Why a blob is wanted that cannot be uploaded. Perhaps the server has it, and the manifest states another size: the
    /// refusal of the commit says so.
    async fn why_wanted(&self, session: &Session, error: CliError) -> CliError {
        if !error.is("MANIFEST_BLOB_UNKNOWN") {
            return error;
        }
        match self.client.commit(session).await {
            Err(refused) if has_wrong_sizes(&refused) => refused.into(),
            _ => error,
        }
    }

    pub(super) async fn upload(&self, missing: &[Digest], context: &Context) -> Result<HashMap<Digest, u64>, CliError> {
        // Located first, so that a missing file ends the publish before any byte is sent.
        let uploads: Vec<Arc<dyn Content>> = stream::iter(missing)
            .map(|digest| self.files.find(*digest, &self.manifest))
            .buffered(self.jobs)
            .try_collect()
            .await?;
        let total = uploads.iter().map(|upload| upload.blob().size).sum();
        let progress = Progress::new(context, "uploading", total);
        let (small, large): (Vec<_>, Vec<_>) = uploads.into_iter().partition(|upload| upload.blob().size <= SMALL);
        let (mut sent, others) = tokio::try_join!(
            self.send(small, small_at_once(self.jobs), &progress),
            self.send(large, self.jobs, &progress),
        )?;
        sent.extend(others);
        Ok(sent)
    }

    async fn send(
        &self,
        uploads: Vec<Arc<dyn Content>>,
        at_once: usize,
        progress: &Progress,
    ) -> Result<HashMap<Digest, u64>, CliError> {
        stream::iter(uploads)
            .map(|upload| async move {
                self.client.put_blob(&*upload, &progress.meter()).await?;
                let blob = upload.blob();
                Ok((blob.digest, blob.size))
            })
            .buffer_unordered(at_once)
            .try_collect()
            .await
    }
}

/// How many small files are uploaded at once. One job is one upload: whoever says so wants one after the other.
fn small_at_once(jobs: usize) -> usize {
    let (each, most) = SMALL_AT_ONCE;
    if jobs == 1 { 1 } else { jobs.saturating_mul(each).min(most).max(jobs) }
}

/// Returns the missing blobs of a refused commit, which can be retried after uploading them; any other failure is
/// final.
fn still_missing(error: ClientError) -> Result<Vec<Digest>, CliError> {
    let missing = error.problem().filter(|problem| problem.status == 409).map(Problem::missing);
    match missing {
        Some(missing) if !missing.is_empty() => Ok(missing),
        _ => Err(error.into()),
    }
}

fn has_wrong_sizes(error: &ClientError) -> bool {
    let sizes = error.problem().and_then(|problem| problem.members.get("wrong_size")?.as_array());
    sizes.is_some_and(|sizes| !sizes.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_files_do_not_wait_for_each_other() {
        assert_eq!([1, 2, 4, 100].map(small_at_once), [1, 32, 64, 100]);
    }

    #[test]
    fn only_missing_blobs_are_worth_another_round() {
        let refused =
            |status, body: &str| ClientError::Refused(Box::new(Problem::read(status, "", body.as_bytes(), None)));
        let digest = Digest::of(b"x");
        let body = format!(r#"{{"missing":["{digest}"]}}"#);
        assert_eq!(still_missing(refused(409, &body)).unwrap(), [digest]);
        assert!(still_missing(refused(409, "{}")).is_err());
        assert!(still_missing(refused(412, &body)).is_err());
    }
}
