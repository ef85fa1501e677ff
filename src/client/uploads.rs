//! Resumable uploads: a broken connection loses only the bytes in flight.
//!
//! An upload lives only as long as the call. Its URL is not stored, so a restarted process begins with the first byte.

use reqwest::header::{self, HeaderName};
use reqwest::{Method, StatusCode, Url};

use super::answer::Answer;
use super::retry::Retries;
use super::{Client, ClientError, Content, ErrorKind, Meter, Stored};
use crate::domain::UploadId;
use crate::domain::manifest::Descriptor;
use crate::wire::{Code, headers};

/// Maximum number of times an upload is created if the server keeps discarding it; then its error is returned.
const MAX_BEGINNINGS: usize = 3;
const UPLOAD_OFFSET: HeaderName = HeaderName::from_static(headers::UPLOAD_OFFSET);
const UPLOAD_COMPLETE: HeaderName = HeaderName::from_static(headers::UPLOAD_COMPLETE);
const UPLOAD_LENGTH: HeaderName = HeaderName::from_static(headers::UPLOAD_LENGTH);

/// The server's response to the creation of an upload.
enum CreatedUpload {
    /// The server already has the blob.
    Stored,
    /// The URL to append the bytes to.
    At(Url),
    /// The server does not support resumable uploads.
    Unknown,
}

/// State of an upload on the server.
enum UploadStatus {
    /// Number of bytes that the server has received.
    Offset(u64),
    /// The upload is complete and the blob is stored.
    Complete,
    /// The upload no longer exists.
    Gone(ClientError),
}

impl Client {
    /// Uploads bytes and resumes after broken connections. `None` if the server does not support resumable uploads.
    pub(super) async fn put_resumable(
        &self,
        upload: &dyn Content,
        meter: &Meter,
    ) -> Result<Option<Stored>, ClientError> {
        let mut retries = self.policy.start();
        let blob = upload.blob();
        let mut beginnings = 0;
        loop {
            let url = match self.begin_upload(blob, &mut retries).await? {
                CreatedUpload::At(url) => url,
                CreatedUpload::Unknown => return Ok(None),
                CreatedUpload::Stored => {
                    meter(blob.size);
                    return Ok(Some(Stored::Existing));
                }
            };
            beginnings += 1;
            match self.append(&url, upload, meter, &mut retries).await? {
                Ok(stored) => return Ok(Some(stored)),
                Err(gone) if beginnings == MAX_BEGINNINGS => return Err(gone),
                Err(gone) => tracing::warn!(error = %gone, "beginning again"),
            }
        }
    }

    async fn begin_upload(&self, blob: Descriptor, retries: &mut Retries) -> Result<CreatedUpload, ClientError> {
        let mut url = self.url("uploads");
        url.query_pairs_mut().append_pair("digest", &blob.digest.to_string());
        let build = || {
            let request = self.request(Method::POST, url.clone()).header(header::CONTENT_LENGTH, 0);
            request.header(UPLOAD_LENGTH, blob.size).header(UPLOAD_COMPLETE, headers::FALSE)
        };
        let answer = match self.answer_within(retries, build).await {
            Ok(answer) => answer,
            Err(error) if matches!(status(&error), Some(404 | 405 | 501)) => return Ok(CreatedUpload::Unknown),
            Err(error) => return Err(error),
        };
        if answer.status == StatusCode::OK || is_complete(&answer) {
            return Ok(CreatedUpload::Stored);
        }
        // Only the id is taken from the response: the token must not be sent to another host.
        let location = answer.header(header::LOCATION).unwrap_or_default();
        let id = location.rsplit('/').next().unwrap_or_default().parse::<UploadId>();
        let id = id.map_err(|_| answer.unexpected(format!("{location:?} is not the address of an upload")))?;
        Ok(CreatedUpload::At(self.url(&format!("uploads/{id}"))))
    }

    /// Appends all bytes that the server lacks. The inner error means that the upload no longer exists.
    async fn append(
        &self,
        url: &Url,
        upload: &dyn Content,
        meter: &Meter,
        retries: &mut Retries,
    ) -> Result<Result<Stored, ClientError>, ClientError> {
        let mut offset = 0;
        loop {
            let error = match self.append_once(url, upload, offset, meter).await {
                Ok(stored) => return Ok(Ok(stored)),
                Err(error) => error,
            };
            match status(&error) {
                Some(404 | 410) => return Ok(Err(error)),
                // The upload is complete already: the reply to an earlier attempt was lost.
                Some(400) if is_code(&error, &Code::UploadComplete) => {}
                Some(400) if error.kind() == ErrorKind::Integrity => return Err(upload.explain(error).await),
                _ => retries.pause(error).await?,
            }
            match self.standing(url, retries).await? {
                UploadStatus::Gone(error) => return Ok(Err(error)),
                UploadStatus::Complete => {
                    meter(upload.blob().size);
                    return Ok(Ok(Stored::New));
                }
                UploadStatus::Offset(now) => {
                    if now > offset {
                        retries.progressed();
                    }
                    offset = now;
                    meter(offset);
                }
            }
        }
    }

    async fn append_once(
        &self,
        url: &Url,
        upload: &dyn Content,
        from: u64,
        meter: &Meter,
    ) -> Result<Stored, ClientError> {
        let request = self
            .request(Method::PATCH, url.clone())
            .header(header::CONTENT_TYPE, headers::PARTIAL_UPLOAD)
            .header(UPLOAD_OFFSET, from)
            .header(UPLOAD_COMPLETE, headers::TRUE);
        let response = self.send_content(request, upload, from, meter).await?;
        Ok(if response.status() == StatusCode::CREATED { Stored::New } else { Stored::Existing })
    }

    /// Requests the current offset.
    async fn standing(&self, url: &Url, retries: &mut Retries) -> Result<UploadStatus, ClientError> {
        let answer = match self.answer_within(retries, || self.request(Method::HEAD, url.clone())).await {
            Ok(answer) => answer,
            Err(error) if matches!(status(&error), Some(404 | 410)) => return Ok(UploadStatus::Gone(error)),
            Err(error) => return Err(error),
        };
        if is_complete(&answer) {
            return Ok(UploadStatus::Complete);
        }
        let offset = answer.header(UPLOAD_OFFSET).and_then(|offset| offset.parse().ok());
        let lacks = || answer.unexpected("it does not say how many bytes of the upload it has".to_owned());
        offset.map(UploadStatus::Offset).ok_or_else(lacks)
    }
}

fn is_complete(answer: &Answer) -> bool {
    answer.header(UPLOAD_COMPLETE) == Some(headers::TRUE)
}

fn is_code(error: &ClientError, code: &Code) -> bool {
    error.problem().is_some_and(|problem| problem.code == *code)
}

fn status(error: &ClientError) -> Option<u16> {
    error.problem().map(|problem| problem.status)
}
