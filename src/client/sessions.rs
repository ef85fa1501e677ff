//! Publishing in a session: prepare, upload missing blobs, commit once.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use reqwest::{Method, StatusCode, Url, header};

use super::retry::Retries;
use super::{Client, ClientError, ErrorKind, ImportOrigin, with_expectation};
use crate::domain::{Digest, Expect, ManifestName, Selector, Target};
use crate::wire::{self, OpenSessions, Receipt, headers};

/// Time limit for aborting a session: a user may be waiting at the terminal.
const ABORT: Duration = Duration::from_secs(10);

/// A version in preparation. Its blobs are protected until it is committed, aborted or expired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The name to publish under.
    pub name: ManifestName,
    /// The number of the prepared version.
    pub version: u64,
    /// Whether the commit activates the version (otherwise it stays staged).
    pub activate: bool,
    /// Precondition on the state of the name, checked at the commit.
    pub expect: Expect,
}

/// The result of preparing a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prepared {
    /// A session was opened; these blobs are missing.
    Open(Session, Vec<Digest>),
    /// The same manifest is already published; nothing needs to be done.
    Unchanged(Receipt),
}

impl Client {
    /// Prepares a version with `manifest` (P1) and opens a session for it. An import says `from` where it comes from. A signature
    /// of the manifest is attached to the version from the start.
    ///
    /// # Errors
    /// The server's refusal, or the transport's failure.
    pub async fn prepare(
        &self,
        name: &ManifestName,
        (manifest, signature): (Bytes, Option<&Bytes>),
        from: &ImportOrigin,
        activate: bool,
        expect: &Expect,
    ) -> Result<Prepared, ClientError> {
        let mut url = activated(self.url(&format!("sessions/{name}")), activate);
        if let Some(origin) = &from.url {
            url.query_pairs_mut().append_pair("from_url", origin);
        }
        if let Some(time) = from.published_at {
            url.query_pairs_mut().append_pair("from_published_at", &time.to_string());
        }
        let build = || {
            let mut request = self.request(Method::POST, url.clone()).header(header::CONTENT_TYPE, "application/json");
            if let Some(signature) = signature {
                request = request.header(headers::SIGNATURE, format!(":{}:", STANDARD.encode(signature)));
            }
            with_expectation(request, expect).body(manifest.clone())
        };
        let answer = self.answer(build).await?;
        if answer.status == StatusCode::OK {
            return Ok(Prepared::Unchanged(answer.json()?));
        }
        let wire::Session { version, missing, .. } = answer.json()?;
        let session = Session { name: name.clone(), version, activate, expect: expect.clone() };
        Ok(Prepared::Open(session, missing))
    }

    /// Begins a release of these parts, or finds the one with this label that another job has begun.
    ///
    /// # Errors
    /// The server's refusal, such as that the release was begun with other parts, or the transport's failure.
    pub async fn begin_parts(
        &self,
        name: &ManifestName,
        label: &str,
        parts: &[String],
    ) -> Result<wire::Session, ClientError> {
        let url = self.url(&format!("sessions/{name}"));
        let body = wire::BeginParts { label: label.to_owned(), parts: parts.to_vec() };
        self.answer(|| self.request(Method::POST, url.clone()).json(&body)).await?.json()
    }

    /// Sends a part of a release; `document` is a manifest with its files alone. The answer lists the blobs that are
    /// missing, of this part and of others.
    ///
    /// # Errors
    /// The server's refusal, or the transport's failure.
    pub async fn put_part(
        &self,
        name: &ManifestName,
        version: u64,
        part: &str,
        document: Bytes,
    ) -> Result<wire::Session, ClientError> {
        let url = self.url(&format!("sessions/{name}@{version}/parts/{part}"));
        let build = || {
            let request = self.request(Method::PUT, url.clone()).header(header::CONTENT_TYPE, "application/json");
            request.body(document.clone())
        };
        self.answer(build).await?.json()
    }

    /// Commits the session (P2 and P3): the version becomes visible with all its files at once.
    ///
    /// # Errors
    /// The server's refusal (with `missing` if blobs are missing), or the transport's failure.
    pub async fn commit(&self, session: &Session) -> Result<Receipt, ClientError> {
        let url = activated(self.session_url(session), session.activate);
        let mut retries = self.policy.start();
        let build = || with_expectation(self.request(Method::PUT, url.clone()), &session.expect);
        match self.answer_within(&mut retries, build).await {
            Ok(answer) => {
                let receipt: Receipt = answer.json()?;
                // If a retry finds the work already done, an earlier attempt of ours did it.
                Ok(Receipt { unchanged: receipt.unchanged && !retries.repeated(), ..receipt })
            }
            Err(error) => self.committed_earlier(session, error, &retries).await,
        }
    }

    /// Aborts a session. A single attempt, because sessions also expire on the server.
    ///
    /// # Errors
    /// The server's refusal, or the transport's failure.
    pub async fn abort(&self, session: &Session) -> Result<(), ClientError> {
        let request = self.request(Method::DELETE, self.session_url(session)).timeout(ABORT);
        self.attempt(request).await.map(drop)
    }

    /// The open sessions of a name, oldest first. Needs a token with the permission to publish.
    ///
    /// # Errors
    /// The server's refusal, or the transport's failure.
    pub async fn sessions(&self, name: &ManifestName) -> Result<OpenSessions, ClientError> {
        let url = self.url(&format!("sessions/{name}"));
        self.answer(|| self.request(Method::GET, url.clone())).await?.json()
    }

    /// Gives up the session of a version, whoever began it.
    ///
    /// # Errors
    /// The server's refusal, or the transport's failure.
    pub async fn abort_version(&self, name: &ManifestName, version: u64) -> Result<(), ClientError> {
        let url = self.url(&format!("sessions/{name}@{version}"));
        let mut retries = self.policy.start();
        match self.answer_within(&mut retries, || self.request(Method::DELETE, url.clone())).await {
            Ok(_) => Ok(()),
            // An earlier attempt of ours gave it up.
            Err(error) if retries.repeated() && error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn session_url(&self, session: &Session) -> Url {
        self.url(&format!("sessions/{}@{}", session.name, session.version))
    }

    /// Checks a refusal: that of a retried commit may only mean that the first attempt succeeded and its reply was
    /// lost.
    async fn committed_earlier(
        &self,
        session: &Session,
        error: ClientError,
        retries: &Retries,
    ) -> Result<Receipt, ClientError> {
        let refused = error.problem().is_some_and(|problem| matches!(problem.status, 404 | 409 | 410 | 412));
        if !refused || !retries.repeated() {
            return Err(error);
        }
        let selector = Selector::Number(session.version);
        let target = Target { name: session.name.clone(), selector, explicit: true };
        match self.row(&target).await {
            Ok(row) if row.state.is_complete() => self.receipt_for(&session.name, &row).await,
            _ => Err(error),
        }
    }
}

pub(super) fn activated(mut url: Url, activate: bool) -> Url {
    if !activate {
        url.query_pairs_mut().append_pair("activate", "false");
    }
    url
}
