//! The log of attached hosts, and the service over it, with records that a test sets.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::SignedDuration;
use larder::clock::{Clock, ManualClock, SystemClock};
use larder::domain::attached::HostRefusal;
use larder::domain::hosts::{HostRole, HostTable, LiveHosts};
use larder::domain::site::HostName;
use larder::domain::{Expect, Subject};
use larder::protocol::HostLog;
use larder::service::{DomainError, DomainRequest, Domains, TxtLookup};
use serde_json::Value;

use crate::support::faulty::{FaultyStore, Op};
use crate::support::services::target;
use crate::support::store::*;

const STALENESS: Duration = Duration::from_secs(60);

fn host(text: &str) -> HostName {
    text.parse().unwrap()
}

/// Records that a test sets; of a host without an entry the DNS says nothing.
#[derive(Debug, Default)]
struct Records {
    texts: Mutex<HashMap<String, Vec<String>>>,
    looks: Mutex<u32>,
}

#[async_trait]
impl TxtLookup for Records {
    async fn texts(&self, name: &str) -> Result<Vec<String>, String> {
        *self.looks.lock().unwrap() += 1;
        let at = name.strip_prefix("_larder-challenge.").expect("only challenges are asked for");
        if at.starts_with("silent") {
            std::future::pending::<()>().await;
        }
        self.texts.lock().unwrap().get(at).cloned().ok_or_else(|| "no answer".to_owned())
    }
}

/// A store, its clock and the DNS.
struct World {
    disk: FsBackend,
    clock: Arc<ManualClock>,
    records: Arc<Records>,
}

/// One server's part of it.
struct Server {
    domains: Domains,
    hosts: LiveHosts,
}

impl World {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::new(SystemClock.now()));
        Self { disk: FsBackend::quick(), clock, records: Arc::default() }
    }

    fn server(&self, staleness: Duration) -> Server {
        self.over(&self.disk.store(), staleness)
    }

    fn over(&self, store: &Store, staleness: Duration) -> Server {
        let mut table = HostTable::default();
        table.add(&host("api.org"), HostRole::Api).unwrap();
        let hosts = LiveHosts::from(table);
        let log = HostLog::new(Arc::clone(store) as _, self.clock.clone(), staleness);
        let domains = Domains::new(log, hosts.clone(), self.records.clone(), self.clock.clone());
        Server { domains, hosts }
    }

    fn set(&self, at: &str, texts: &[&str]) {
        let texts = texts.iter().map(|text| (*text).to_owned()).collect();
        self.records.texts.lock().unwrap().insert(at.to_owned(), texts);
    }

    fn looks(&self) -> u32 {
        *self.records.looks.lock().unwrap()
    }

    /// The keys of the log, newest first.
    async fn states(&self) -> Vec<String> {
        keys(&self.disk.store(), "aux/hosts/", None, None).await
    }

    async fn document(&self) -> Value {
        let newest = self.states().await.remove(0);
        serde_json::from_slice(&read(&self.disk.store(), &newest).await.unwrap()).unwrap()
    }
}

fn request(name: &str, by: &str) -> DomainRequest {
    let by = Subject::token(by).unwrap();
    DomainRequest { target: target(name), redirect_to: None, by, reason: None, expect: Expect::Anything }
}

impl Server {
    /// Claims a host for a name and sets the record.
    async fn claim(&self, world: &World, at: &str, name: &str, by: &str) -> Result<(), DomainError> {
        let wanted = request(name, by);
        let own = wanted.target.name.clone();
        let state = self.domains.claim(&host(at), &wanted, |name| *name == own).await?;
        let entry = state.hosts.get(&host(at)).unwrap();
        let its = entry.owner.iter().chain(&entry.pending).find(|claim| claim.target.name == own).unwrap();
        world.set(at, &["v=spf1 -all", &its.challenge]);
        Ok(())
    }

    async fn attach(&self, world: &World, at: &str, name: &str) {
        self.claim(world, at, name, "one").await.unwrap();
        assert_eq!(self.domains.verify(&host(at), &Subject::admin(), |_| true).await.unwrap().1, None);
    }

    async fn serves(&self, at: &str) -> Option<String> {
        self.domains.refresh().await.unwrap();
        match self.hosts.find(Some(at)) {
            HostRole::Site(site) => Some(site.target.as_ref().unwrap().to_string()),
            _ => None,
        }
    }
}

