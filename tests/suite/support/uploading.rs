//! A client of resumable uploads: it asks where it is and goes on there, through whatever process answers.

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use larder::domain::{Digest, UploadId};
use larder::protocol::uploads::{Progress, StartedUpload};
use larder::protocol::{Append, UploadError};
use larder::store::{Created, Unfinished};

use super::services::{ACTOR, Services};
use super::store::{Store, keys};

/// Begins an upload of bytes that are not there.
pub async fn begin_upload(services: &Services, bytes: &Bytes) -> Progress {
    match try_begin(services, bytes).await.expect("begin an upload") {
        StartedUpload::Upload(upload) => *upload,
        StartedUpload::Present(size) => panic!("there are {size} bytes already"),
    }
}

pub async fn try_begin(services: &Services, bytes: &Bytes) -> Result<StartedUpload, UploadError> {
    Ok(services.uploads.begin(Digest::of(bytes), Some(bytes.len() as u64), &ACTOR).await?)
}

/// Where an upload is.
pub async fn look(services: &Services, id: UploadId) -> Option<Progress> {
    services.uploads.look(id).await.expect("look at an upload")
}

/// Appends bytes, without an end. The parts that they fill are stored.
pub async fn append(services: &Services, upload: Progress, bytes: &Bytes) -> Result<Append, UploadError> {
    let mut append = Append::new(&services.uploads, upload)?;
    append.write(bytes.clone()).await?;
    append.settle().await?;
    Ok(append)
}

/// Sends the rest of `bytes` and completes the upload.
pub async fn complete(services: &Services, upload: Progress, bytes: &Bytes) -> Result<Created, UploadError> {
    let from = usize::try_from(upload.offset()).expect("a small number");
    append(services, upload, &bytes.slice(from..)).await?.complete().await
}

/// What is in the making.
pub async fn unfinished(store: &Store) -> Vec<Unfinished> {
    store.unfinished().try_collect().await.expect("list what is unfinished")
}

/// The keys of all records of uploads.
pub async fn records(store: &Store) -> Vec<String> {
    keys(store, "uploads/", None, None).await
}
