//! Domains: hosts that are attached to names while the server runs, by those who may, once the DNS says so.
//!
//! Whoever claims a host gets the text of a TXT record to set at `_larder-challenge.HOST`. Finding it attaches the host;
//! it is looked for again every day. Nothing else is asked of the DNS, and only below names that were validated, so a
//! claim reaches no address that its maker chose.

mod error;
mod roles;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use tokio::time::timeout;

use crate::clock::Clock;
use crate::domain::attached::{AttachedHosts, HostEntry, HostRefusal, WantedHost, challenge};
use crate::domain::hosts::LiveHosts;
use crate::domain::site::HostName;
use crate::domain::{Digest, Expect, ManifestName, Subject, Target};
use crate::protocol::{HostLog, HostState};
use crate::shares::{Owner, Shares};
use crate::store::StoreError;
pub use error::DomainError;

/// What the record that verifies a host begins with.
const RECORD: &str = "_larder-challenge.";
/// Longest host, in bytes, so that its record has a name.
const MAX_HOST: usize = 253 - RECORD.len();
/// Look-ups at once: those of requests and those of upkeep together.
const LOOK_UPS: usize = 8;
/// Longest wait for one of them. Subjects take turns, so that hosts of one whose DNS does not answer keep nobody else waiting
/// for longer than one look-up takes.
const TURN_WITHIN: Duration = Duration::from_secs(25);
/// Time limit for one look-up.
const LOOKED_UP_WITHIN: Duration = Duration::from_secs(10);
/// Hosts that are judged in one change.
const BATCH: usize = 500;

/// Look-ups of TXT records.
#[async_trait]
pub trait TxtLookup: Send + Sync + fmt::Debug {
    /// The texts of the TXT records of a fully qualified name without the dot at its end, none if there are none.
    ///
    /// # Errors
    /// Why that cannot be said at present: a sentence without a full stop.
    async fn texts(&self, name: &str) -> Result<Vec<String>, String>;
}

/// What somebody wants a host to be.
#[derive(Debug, Clone)]
pub struct DomainRequest {
    /// What it is to serve.
    pub target: Target,
    /// Where it is to redirect to, in place of that.
    pub redirect_to: Option<HostName>,
    /// The caller.
    pub by: Subject,
    /// Why, if that was said.
    pub reason: Option<String>,
    /// The precondition, in terms of [`HostEntry::tag`].
    pub expect: Expect,
}

/// The service for domains.
#[derive(Debug)]
pub struct Domains {
    log: HostLog,
    hosts: LiveHosts,
    lookup: Arc<dyn TxtLookup>,
    turns: Shares,
    clock: Arc<dyn Clock>,
}

/// The name of the TXT record that verifies a host.
#[must_use]
pub fn record(host: &HostName) -> String {
    format!("{RECORD}{host}")
}

impl Domains {
    /// Creates the service. `hosts` gets to know what is attached.
    #[must_use]
    pub fn new(log: HostLog, hosts: LiveHosts, lookup: Arc<dyn TxtLookup>, clock: Arc<dyn Clock>) -> Self {
        Self { log, hosts, lookup, turns: Shares::new(LOOK_UPS as u64), clock }
    }

