//! Publishing in a session: prepare, upload what is missing, commit once.

use std::time::Duration;

use bytes::Bytes;
use reqwest::{Method, StatusCode, Url, header};

use super::retry::Retries;
use super::{Client, ClientError, with_expectation};
use crate::domain::{Digest, Expect, ManifestName, Selector, Target};
use crate::wire::{self, Receipt};

/// How long giving a session back may take: somebody may be waiting at the terminal.
const ABORT: Duration = Duration::from_secs(10);

/// A version under way. Its blobs are protected until it is committed, aborted or too old.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The name it is for.
    pub name: ManifestName,
    /// The number it will have.
    pub version: u64,
    /// Whether it will be what readers get (otherwise it stays staged).
    pub activate: bool,
    /// What it requires of the name.
    pub expect: Expect,
}

/// The result of preparing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prepared {
    /// A session is open, and these blobs are missing.
    Open(Session, Vec<Digest>),
    /// The same manifest is already there; nothing is left to do.
    Unchanged(Receipt),
}

impl Client {
    /// Opens a session for `manifest`.
    ///
    /// # Errors
    /// The server's refusal, or the transport's failure.
    pub async fn prepare(
        &self,
        name: &ManifestName,
        manifest: Bytes,
        activate: bool,
        expect: &Expect,
    ) -> Result<Prepared, ClientError> {
        let url = activated(self.url(&format!("sessions/{name}")), activate);
        let build = || {
            let request = self.request(Method::POST, url.clone()).header(header::CONTENT_TYPE, "application/json");
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

    /// Makes the version visible, all files at once.
    ///
    /// # Errors
    /// The server's refusal (with `missing` when blobs are), or the transport's failure.
    pub async fn commit(&self, session: &Session) -> Result<Receipt, ClientError> {
        let url = activated(self.session_url(session), session.activate);
        let mut retries = self.policy.start();
        let build = || with_expectation(self.request(Method::PUT, url.clone()), &session.expect);
        match self.answer_within(&mut retries, build).await {
            Ok(answer) => {
                let receipt: Receipt = answer.json()?;
                // What a repetition finds already done was done by us.
                Ok(Receipt { unchanged: receipt.unchanged && !retries.repeated(), ..receipt })
            }
            Err(error) => self.committed_earlier(session, error, &retries).await,
        }
    }

    /// Gives a session up. One attempt: the server also forgets it by itself.
    ///
    /// # Errors
    /// The server's refusal, or the transport's failure.
    pub async fn abort(&self, session: &Session) -> Result<(), ClientError> {
        let request = self.request(Method::DELETE, self.session_url(session)).timeout(ABORT);
        self.attempt(request).await.map(drop)
    }

    fn session_url(&self, session: &Session) -> Url {
        self.url(&format!("sessions/{}@{}", session.name, session.version))
    }

    /// The refusal of a repeated commit may only mean that the first one succeeded and its reply got lost.
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
