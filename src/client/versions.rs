//! Versions: rows, history, and operations on one version.

use reqwest::{Method, header};

use super::retry::Retries;
use super::sessions::activated;
use super::{Client, ClientError, ErrorKind, because, with_expectation};
use crate::domain::{Digest, Expect, ManifestName, PinOwner, Selector, State, Target};
use crate::wire::{CopyRequest, History, Receipt, Row};

impl Client {
    /// The row of one version.
    ///
    /// # Errors
    /// The server's refusal, or the transport's failure.
    pub async fn row(&self, target: &Target) -> Result<Row, ClientError> {
        let url = self.url(&format!("versions/{}@{}", target.name, target.selector));
        self.answer(|| self.request(Method::GET, url.clone())).await?.json()
    }

    /// One page of the versions of a name, newest first.
    ///
    /// # Errors
    /// The server's refusal, or the transport's failure.
    pub async fn history(
        &self,
        name: &ManifestName,
        before: Option<u64>,
        limit: usize,
    ) -> Result<History, ClientError> {
        let mut url = self.url(&format!("versions/{name}"));
        url.query_pairs_mut().append_pair("limit", &limit.to_string());
        if let Some(before) = before {
            url.query_pairs_mut().append_pair("before", &before.to_string());
        }
        // Browsers get an HTML page at the same URL.
        let build = || self.request(Method::GET, url.clone()).header(header::ACCEPT, "application/json");
        self.answer(build).await?.json()
    }

    /// Makes a version the active one. Takes a row, not a selector: after the promotion `@previous` means another
    /// version, so a retry with it would undo the change.
    ///
    /// # Errors
    /// The server's refusal, or the transport's failure.
    pub async fn promote(
        &self,
        name: &ManifestName,
        row: &Row,
        expect: &Expect,
        reason: Option<&str>,
    ) -> Result<Receipt, ClientError> {
        let url = because(self.url(&format!("versions/{name}@{}/promote", row.number)), reason);
        let mut retries = self.policy.start();
        let build = || with_expectation(self.request(Method::POST, url.clone()), expect);
        match self.answer_within(&mut retries, build).await {
            Ok(answer) => answer.json(),
            Err(error) => self.done_earlier(name, row.manifest, error, &retries).await,
        }
    }

    /// The version that a rollback goes back to: the one that was active last among those with another manifest than
    /// the active one's.
    ///
    /// # Errors
    /// The server's refusal, or the transport's failure.
    pub async fn rollback_target(&self, name: &ManifestName) -> Result<Row, ClientError> {
        let url = self.url(&format!("versions/{name}@active/rollback"));
        self.answer(|| self.request(Method::GET, url.clone())).await?.json()
    }

    /// Publishes the manifest of `row` under another name.
    ///
    /// # Errors
    /// The server's refusal, or the transport's failure.
    pub async fn copy(
        &self,
        name: &ManifestName,
        row: &Row,
        to: &ManifestName,
        (activate, reason): (bool, Option<&str>),
        expect: &Expect,
    ) -> Result<Receipt, ClientError> {
        let url = activated(self.url(&format!("versions/{name}@{}/copy", row.number)), activate);
        let url = because(url, reason);
        let mut retries = self.policy.start();
        let build = || {
            let request = self.request(Method::POST, url.clone()).json(&CopyRequest { to: to.clone() });
            with_expectation(request, expect)
        };
        match self.answer_within(&mut retries, build).await {
            Ok(answer) => answer.json(),
            Err(error) => self.done_earlier(to, row.manifest, error, &retries).await,
        }
    }

    /// Sets or removes a pin. A pinned version is kept regardless of the retention rules.
    ///
    /// # Errors
    /// The server's refusal, or the transport's failure.
    pub async fn set_pin(&self, target: &Target, pinned: bool, reason: Option<&str>) -> Result<Row, ClientError> {
        let url = because(self.url(&format!("versions/{}@{}/pin", target.name, target.selector)), reason);
        let method = if pinned { Method::PUT } else { Method::DELETE };
        self.answer(|| self.request(method.clone(), url.clone())).await?.json()
    }

    /// Sets or removes the pin of this owner. `force`, with a reason, removes that of a catalog.
    ///
    /// # Errors
    /// The server's refusal, or the transport's failure.
    pub async fn set_pin_of(
        &self,
        target: &Target,
        owner: &PinOwner,
        (pinned, force, reason): (bool, bool, Option<&str>),
    ) -> Result<Row, ClientError> {
        let mut url = because(self.url(&format!("versions/{}@{}/pin", target.name, target.selector)), reason);
        url.query_pairs_mut().append_pair("owner", &owner.to_string());
        if force {
            url.query_pairs_mut().append_pair("force", "true");
        }
        let method = if pinned { Method::PUT } else { Method::DELETE };
        self.answer(|| self.request(method.clone(), url.clone())).await?.json()
    }

    /// Retires a version: its row is kept, its blobs may be collected.
    ///
    /// # Errors
    /// The server's refusal, or the transport's failure.
    pub async fn retire(&self, name: &ManifestName, number: u64, reason: Option<&str>) -> Result<Row, ClientError> {
        let url = because(self.url(&format!("manifests/{name}@{number}")), reason);
        let mut retries = self.policy.start();
        match self.answer_within(&mut retries, || self.request(Method::DELETE, url.clone())).await {
            Ok(answer) => answer.json(),
            Err(error) if retries.repeated() && error.kind() == ErrorKind::NotFound => {
                let selector = Selector::Number(number);
                let row = self.row(&Target { name: name.clone(), selector, explicit: true }).await;
                row.ok().filter(|row| row.state == State::Retired).ok_or(error)
            }
            Err(error) => Err(error),
        }
    }

    /// Checks a failed precondition: that of a retried change may only mean that the first attempt succeeded and its
    /// reply was lost.
    async fn done_earlier(
        &self,
        name: &ManifestName,
        wanted: Digest,
        error: ClientError,
        retries: &Retries,
    ) -> Result<Receipt, ClientError> {
        let ours = error.problem().is_some_and(|problem| problem.status == 412 && problem.current() == Some(wanted));
        if !ours || !retries.repeated() {
            return Err(error);
        }
        let row = self.row(&Target::active(name.clone())).await?;
        if row.manifest == wanted { self.receipt_for(name, &row).await } else { Err(error) }
    }

    /// The receipt that the lost reply would have contained.
    pub(super) async fn receipt_for(&self, name: &ManifestName, row: &Row) -> Result<Receipt, ClientError> {
        let history = self.history(name, None, 1).await?;
        Ok(Receipt {
            name: name.clone(),
            version: row.number,
            generation: history.generation,
            manifest: row.manifest,
            state: row.state,
            unchanged: false,
            verifying: None,
            previous: history.previous,
        })
    }
}
