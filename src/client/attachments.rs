//! Signatures and other statements that are attached to versions.

use bytes::Bytes;
use reqwest::{Method, header};

use super::{Client, ClientError};
use crate::domain::{Digest, FileName, Target};
use crate::wire::{Attachment, AttachmentList};

impl Client {
    /// What is attached to a version. Nothing of it is verified.
    ///
    /// # Errors
    /// The server's refusal, or the transport's failure.
    pub async fn attachments(&self, target: &Target) -> Result<AttachmentList, ClientError> {
        let url = self.url(&format!("versions/{}@{}/attachments", target.name, target.selector));
        self.answer(|| self.request(Method::GET, url.clone())).await?.json()
    }

    /// The bytes of an attachment, compared with its digest.
    ///
    /// # Errors
    /// [`ClientError::Damaged`] when they do not have the digest; else the server's refusal or the transport's failure.
    pub async fn attachment(&self, target: &Target, digest: Digest) -> Result<Bytes, ClientError> {
        let url = self.url(&format!("versions/{}@{}/attachments/{digest}", target.name, target.selector));
        let answer = self.answer(|| self.request(Method::GET, url.clone())).await?;
        let actual = Digest::of(&answer.body);
        if actual == digest {
            return Ok(answer.body);
        }
        let what = format!("The attachment {digest} of {target}");
        Err(ClientError::Damaged { what, expected: digest, actual: actual.to_string() })
    }

    /// Attaches something to a version, or to one of its files. Repeating it changes nothing.
    ///
    /// # Errors
    /// The server's refusal, or the transport's failure.
    pub async fn attach(
        &self,
        target: &Target,
        (bytes, media_type): (Bytes, &str),
        file: Option<&FileName>,
    ) -> Result<Attachment, ClientError> {
        let mut url = self.url(&format!("versions/{}@{}/attachments", target.name, target.selector));
        if let Some(file) = file {
            url.query_pairs_mut().append_pair("file", file.as_str());
        }
        let build = || {
            let request = self.request(Method::POST, url.clone()).header(header::CONTENT_TYPE, media_type);
            request.body(bytes.clone())
        };
        self.answer(build).await?.json()
    }
}
