//! Deletion, single and in batches.

use std::sync::Mutex;
use std::sync::atomic::Ordering;

use aws_sdk_s3::types::{Delete, Error as KeyFailure, ObjectIdentifier};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::super::{Key, Result, StoreErrorKind};
use super::error::{Failure, Reason};
use super::retry::Attempts;
use super::{AT_ONCE, Inner};

/// Maximum number of keys in a batch, as in S3.
const BATCH: usize = 1000;

impl Inner {
    pub(super) async fn delete(&self, key: &Key) -> Result<()> {
        let mut attempts = Attempts::of("delete", self.settings.timeouts);
        let request = || self.client.delete_object().bucket(&self.settings.bucket).key(self.full(key)).send();
        match attempts.run(request).await {
            Err(failure) if failure.reason != Reason::Absent => Err(failure.about(key)),
            _ => Ok(()),
        }
    }

    pub(super) async fn delete_all(&self, keys: &[Key]) -> Result<()> {
        for batch in keys.chunks(BATCH) {
            if batch.len() == 1 || self.deletes_one_by_one.load(Ordering::Relaxed) {
                self.delete_each(batch).await?;
                continue;
            }
            match self.delete_batch(batch).await {
                Err(failure) if failure.reason == Reason::Unsupported => {
                    tracing::info!("the engine takes no deletions in batches; deleting one by one from now on");
                    self.deletes_one_by_one.store(true, Ordering::Relaxed);
                    self.delete_each(batch).await?;
                }
                Err(failure) => return Err(failure.about(format!("{} and others", batch[0]))),
                Ok(()) => {}
            }
        }
        Ok(())
    }

    async fn delete_each(&self, keys: &[Key]) -> Result<()> {
        let deleted =
            stream::iter(keys.to_vec()).map(|key| async move { self.delete(&key).await }).buffer_unordered(AT_ONCE);
        deleted.try_for_each(|()| async { Ok(()) }).await
    }

    async fn delete_batch(&self, keys: &[Key]) -> std::result::Result<(), Failure> {
        // The keys still to be deleted; a retry only sends these.
        let left = Mutex::new(keys.iter().map(|key| self.full(key)).collect::<Vec<_>>());
        let mut attempts = Attempts::of("delete", self.settings.timeouts);
        attempts.run(|| self.attempt_batch(&left)).await
    }

    async fn attempt_batch(&self, left: &Mutex<Vec<String>>) -> std::result::Result<(), Failure> {
        let keys = left.lock().expect("no holder of this lock panics").clone();
        let objects = keys.iter().map(|key| ObjectIdentifier::builder().key(key).build());
        let objects = objects.collect::<std::result::Result<Vec<_>, _>>();
        let delete = objects.and_then(|objects| Delete::builder().set_objects(Some(objects)).quiet(true).build());
        let delete = delete.map_err(|error| super::retry::odd(error.to_string()))?;
        let answer = self.client.delete_objects().bucket(&self.settings.bucket).delete(delete).send().await?;
        let failed: Vec<_> = answer.errors().iter().filter(|error| error.code() != Some("NoSuchKey")).collect();
        let Some(first) = failed.first() else { return Ok(()) };
        let failure = failure_of(first, failed.len());
        let failed = failed.iter().filter_map(|error| error.key().map(str::to_owned)).collect();
        *left.lock().expect("no holder of this lock panics") = failed;
        Err(failure)
    }
}

/// The failure to report if the engine deleted all but `count` keys.
fn failure_of(first: &KeyFailure, count: usize) -> Failure {
    let (key, code) = (first.key().unwrap_or_default(), first.code().unwrap_or_default());
    let text =
        format!("{count} objects were not deleted, among them {key}: {code} {}", first.message().unwrap_or_default());
    match code {
        "AccessDenied" => Failure::new(Reason::Other, StoreErrorKind::Denied, text),
        "InternalError" | "SlowDown" | "ServiceUnavailable" | "OperationAborted" | "RequestTimeout" => {
            Failure::broken(text)
        }
        _ => Failure::new(Reason::Other, StoreErrorKind::Internal, text),
    }
}
