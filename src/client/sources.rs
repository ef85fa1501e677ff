//! Several servers that have the same bytes: which of them is asked next.
//!
//! Only for what is addressed by its digest, so that it does not matter who serves it. A server that fails is left alone
//! for a minute; one that served other bytes than it was asked for, for good. What one server does not have is looked for
//! elsewhere, and says nothing about that server.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::{Duration, Instant, timeout};

use super::retry::Retries;
use super::{Client, ClientError, ErrorKind, RetryPolicy};
use crate::domain::Digest;

/// How long a server that failed is left alone.
const BENCH: Duration = Duration::from_mins(1);
/// How long a server may take until it sends something, and then for [`LEAST`] bytes, where another one could be asked.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes that a server has to send within [`PATIENCE`].
pub(super) const LEAST: u64 = 16 << 10;

/// Servers in the order in which they are asked. Shared by the clones of a client.
#[derive(Debug)]
pub(super) struct Sources {
    all: Vec<Source>,
    /// Blobs that were wrong after several servers had sent parts: next time, one has to send the whole.
    mixed: Mutex<HashSet<Digest>>,
}

#[derive(Debug)]
struct Source {
    client: Client,
    failure: Mutex<Option<Failure>>,
}

/// Why a server is not asked.
#[derive(Debug, Clone)]
struct Failure {
    /// `None`: for good.
    until: Option<Instant>,
    reason: String,
}

impl Sources {
    /// The servers of these clients, which are asked without retries of their own.
    pub(super) fn new(clients: impl IntoIterator<Item = Client>) -> Self {
        let source = |client: Client| Source {
            client: Client { policy: RetryPolicy::new(0), sources: None, ..client },
            failure: Mutex::default(),
        };
        Self { all: clients.into_iter().map(source).collect(), mixed: Mutex::default() }
    }

    /// The servers.
    pub(super) fn clients(&self) -> impl Iterator<Item = &Client> {
        self.all.iter().map(|source| &source.client)
    }

    /// Whether one server has to send the whole of this blob.
    pub(super) fn is_mixed(&self, blob: Digest) -> bool {
        lock(&self.mixed).contains(&blob)
    }

    /// Records that parts of several servers made other bytes than this blob's.
    pub(super) fn set_mixed(&self, blob: Digest) {
        lock(&self.mixed).insert(blob);
    }

    /// Never asks this server again.
    pub(super) fn exclude(&self, at: usize, why: &ClientError) {
        *lock(&self.all[at].failure) = Some(Failure { until: None, reason: why.to_string() });
    }

    fn bench(&self, at: usize, why: &ClientError) {
        let until = Some(Instant::now() + BENCH);
        *lock(&self.all[at].failure) = Some(Failure { until, reason: why.to_string() });
    }

    fn failure(&self, at: usize) -> Option<Failure> {
        let now = Instant::now();
        lock(&self.all[at].failure).clone().filter(|failure| failure.until.is_none_or(|until| until > now))
    }

    /// Asks those again that are only left alone for a time.
    fn pardon(&self) {
        for source in &self.all {
            let mut failure = lock(&source.failure);
            *failure = failure.take().filter(|failure| failure.until.is_none());
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The search for one thing among all servers.
pub(super) struct Search<'a> {
    sources: &'a Sources,
    what: String,
    absent: BTreeMap<usize, String>,
    pub(super) retries: Retries,
}

impl<'a> Search<'a> {
    /// Begins a search; `what` is looked for, as in "the blob sha256:…".
    pub(super) fn new(sources: &'a Sources, what: String, retries: Retries) -> Self {
        Self { sources, what, absent: BTreeMap::new(), retries }
    }

    /// The server to ask, waiting if all have failed.
    ///
    /// # Errors
    /// [`ClientError::NoSource`] when that was tried often enough.
    pub(super) async fn next(&mut self) -> Result<(usize, &'a Client), ClientError> {
        loop {
            if let Some(at) = (0..self.sources.all.len()).find(|at| self.is_left(*at)) {
                return Ok((at, &self.sources.all[at].client));
            }
            let error = self.error();
            self.retries.pause(error).await?;
            self.sources.pardon();
        }
    }

    /// Whether another server than this one could be asked.
    pub(super) fn has_others(&self, at: usize) -> bool {
        (0..self.sources.all.len()).any(|other| other != at && self.is_left(other))
    }

    /// Waits for a server, but not for long where another one could be asked.
    pub(super) async fn within<T>(
        &self,
        at: usize,
        asked: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, ClientError> {
        if !self.has_others(at) {
            return asked.await;
        }
        let server = self.sources.all[at].client.base.as_str().to_owned();
        timeout(PATIENCE, asked).await.unwrap_or(Err(ClientError::Timeout { server, after: PATIENCE }))
    }

    /// Records that a server did not serve it.
    pub(super) fn failed(&mut self, at: usize, why: &ClientError) {
        tracing::warn!("{why} Another server is asked, if there is one.");
        match why.kind() {
            ErrorKind::NotFound => drop(self.absent.insert(at, why.to_string())),
            ErrorKind::Integrity => self.sources.exclude(at, why),
            _ => self.sources.bench(at, why),
        }
    }

    /// Records that a server does not have it.
    pub(super) fn lacks(&mut self, at: usize) {
        self.absent.insert(at, "It is not there.".to_owned());
    }

    fn is_left(&self, at: usize) -> bool {
        !self.absent.contains_key(&at) && self.sources.failure(at).is_none()
    }

    /// The reason of each server.
    fn error(&self) -> ClientError {
        let mut failures = Vec::new();
        let mut is_passing = false;
        for (at, source) in self.sources.all.iter().enumerate() {
            let failure = self.sources.failure(at);
            let absent = self.absent.get(&at).cloned();
            is_passing |= absent.is_none() && failure.as_ref().is_none_or(|failure| failure.until.is_some());
            let reason = absent.or(failure.map(|failure| failure.reason)).unwrap_or_default();
            failures.push((source.client.base.to_string(), reason));
        }
        ClientError::NoSource { what: self.what.clone(), failures, is_passing }
    }
}
