//! Servers over one store, what was done to it, and those who ask.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::SignedDuration;
use larder::clock::{Clock, ManualClock, SystemClock};
use larder::domain::policy::PolicyKeys;
use larder::domain::retention::EarlierFiles;
use larder::domain::{Expect, LivePolicies, Policies, PolicyRule};
use larder::upkeep::collect::Settings;
use tokio::time::Instant;

use super::super::{ADMIN, BLOG, Page, Sites, configure, tag};
use super::builds::{Build, COMMON, shared_paths};
use super::oracle::{Answer, Kind, Question, Source, State, WINDOW};
use crate::schedule::random::Random;
use crate::support::collecting::{NOTHING, collect, findings, greedy, marked};
use crate::support::faulty::{FaultyStore, Op, Rule};
use crate::support::server::TestServer;
use crate::support::services::{ACTOR, Services, name};
use crate::support::store::{FsBackend, Store};

/// The name whose previews anybody can see.
pub const NAME: &str = "acme/blog";
/// How far servers may be behind.
const STALENESS: Duration = Duration::from_secs(1);

/// What the name was like before a change.
struct Past {
    state: State,
    /// When it was known to be over.
    over: Instant,
    /// The server that changed it, if one of them did.
    by: Option<usize>,
}

/// What was seen on the way: a model in which nothing happens proves nothing.
#[derive(Debug, Default)]
pub struct Counts {
    /// Answers with a file of another version.
    pub earlier: usize,
    /// Answers that such a file is not there any more, or not yet.
    pub absent: usize,
    /// Answers that the name, or a version, was taken away.
    pub gone: usize,
    /// Answers of a server that was behind.
    pub behind: usize,
}

pub struct World {
    pub counts: Counts,
    pub random: Random,
    backend: FsBackend,
    store: Store,
    pub servers: Vec<Sites>,
    pub writer: Services,
    clock: Arc<ManualClock>,
    pub state: State,
    past: Vec<Past>,
    /// The versions whose pages somebody has open.
    tabs: BTreeSet<u64>,
    paths: BTreeSet<String>,
    pub trace: Vec<String>,
}

/// A question that was answered.
pub struct Asked {
    server: usize,
    question: Question,
    sent: Instant,
    seen: Answer,
}

fn policies(limit: usize) -> LivePolicies {
    let window = SignedDuration::from_secs(WINDOW.cast_signed());
    let keys = PolicyKeys {
        keep_last: Some(NOTHING.keep_last),
        keep_for: Some(NOTHING.keep_for),
        earlier_files: Some(EarlierFiles { window, versions: limit as u64 }),
        ..PolicyKeys::default()
    };
    Policies::new(vec![PolicyRule { matches: vec!["**".parse().unwrap()], keys }]).into()
}

async fn server(backend: &FsBackend, store: &Store, clock: &Arc<ManualClock>, limit: usize) -> Sites {
    let faulty = FaultyStore::over(store);
    // So that it goes by its clock, which the model moves, and not by the store's.
    faulty.script(Rule::on(Op::Create).key("probe/").fail());
    let rule = format!("match = ['**']\nearlier_files = {{ for = '{WINDOW}s', versions = {limit} }}");
    let clock = Arc::clone(clock) as Arc<dyn Clock>;
    let server = TestServer::over(backend.root(), faulty.store(), clock, |config| {
        configure(config);
        config.collector.enabled = false;
        config.heads.max_staleness = larder::config::Duration::from_secs(STALENESS.as_secs());
        config.names.push(toml::from_str(&rule).unwrap());
    });
    let mut server = server.await;
    ADMIN.clone_into(&mut server.token);
    Sites(server)
}

