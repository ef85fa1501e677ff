//! The history of a name, warnings against versions, and who holds a manifest.

use reqwest::{Method, Url, header};

use super::{Client, ClientError, because};
use crate::domain::{Digest, ManifestName, Target};
use crate::wire::{Changes, FloorRequest, Holders, NameFloor, Row, YankRequest};

/// Which changes of a history to read.
#[derive(Debug, Clone, Copy)]
pub struct ChangesQuery {
    /// Only changes that made generations below this one.
    pub before: Option<u64>,
    /// Maximum number of changes.
    pub limit: usize,
    /// Whether to show the steps of a publish before its end.
    pub all: bool,
}

impl Client {
    /// One page of the changes of a name, or of those that concern one version, newest first.
    ///
    /// # Errors
    /// The server's refusal, or the transport's failure.
    pub async fn changes(&self, target: &Target, query: ChangesQuery) -> Result<Changes, ClientError> {
        let mut url = self.url(&format!("history/{target}"));
        let mut pairs = url.query_pairs_mut();
        pairs.append_pair("limit", &query.limit.to_string());
        if let Some(before) = query.before {
            pairs.append_pair("before", &before.to_string());
        }
        if query.all {
            pairs.append_pair("all", "true");
        }
        drop(pairs);
        self.read(url).await?.json()
    }

    /// One page of the versions that hold the manifest with this digest.
    ///
    /// # Errors
    /// The server's refusal, or the transport's failure.
    pub async fn holders(&self, manifest: Digest, after: Option<&str>, limit: usize) -> Result<Holders, ClientError> {
        let mut url = self.url(&format!("manifests/{manifest}"));
        url.query_pairs_mut().append_pair("limit", &limit.to_string());
        if let Some(after) = after {
            url.query_pairs_mut().append_pair("after", after);
        }
        self.read(url).await?.json()
    }

    /// Warns against a version; with `rollback` also if it is active.
    ///
    /// # Errors
    /// The server's refusal, or the transport's failure.
    pub async fn yank(&self, target: &Target, request: &YankRequest, rollback: bool) -> Result<Row, ClientError> {
        let mut url = self.action(target, "yank");
        if rollback {
            url.query_pairs_mut().append_pair("rollback", "true");
        }
        self.answer(|| self.request(Method::PUT, url.clone()).json(request)).await?.json()
    }

    /// Takes the warning against a version away.
    ///
    /// # Errors
    /// The server's refusal, or the transport's failure.
    pub async fn unyank(&self, target: &Target, reason: Option<&str>) -> Result<Row, ClientError> {
        let url = because(self.action(target, "yank"), reason);
        self.answer(|| self.request(Method::DELETE, url.clone())).await?.json()
    }

    /// States that a version is the lowest that clients should run.
    ///
    /// # Errors
    /// The server's refusal, or the transport's failure.
    pub async fn set_floor(&self, target: &Target, reason: &str) -> Result<NameFloor, ClientError> {
        let (url, request) = (self.action(target, "floor"), FloorRequest { reason: reason.to_owned() });
        self.answer(|| self.request(Method::PUT, url.clone()).json(&request)).await?.json()
    }

    /// Takes the floor of a name away.
    ///
    /// # Errors
    /// The server's refusal, or the transport's failure.
    pub async fn clear_floor(&self, name: &ManifestName, reason: Option<&str>) -> Result<NameFloor, ClientError> {
        let url = because(self.action(&Target::active(name.clone()), "floor"), reason);
        self.answer(|| self.request(Method::DELETE, url.clone())).await?.json()
    }

    fn action(&self, target: &Target, action: &str) -> Url {
        self.url(&format!("versions/{}@{}/{action}", target.name, target.selector))
    }

    /// Reads JSON from where browsers get a page.
    async fn read(&self, url: Url) -> Result<super::answer::Answer, ClientError> {
        self.answer(|| self.request(Method::GET, url.clone()).header(header::ACCEPT, "application/json")).await
    }
}