#[tokio::test]
async fn what_one_server_verified_another_one_serves_and_a_restarted_one_too() {
    let world = World::new();
    let (one, other) = (world.server(STALENESS), world.server(Duration::ZERO));
    one.claim(&world, "a.org", "a", "one").await.unwrap();
    assert_eq!((one.serves("a.org").await, other.serves("a.org").await), (None, None));
    assert_eq!(other.domains.verify(&host("a.org"), &Subject::admin(), |_| true).await.unwrap().1, None);
    assert_eq!(other.serves("a.org").await.as_deref(), Some("a"));
    assert_eq!(one.serves("a.org").await, None, "as stale as it may be");
    tokio::time::pause();
    tokio::time::advance(STALENESS).await;
    tokio::time::resume();
    assert_eq!(one.serves("a.org").await.as_deref(), Some("a"));
    assert_eq!(world.server(STALENESS).serves("a.org").await.as_deref(), Some("a"));
}

#[tokio::test]
async fn of_many_who_claim_a_host_at_once_the_proven_one_gets_it() {
    let world = World::new();
    let servers: Vec<_> = (0..6).map(|_| world.server(STALENESS)).collect();
    let names: Vec<String> = (0..6).map(|number| format!("n{number}")).collect();
    let claims = servers.iter().zip(&names).map(|(server, name)| server.claim(&world, "a.org", name, name));
    for claimed in futures_util::future::join_all(claims).await {
        claimed.unwrap();
    }
    let wanted = world.document().await["hosts"]["a.org"]["pending"][2].clone();
    world.set("a.org", &[wanted["challenge"].as_str().unwrap()]);
    let at = host("a.org");
    let subject = Subject::admin();
    let looks = servers.iter().map(|server| server.domains.verify(&at, &subject, |_| true));
    for look in futures_util::future::join_all(looks).await {
        look.unwrap();
    }
    assert_eq!(servers[0].serves("a.org").await.as_deref(), wanted["name"].as_str());
    let document = world.document().await;
    assert_eq!(document["hosts"]["a.org"]["history"].as_array().unwrap().len(), 1, "{document:#}");
    let late = servers[1].claim(&world, "a.org", "late", "late").await.unwrap_err();
    assert!(matches!(late, DomainError::Refused(HostRefusal::Taken)), "{late}");
}

#[tokio::test]
async fn requests_for_hosts_that_nobody_knows_share_one_look() {
    let world = World::new();
    let setup = world.server(STALENESS);
    setup.attach(&world, "a.org", "a").await;
    let faulty = FaultyStore::over(&world.disk.store());
    let server = world.over(&faulty.store(), STALENESS);
    let looks = (0..200).map(|number| {
        let server = &server;
        async move { server.serves(&format!("h{number}.org")).await }
    });
    assert!(futures_util::future::join_all(looks).await.iter().all(Option::is_none));
    let (lists, gets) = (faulty.calls(Op::List), faulty.calls(Op::Get));
    assert!(lists == 1 && gets == 1, "{lists} listings, {gets} reads");
    tokio::time::pause();
    tokio::time::advance(STALENESS).await;
    tokio::time::resume();
    server.serves("a.org").await.unwrap();
    assert_eq!((faulty.calls(Op::List), faulty.calls(Op::Get)), (1, 2));
}

#[tokio::test]
async fn old_states_go_and_nobody_misses_them() {
    let world = World::new();
    let (writer, reader) = (world.server(Duration::ZERO), world.server(Duration::ZERO));
    for number in 0..10 {
        writer.attach(&world, &format!("h{number}.org"), "a").await;
    }
    assert_eq!(reader.serves("h9.org").await.as_deref(), Some("a"));
    assert_eq!(world.states().await.len(), 20);
    writer.domains.recheck().await.unwrap();
    assert_eq!(world.states().await.len(), 20, "they are too young");
    // What the reader knows is as old as the states.
    world.disk.age("aux/hosts/", Duration::from_hours(1));
    world.clock.advance(SignedDuration::from_mins(30));
    writer.attach(&world, "late.org", "a").await;
    world.disk.age("aux/hosts/", Duration::from_hours(1));
    writer.domains.recheck().await.unwrap();
    assert_eq!(world.states().await.len(), 1);
    assert_eq!(reader.serves("late.org").await.as_deref(), Some("a"));
    assert_eq!(reader.serves("h0.org").await.as_deref(), Some("a"));
    reader.attach(&world, "later.org", "a").await;
    assert_eq!(writer.serves("later.org").await.as_deref(), Some("a"));
    assert_eq!(world.document().await["hosts"]["h0.org"]["history"][0]["action"], "attach");
}