impl World {
    pub async fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let (backend, limit) = (marked(), random.between(2, 5));
        // So far ahead that the collector goes by the store's time alone, which the model moves as well.
        let clock = Arc::new(ManualClock::new(SystemClock.now() + SignedDuration::from_hours(1000)));
        let store = backend.store();
        let servers =
            vec![server(&backend, &store, &clock, limit).await, server(&backend, &store, &clock, limit).await];
        let writer = Services::with_policies(&store, Arc::clone(&clock), Duration::ZERO, policies(limit));
        let paths = COMMON.iter().map(|path| (*path).to_owned()).chain(shared_paths()).collect();
        let trace = vec![format!("the last {limit} versions count")];
        let (state, past, tabs) = (State::new(limit), Vec::new(), BTreeSet::new());
        let counts = Counts::default();
        Self { counts, random, backend, store, servers, writer, clock, state, past, tabs, paths, trace }
    }

    /// Time passes, for hosts and for the store.
    pub fn pass(&mut self, seconds: u64) {
        self.clock.advance(SignedDuration::from_secs(seconds.cast_signed()));
        self.backend.age("heads/", Duration::from_secs(seconds));
        self.state.now += seconds;
    }

    /// One run of a collector that keeps nothing but what is promised.
    pub async fn collect(&self) -> Result<(), String> {
        let settings = Settings { policies: policies(self.state.limit()), ..greedy() };
        collect(&self.store, settings).await.map(drop).map_err(|error| format!("the collector: {error}"))
    }

    pub async fn withdraw(&self) {
        let reason = "test".to_owned();
        self.writer.versions.withdraw(&name(NAME), Expect::Anything, reason, &*ACTOR).await.expect("withdraw");
    }

    pub fn learn(&mut self, build: &Build) {
        let names = build.files.iter().map(|(name, _)| name).filter(|name| name.starts_with("assets/"));
        self.paths.extend(names.map(|name| format!("/{name}")));
    }

    /// The name is now as `next` says.
    pub fn changed(&mut self, next: State, by: Option<usize>) {
        let state = std::mem::replace(&mut self.state, next);
        self.past.push(Past { state, over: Instant::now(), by });
    }

    /// Questions that people and pages could ask.
    pub fn questions(&mut self, count: usize) -> Vec<(usize, Question)> {
        let paths: Vec<String> = self.paths.iter().cloned().collect();
        let versions = self.state.versions.len();
        let ask = |_| {
            let random = &mut self.random;
            let server = random.below(self.servers.len());
            let preview = random.chance(200).then(|| random.between(1, versions + 1) as u64);
            let kind = random.pick(&[Kind::Load, Kind::Load, Kind::Load, Kind::Navigate, Kind::Program]);
            (server, Question { preview, path: random.pick(&paths), kind })
        };
        (0..count).map(ask).collect()
    }

    /// Somebody goes to the start page at each server.
    pub fn visits(&self) -> Vec<(usize, Question)> {
        let question = Question { preview: None, path: "/".to_owned(), kind: Kind::Navigate };
        (0..self.servers.len()).map(|server| (server, question.clone())).collect()
    }

    /// What pages that are open may load at any moment.
    pub fn promised(&mut self, state: &State) -> Vec<(usize, Question)> {
        let mut tabs: Vec<u64> = self.tabs.iter().copied().filter(|number| state.is_promised(*number)).collect();
        self.random.shuffle(&mut tabs);
        let scripts = tabs.iter().take(4).flat_map(|number| state.versions[number].build.promised());
        let load =
            |(name, _): &(String, String)| Question { preview: None, path: format!("/{name}"), kind: Kind::Load };
        let loads: Vec<Question> = scripts.map(load).collect();
        let is_kept = |question: &Question| state.answer(question).1.status == 200;
        assert!(loads.iter().all(is_kept), "the oracle knows what it promises");
        loads.into_iter().map(|question| (self.random.below(self.servers.len()), question)).collect()
    }

    /// Checks answers that were given while the name was like each of these, or became so.
    pub async fn check(&mut self, questions: Vec<(usize, Question)>, states: &[State]) -> Result<(), String> {
        let asked = self.ask(questions).await?;
        self.judge(asked, states)
    }

    /// All at once, so that those for what is not there share the looks of the server.
    pub async fn ask(&self, questions: Vec<(usize, Question)>) -> Result<Vec<Asked>, String> {
        let all = questions.into_iter().map(|(server, question)| async move {
            let sent = Instant::now();
            let page = ask(&self.servers[server], &question, &[]).await;
            let seen = look_at(&page).map_err(|why| format!("server {server}, {question:?}: {why}\n{}", page.head))?;
            if seen.status == 200 {
                let text = seen.text.as_deref().unwrap_or_default();
                self.check_tag(server, &question, &page, text).await?;
            }
            Ok(Asked { server, question, sent, seen })
        });
        join_all(all).await.into_iter().collect()
    }

    async fn check_tag(&self, server: usize, question: &Question, page: &Page, text: &str) -> Result<(), String> {
        let held = page.header("etag").to_owned();
        if held != tag(text) {
            return Err(format!("server {server}, {question:?}: the tag of {text:?} is {held}"));
        }
        let again = ask(&self.servers[server], question, &[("if-none-match", &held)]).await;
        // It may have changed in the meantime; but if it is unchanged, so is what may be kept.
        let same = ["cache-control", "etag"].iter().all(|field| again.find(field) == page.find(field));
        if again.status == 304 && !same {
            return Err(format!("server {server}, {question:?}: {}\nand then {}", page.head, again.head));
        }
        Ok(())
    }

    pub fn judge(&mut self, asked: Vec<Asked>, states: &[State]) -> Result<(), String> {
        for Asked { server, question, sent, seen } in asked {
            let expected: Vec<_> = states.iter().map(|state| state.answer(&question).1).collect();
            if !expected.contains(&seen) && !self.is_behind(server, &question, sent, &seen) {
                let mut why = format!("server {server} answers {question:?} with\n{seen:?}\ninstead of");
                for one in &expected {
                    write!(why, "\n{one:?}").expect("a text");
                }
                return Err(why);
            }
            self.counts.earlier += usize::from(seen.earlier.is_some());
            self.counts.gone += usize::from(seen.status == 410);
            self.counts.absent += usize::from(seen.status == 404 && question.path.starts_with("/assets/a"));
            self.counts.behind += usize::from(!expected.contains(&seen));
            if question.path == "/" && question.preview.is_none() && seen.status == 200 {
                let all = states.iter().flat_map(|state| &state.versions);
                let shown = all.filter(|(_, version)| Some(&version.build.label) == seen.release.as_ref());
                self.tabs.extend(shown.map(|(number, _)| *number));
            }
        }
        Ok(())
    }

    /// Whether this was the right answer so short a time ago that the server need not know better: only of a file that
    /// was there at its path, and never after a change that the server made itself.
    fn is_behind(&self, server: usize, question: &Question, sent: Instant, seen: &Answer) -> bool {
        let known = self.past.iter().rposition(|past| past.by == Some(server)).map_or(0, |own| own + 1);
        self.past[known..].iter().filter(|past| sent < past.over + STALENESS).any(|past| {
            let (source, answer) = past.state.answer(question);
            source == Source::File && answer == *seen
        })
    }

    /// In the end every server says of every path and version just what is right, and the store is sound.
    pub async fn finish(&mut self) -> Result<(), String> {
        tokio::time::sleep(STALENESS).await;
        self.past.clear();
        let newest = self.state.versions.len() as u64;
        let mut all = Vec::new();
        for (server, path) in
            (0..self.servers.len()).flat_map(|server| self.paths.iter().map(move |path| (server, path)))
        {
            for kind in [Kind::Load, Kind::Navigate] {
                all.push((server, Question { preview: None, path: path.clone(), kind }));
            }
        }
        for (server, number) in
            (0..self.servers.len()).flat_map(|server| (1..=newest).map(move |number| (server, number)))
        {
            for path in ["/", "/style.css", "/nothing.js"] {
                all.push((server, Question { preview: Some(number), path: path.to_owned(), kind: Kind::Load }));
            }
        }
        let state = self.state.clone();
        self.check(all, &[state]).await?;
        let found = findings(&self.store).await;
        if found.is_empty() { Ok(()) } else { Err(format!("the store is not sound: {found:?}")) }
    }
}