    /// The time by which claims and records are judged.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        self.clock.now()
    }

    /// Brings what is known of attached hosts up to date, and returns for how long it may be taken as it is. Costs one
    /// GET per `heads.max_staleness`, shared by all who ask.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn refresh(&self) -> Result<Duration, StoreError> {
        let (state, left) = self.log.recent().await?;
        self.show(&state);
        Ok(left)
    }

    /// All hosts, as they are now.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn hosts(&self) -> Result<Arc<HostState>, StoreError> {
        let state = self.log.now().await?;
        self.show(&state);
        Ok(state)
    }

    /// All hosts, as stale as the configured maximum: for those who may not change any.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn recent_hosts(&self) -> Result<Arc<HostState>, StoreError> {
        let (state, _) = self.log.recent().await?;
        self.show(&state);
        Ok(state)
    }

    /// Claims a host, or points it elsewhere if it belongs to the name. `may` says to which names the caller may attach
    /// hosts.
    ///
    /// # Errors
    /// A [`DomainError`].
    pub async fn claim(
        &self,
        host: &HostName,
        request: &DomainRequest,
        may: impl Fn(&ManifestName) -> bool + Send + Sync,
    ) -> Result<Arc<HostState>, DomainError> {
        self.check(host)?;
        if request.redirect_to.as_ref() == Some(host) {
            return Err(DomainError::Loop);
        }
        let now = self.clock.now();
        let change = |hosts: &mut AttachedHosts, state: &HostState| {
            require(hosts.get(host), &request.expect)?;
            let challenge = challenge(&state.salt, host, &request.target.name);
            let DomainRequest { target, redirect_to, by, reason, .. } = request.clone();
            let wanted = WantedHost { target, redirect_to, by, reason, challenge };
            Ok(hosts.claim(host, wanted, now, &may)?)
        };
        self.change(change).await
    }

    /// Looks for the record of a host, and attaches it if that is there. Returns what was found wrong, if anything: a
    /// sentence without a full stop.
    ///
    /// # Errors
    /// A [`DomainError`].
    pub async fn verify(
        &self,
        host: &HostName,
        by: &Subject,
        may: impl Fn(&ManifestName) -> bool + Send + Sync,
    ) -> Result<(Arc<HostState>, Option<String>), DomainError> {
        let (state, now) = (self.hosts().await?, self.clock.now());
        let is_its =
            |entry: &&HostEntry| entry.owner.iter().chain(entry.waiting(now)).any(|claim| may(&claim.target.name));
        let entry = state.hosts.get(host).filter(is_its).ok_or(DomainError::Refused(HostRefusal::Absent))?;
        let wanted: Vec<&str> = entry.owner.iter().chain(entry.waiting(now)).map(|claim| &*claim.challenge).collect();
        self.check(host)?;
        let texts = self.look_up(host, by).await?.map_err(DomainError::Unanswered)?;
        let is_there = texts.iter().any(|text| wanted.contains(&text.trim()));
        let problem = (!is_there).then(|| match texts.len() {
            0 => format!("{} has no TXT record yet", record(host)),
            1 => format!("the TXT record of {} has another text", record(host)),
            several => format!("none of the {several} TXT records of {} has the text", record(host)),
        });
        let state = self.change(|hosts, _| Ok(hosts.settle(host, &texts, now))).await?;
        Ok((state, problem))
    }

    /// Detaches a host, and drops claims to it.
    ///
    /// # Errors
    /// A [`DomainError`].
    pub async fn detach(
        &self,
        host: &HostName,
        (by, reason): (Subject, Option<String>),
        expect: &Expect,
        may: impl Fn(&ManifestName) -> bool + Send + Sync,
    ) -> Result<(), DomainError> {
        let now = self.clock.now();
        let change = |hosts: &mut AttachedHosts, _: &HostState| {
            require(hosts.get(host), expect)?;
            hosts.detach(host, (by.clone(), reason.clone()), now, &may)?;
            Ok(true)
        };
        self.change(change).await.map(drop)
    }

    /// Looks for the records of the hosts whose turn it is, if it is this server's turn, and forgets what has had its time.
    /// A host whose DNS does not answer stays as it is. Returns how many were looked for.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn recheck(&self) -> Result<usize, DomainError> {
        // A server without hosts of its own serves none of them.
        if !self.hosts.current().is_bound() {
            return Ok(0);
        }
        let (state, now) = (self.hosts().await?, self.clock.now());
        if state.generation == 0 {
            return Ok(0);
        }
        self.log.delete_old().await?;
        let due = state.hosts.due(now);
        let has_old = state.hosts.clone().tidy(now);
        if (due.is_empty() && !has_old) || !self.log.take_turn().await? {
            return Ok(0);
        }
        let mut looked_for = 0;
        for batch in due.chunks(BATCH) {
            let found: BTreeMap<HostName, Vec<String>> = stream::iter(batch.to_vec())
                .map(|host| async move {
                    let texts = self.look_up(&host, &Subject::collector()).await;
                    (host, texts)
                })
                .buffer_unordered(LOOK_UPS / 2)
                .filter_map(async |(host, texts)| match texts {
                    Ok(Ok(texts)) => Some((host, texts)),
                    Ok(Err(why)) => {
                        tracing::warn!(%host, why, "the record of this host cannot be looked for");
                        None
                    }
                    Err(error) => {
                        tracing::warn!(%host, %error, "the record of this host cannot be looked for");
                        None
                    }
                })
                .collect()
                .await;
            looked_for += batch.len();
            let settle = |hosts: &mut AttachedHosts, _: &HostState| {
                Ok(found.iter().fold(false, |changed, (host, texts)| hosts.settle(host, texts, now) | changed))
            };
            self.change(settle).await?;
        }
        self.change(|hosts, _| Ok(hosts.tidy(now))).await?;
        Ok(looked_for)
    }

    /// Whether a host may be attached at all.
    fn check(&self, host: &HostName) -> Result<(), DomainError> {
        let text = host.as_str();
        let is_name = text.contains('.') && !text.starts_with('[');
        let is_address = text.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
        // Names that begin so are for services, not for hosts.
        let is_service = text.split('.').any(|label| label.starts_with('_'));
        if !is_name || is_address || is_service || text.len() > MAX_HOST {
            return Err(DomainError::NoDomain);
        }
        if !self.hosts.current().is_bound() {
            return Err(DomainError::Unbound);
        }
        if self.hosts.current().has_previews_below(host) {
            return Err(DomainError::Configured("a domain for previews"));
        }
        DomainError::configured(&self.hosts.configured(Some(text))).map_or(Ok(()), Err)
    }

    async fn look_up(&self, host: &HostName, by: &Subject) -> Result<Result<Vec<String>, String>, DomainError> {
        let turn = self.turns.take(&Owner::new(by), 1, TURN_WITHIN).await.ok_or(DomainError::Busy)?;
        turn.keep();
        let texts = timeout(LOOKED_UP_WITHIN, self.lookup.texts(&record(host))).await;
        Ok(texts.unwrap_or_else(|_| Err("no name server answered in time".to_owned())))
    }

    async fn change(
        &self,
        change: impl Fn(&mut AttachedHosts, &HostState) -> Result<bool, DomainError> + Send,
    ) -> Result<Arc<HostState>, DomainError> {
        let state = self.log.change(change).await?;
        self.show(&state);
        Ok(state)
    }

    /// Lets requests for hosts see this state, unless they do already.
    fn show(&self, state: &HostState) {
        let (shown, table, now) = (self.hosts.attached(), self.hosts.current(), self.clock.now());
        let is_current = shown.source == state.generation
            && Arc::ptr_eq(&shown.table, &table)
            && shown.until.is_none_or(|until| now < until);
        // A request that was overtaken must not bring back what another one has replaced.
        if !is_current && shown.source <= state.generation {
            self.hosts.attach(roles::roles(state, table, now));
        }
    }
}

fn require(entry: Option<&HostEntry>, expect: &Expect) -> Result<(), DomainError> {
    let current = entry.filter(|entry| entry.owner.is_some() || !entry.pending.is_empty()).map(HostEntry::tag);
    if expect.holds(current) { Ok(()) } else { Err(DomainError::Precondition(current)) }
}

/// The tag of a host, for preconditions; `None` if it is nobody's.
#[must_use]
pub fn tag(entry: &HostEntry) -> Option<Digest> {
    (entry.owner.is_some() || !entry.pending.is_empty()).then(|| entry.tag())
}
