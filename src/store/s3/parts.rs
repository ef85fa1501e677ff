//! Multipart uploads: begin, write parts, complete or abort.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::super::{Created, Key, MAX_PARTS, Part, Parts, Result, StoreError, StoreErrorKind};
use super::Inner;
use super::create::{MARK, mark};
use super::error::{Failure, Reason};
use super::retry::Attempts;

/// How to recognise a completed upload as our own.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sign<'a> {
    /// By the writer's mark.
    Mark(&'a str),
    /// By its size, for an upload that another process may have begun.
    Size(u64),
}

impl Inner {
    pub(super) async fn begin_multipart(&self, key: &Key, mark: &str) -> std::result::Result<String, Failure> {
        let mut attempts = Attempts::of("begin", self.settings.timeouts);
        let request = || {
            let request = self.client.create_multipart_upload().bucket(&self.settings.bucket).key(self.full(key));
            request.metadata(MARK, mark).send()
        };
        let answer = attempts.run(request).await?;
        let id = answer.upload_id.filter(|id| !id.is_empty());
        id.ok_or_else(|| super::retry::odd("the engine began a multipart upload without naming it"))
    }

    /// Uploads a part and returns its tag; `None` if the upload no longer exists.
    pub(super) async fn put_part(&self, key: &Key, id: &str, number: u32, bytes: Bytes) -> Result<Option<String>> {
        let number = part_number(key, number)?;
        let mut attempts = Attempts::sending("write", self.settings.timeouts, bytes.len());
        let request = || {
            let request = self.client.upload_part().bucket(&self.settings.bucket).key(self.full(key));
            let request = request.upload_id(id).part_number(number).body(ByteStream::from(bytes.clone())).customize();
            if self.signs_bodies { request } else { request.disable_payload_signing() }.send()
        };
        match attempts.run(request).await {
            Ok(answer) => tag_of(key, answer.e_tag).map(Some),
            Err(failure) if matches!(failure.reason, Reason::NoUpload | Reason::Absent) => Ok(None),
            Err(failure) => Err(failure.about(key)),
        }
    }

    /// Completes an upload with these parts. `None` if the upload no longer exists, or a part is not what was written.
    /// The caller must hold the key's turn and have checked that the key is free.
    pub(super) async fn complete(&self, upload: &Parts, parts: &[Part], sign: Sign<'_>) -> Result<Option<Created>> {
        let key = &upload.key;
        let size = parts.iter().map(|part| part.size).sum();
        let mut list = CompletedMultipartUpload::builder();
        for part in parts {
            let number = part_number(key, part.number)?;
            list = list.parts(CompletedPart::builder().part_number(number).e_tag(&part.tag).build());
        }
        let list = list.build();
        let mut attempts = Attempts::heavy("commit", self.settings.timeouts, size);
        let tried = AtomicBool::new(false);
        let request = || {
            let again = tried.swap(true, Ordering::Relaxed);
            let request = self.client.complete_multipart_upload().bucket(&self.settings.bucket).key(self.full(key));
            let request = request.upload_id(&upload.id).multipart_upload(list.clone());
            async move {
                // Some engines keep answering 500 after the upload is gone, so retries check that it still exists.
                if again {
                    self.find_multipart(upload).await?;
                }
                request.send().await.map_err(Failure::from)
            }
        };
        match attempts.run(request).await {
            Ok(_) => Ok(Some(Created::New)),
            Err(failure) if failure.reason == Reason::Precondition && !attempts.unsure => {
                Ok(Some(Created::AlreadyExists))
            }
            Err(failure)
                if matches!(failure.reason, Reason::Precondition | Reason::NoUpload | Reason::Absent)
                    && attempts.unsure =>
            {
                self.completed(key, sign).await.map_err(|failure| failure.about(key))
            }
            Err(failure) if matches!(failure.reason, Reason::NoUpload | Reason::Absent | Reason::BadPart) => Ok(None),
            Err(failure) => Err(failure.about(key)),
        }
    }

    /// Fails with [`Reason::NoUpload`] if the upload no longer exists.
    async fn find_multipart(&self, upload: &Parts) -> std::result::Result<(), Failure> {
        let request = self.client.list_parts().bucket(&self.settings.bucket).key(self.full(&upload.key));
        request.upload_id(&upload.id).max_parts(1).send().await?;
        Ok(())
    }

    /// Finds out how an upload ended that is gone after attempts to complete it whose replies were lost.
    async fn completed(&self, key: &Key, sign: Sign<'_>) -> std::result::Result<Option<Created>, Failure> {
        let Some(seen) = self.look(key).await? else { return Ok(None) };
        let ours = match sign {
            Sign::Mark(mark) => seen.mark.is_some_and(|found| found == mark),
            Sign::Size(size) => seen.meta.size == size,
        };
        Ok(Some(if ours { Created::New } else { Created::AlreadyExists }))
    }