#[tokio::test]
async fn records_are_looked_for_daily_by_one_server_and_a_missing_one_ends_a_host_after_three_days() {
    let world = World::new();
    let (one, other) = (world.server(Duration::ZERO), world.server(Duration::ZERO));
    one.attach(&world, "a.org", "a").await;
    one.attach(&world, "b.org", "b").await;
    let before = world.looks();
    assert_eq!(one.domains.recheck().await.unwrap(), 0, "they were looked for just now");
    world.clock.advance(SignedDuration::from_hours(24));
    world.set("b.org", &["something else"]);
    let (first, second) = tokio::join!(one.domains.recheck(), other.domains.recheck());
    assert_eq!(first.unwrap() + second.unwrap(), 2);
    assert_eq!(world.looks() - before, 2);
    assert_eq!(one.serves("b.org").await.as_deref(), Some("b"), "never at once");
    world.clock.advance(SignedDuration::from_hours(72) - SignedDuration::from_secs(1));
    assert_eq!(one.serves("b.org").await.as_deref(), Some("b"));
    world.clock.advance(SignedDuration::from_secs(1));
    assert_eq!((one.serves("b.org").await, other.serves("b.org").await), (None, None));
    assert_eq!(one.serves("a.org").await.as_deref(), Some("a"));
    // The DNS does not answer for `a.org` any more: that is nobody's fault.
    world.records.texts.lock().unwrap().remove("a.org");
    one.domains.recheck().await.unwrap();
    world.clock.advance(SignedDuration::from_hours(200));
    assert_eq!(one.serves("a.org").await.as_deref(), Some("a"));
}

#[tokio::test]
async fn hosts_of_one_whose_dns_is_silent_keep_nobody_else_waiting() {
    let (world, one, two) = (World::new(), Subject::token("one").unwrap(), Subject::token("two").unwrap());
    let server = world.server(STALENESS);
    let hosts: Vec<String> = (0..32).map(|number| format!("silent{number}.org")).collect();
    for at in &hosts {
        server.claim(&world, at, "a", "one").await.unwrap();
    }
    server.claim(&world, "b.org", "b", "two").await.unwrap();
    tokio::time::pause();
    let began = tokio::time::Instant::now();
    let look = |at: &str, by: &Subject| {
        let (server, at, by) = (&server, host(at), by.clone());
        async move { (server.domains.verify(&at, &by, |_| true).await, began.elapsed()) }
    };
    let silent = futures_util::future::join_all(hosts.iter().map(|at| look(at, &one)));
    let other = async {
        // It comes last.
        tokio::time::sleep(Duration::from_secs(1)).await;
        look("b.org", &two).await
    };
    let (silent, (found, after)) = tokio::join!(silent, other);
    assert_eq!(found.unwrap().1, None);
    assert!(after <= Duration::from_secs(11), "it waited for one look-up, not for a queue: {after:?}");
    let longest = silent.iter().map(|(_, after)| *after).max().unwrap();
    assert!(longest <= Duration::from_secs(36), "{longest:?}");
    let unanswered = silent.iter().filter(|(found, _)| matches!(found, Err(DomainError::Unanswered(_)))).count();
    assert!(unanswered >= 16 && silent.iter().all(|(found, _)| found.is_err()), "{unanswered}");
    assert_eq!(server.serves("b.org").await.as_deref(), Some("b"));
}

#[tokio::test]
async fn what_may_not_be_attached_is_refused_before_anything_is_stored_or_asked() {
    let world = World::new();
    let server = world.server(STALENESS);
    for bad in [
        "localhost",
        "127.0.0.1",
        "[::1]",
        "10.0.0",
        &format!("{}.org", ["a".repeat(60), "b".repeat(60), "c".repeat(60), "d".repeat(60)].join(".")),
    ] {
        let refused = server.claim(&world, bad, "a", "one").await.unwrap_err();
        assert!(matches!(refused, DomainError::NoDomain), "{bad}: {refused}");
    }
    let refused = server.claim(&world, "api.org", "a", "one").await.unwrap_err();
    assert!(matches!(refused, DomainError::Configured(_)), "{refused}");
    let unknown = server.domains.verify(&host("a.org"), &Subject::admin(), |_| true).await.unwrap_err();
    assert!(matches!(unknown, DomainError::Refused(HostRefusal::Absent)), "{unknown}");
    server.hosts.replace(HostTable::default());
    let refused = server.claim(&world, "a.org", "a", "one").await.unwrap_err();
    assert!(matches!(refused, DomainError::Unbound), "{refused}");
    assert!(world.states().await.is_empty());
    assert_eq!(world.looks(), 0);
}