async fn ask(server: &Sites, question: &Question, more: &[(&str, &str)]) -> Page {
    let host = match question.preview {
        Some(number) => format!("v{number}-blog.preview.example.org"),
        None => BLOG.to_owned(),
    };
    let kind: &[(&str, &str)] = match question.kind {
        Kind::Load => &[("sec-fetch-mode", "no-cors"), ("accept", "*/*")],
        Kind::Navigate => &[("sec-fetch-mode", "navigate"), ("accept", "text/html,*/*;q=0.8")],
        Kind::Program => &[],
    };
    server.ask("GET", &host, &question.path, &[kind, more].concat()).await
}

/// What the model has something to say about. What it cannot interpret is an error.
fn look_at(page: &Page) -> Result<Answer, String> {
    let kept = page.header("cache-control");
    let (is_immutable, is_unkept) = match kept {
        "no-cache" => (false, false),
        "no-store" => (false, true),
        "public, max-age=31536000, immutable" => (true, false),
        other => return Err(format!("Cache-Control: {other}")),
    };
    let release = page.find("x-release").map(str::to_owned);
    let is_of_release = page.status == 200 || release.is_some();
    Ok(Answer {
        status: page.status,
        text: is_of_release.then(|| page.text()),
        release,
        earlier: page.find("larder-version").and_then(|number| number.parse().ok()),
        location: page.find("location").map(str::to_owned),
        is_immutable,
        is_unkept,
        is_unlisted: page.find("x-robots-tag") == Some("noindex"),
    })
}