    pub(super) async fn abort_multipart(&self, key: &Key, id: &str) -> std::result::Result<(), Failure> {
        let mut attempts = Attempts::of("abort", self.settings.timeouts);
        let request = || {
            let request = self.client.abort_multipart_upload().bucket(&self.settings.bucket).key(self.full(key));
            request.upload_id(id).send()
        };
        match attempts.run(request).await {
            Err(failure) if !matches!(failure.reason, Reason::NoUpload | Reason::Absent) => Err(failure),
            _ => Ok(()),
        }
    }

    /// Completes an upload that `begin_parts` began, possibly in another process.
    pub(super) async fn commit_parts(&self, upload: &Parts, written: &[Part]) -> Result<Option<Created>> {
        let key = &upload.key;
        let size = written.iter().map(|part| part.size).sum();
        let _turn = self.turn(key).await;
        if self.look(key).await.map_err(|failure| failure.about(key))?.is_some() {
            self.abort_multipart(key, &upload.id).await.map_err(|failure| failure.about(key))?;
            return Ok(Some(Created::AlreadyExists));
        }
        if !written.is_empty() {
            return self.complete(upload, written, Sign::Size(size)).await;
        }
        // S3 has no objects without parts, so an empty object gets one empty part.
        let empty = Part { number: 1, size: 0, tag: String::new() };
        let Some(tag) = self.put_part(key, &upload.id, 1, Bytes::new()).await? else { return Ok(None) };
        self.complete(upload, &[Part { tag, ..empty }], Sign::Size(0)).await
    }
}

fn part_number(key: &Key, number: u32) -> Result<i32> {
    let legal = i32::try_from(number).ok().filter(|number| (1..=MAX_PARTS.cast_signed()).contains(number));
    legal.ok_or_else(|| {
        let text =
            format!("part {number} of an object: there are parts 1 to {MAX_PARTS} (store.part_size is too small)");
        StoreError::new(StoreErrorKind::Internal, key, text)
    })
}

pub(super) fn tag_of(key: &Key, tag: Option<String>) -> Result<String> {
    tag.ok_or_else(|| StoreError::new(StoreErrorKind::Internal, key, "the engine did not say what it calls the part"))
}

/// A multipart upload owned by this process. Dropping it aborts it, unless it was completed.
pub(super) struct Multipart {
    inner: Arc<Inner>,
    upload: Parts,
    mark: String,
    runtime: Handle,
    over: bool,
}

impl Multipart {
    /// Begins an upload. If this is cancelled, the upload is aborted as soon as its id is known.
    pub(super) async fn begin(inner: &Arc<Inner>, key: &Key) -> Result<Self> {
        let (runtime, owned, owned_key) = (Handle::current(), Arc::clone(inner), key.clone());
        let begun = tokio::spawn(async move {
            let mark = mark();
            let id = owned.begin_multipart(&owned_key, &mark).await?;
            Ok(Self { inner: owned, upload: Parts { key: owned_key, id }, mark, runtime, over: false })
        });
        let stopped = |error| Failure::broken(format!("the process is about to end: {error}"));
        begun.await.unwrap_or_else(|error| Err(stopped(error))).map_err(|failure: Failure| failure.about(key))
    }

    pub(super) fn id(&self) -> &str {
        &self.upload.id
    }

    /// Completes the upload with these parts if its key is free.
    pub(super) async fn complete(mut self, parts: &[Part]) -> Result<Created> {
        let inner = Arc::clone(&self.inner);
        let key = self.upload.key.clone();
        let _turn = inner.turn(&key).await;
        if inner.look(&key).await.map_err(|failure| failure.about(&key))?.is_some() {
            self.abort().await;
            return Ok(Created::AlreadyExists);
        }
        let completed = inner.complete(&self.upload, parts, Sign::Mark(&self.mark)).await?;
        self.over = completed == Some(Created::New);
        if let Some(created) = completed {
            return Ok(created);
        }
        // Some engines abort an upload when another writer takes its key.
        if inner.look(&key).await.map_err(|failure| failure.about(&key))?.is_some() {
            return Ok(Created::AlreadyExists);
        }
        let text = "the engine, or somebody, gave the multipart upload up before it was completed";
        Err(StoreError::new(StoreErrorKind::Unavailable, &key, text))
    }

    /// Aborts the upload and waits for that. Runs to completion even if this is cancelled.
    pub(super) async fn abort(mut self) {
        if let Err(stopped) = self.abort_soon().await {
            tracing::debug!(%stopped, "the process is about to end");
        }
    }

    fn abort_soon(&mut self) -> JoinHandle<()> {
        self.over = true;
        let (inner, upload) = (Arc::clone(&self.inner), self.upload.clone());
        self.runtime.spawn(async move { abort(&inner, &upload).await })
    }
}

impl Drop for Multipart {
    fn drop(&mut self) {
        if !self.over {
            self.abort_soon();
        }
    }
}

async fn abort(inner: &Inner, upload: &Parts) {
    // An upload that cannot be aborted now will show up in listings of unfinished objects.
    if let Err(failure) = inner.abort_multipart(&upload.key, &upload.id).await {
        let error = failure.about(&upload.key);
        tracing::warn!(%error, "could not abort a multipart upload; its parts take space until the collector does");
    }
}
