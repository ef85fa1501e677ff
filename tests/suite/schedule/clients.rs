//! What clients do, and what they were told.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use larder::domain::head::Action;
use larder::domain::manifest::release;
use larder::domain::{Digest, Expect, Selector, State, Subject, Target};
use larder::protocol::{BlobError, ChangeError};
use larder::service::publish::{Prepared, PublishOptions};
use larder::service::versions::CopyError;
use larder::service::{PublishError, Receipt, ResolveError};
use larder::store::{StoreError, StoreErrorKind};

use super::process::{Process, Servers};
use super::random::Random;
use super::world::World;
use crate::support::services::{AsOf, Release, Services, name};

/// The names that everybody works on.
pub const NAMES: [&str; 3] = ["main", "other", "team/third"];

/// How often a client tries again.
pub const ATTEMPTS: usize = 3;

/// Something that a client wants.
#[derive(Debug, Clone)]
pub enum Task {
    /// Upload and publish in one request.
    Publish { to: &'static str, release: usize, activate: bool, expect: bool },
    /// Prepare, upload, commit.
    Session { to: &'static str, release: usize, activate: bool },
    /// Prepare, and give up, or forget about it.
    Leave { to: &'static str, release: usize, abort: bool },
    /// Stage, then promote.
    Stage { to: &'static str, release: usize },
    /// Make the version active that was before.
    Rollback(&'static str),
    /// Pin, or take the pin away.
    Pin { of: &'static str, number: u64, pinned: bool },
    /// Retire by hand.
    Retire { of: &'static str, number: u64 },
    /// Delete a name.
    Delete(&'static str),
    /// Publish one name's version under another.
    Copy { from: &'static str, to: &'static str },
    /// Upload one file of a release.
    Upload { release: usize, file: usize },
    /// Read everything of the active version.
    Read(&'static str),
}

impl Task {
    pub fn any(random: &mut Random, releases: &[Release]) -> Self {
        let (to, release) = (random.pick(&NAMES), random.below(releases.len()));
        let (yes, number) = (random.chance(500), random.between(1, 6) as u64);
        match random.below(20) {
            0..6 => Self::Publish { to, release, activate: random.chance(800), expect: random.chance(200) },
            6..9 => Self::Session { to, release, activate: random.chance(800) },
            9 => Self::Leave { to, release, abort: yes },
            10 => Self::Stage { to, release },
            11 => Self::Rollback(to),
            12 => Self::Pin { of: to, number, pinned: yes },
            13 => Self::Retire { of: to, number },
            14 => Self::Delete(to),
            15 => Self::Copy { from: random.pick(&NAMES), to },
            16 | 17 => Self::Upload { release, file: random.below(releases[release].files.len()) },
            _ => Self::Read(to),
        }
    }
}

fn picked(of: &str, selector: Selector) -> Target {
    Target { name: name(of), selector, explicit: true }
}

/// What a client was told, which must hold whatever happens.
#[derive(Debug, Clone)]
pub enum Claim {
    /// A version was changed by this client, or was found as wanted.
    Done { action: Action, client: usize, receipt: Box<Receipt> },
    /// A name was deleted.
    Deleted { of: &'static str, generation: u64 },
    /// A version was given up.
    Aborted { of: &'static str, number: u64 },
}

/// A client with its list of tasks.
pub struct Client {
    pub number: usize,
    pub world: Arc<World>,
    pub servers: Arc<Servers>,
    pub releases: Arc<Vec<Release>>,
    pub claims: Arc<Mutex<Vec<Claim>>>,
}

/// Why a client did not get what it wanted.
pub enum Failure {
    /// It may try again.
    Again(String),
    /// There is no use.
    No(String),
}

pub type Outcome<T> = Result<T, Failure>;

impl Client {
    pub async fn run(self, tasks: Vec<Task>) {
        for task in tasks {
            for _ in 0..ATTEMPTS {
                self.note(&format!("wants {task:?}"));
                match self.attempt(&task).await {
                    Ok(()) => self.note("is done"),
                    Err(Failure::Again(why)) => {
                        self.note(&format!("tries again: {why}"));
                        continue;
                    }
                    Err(Failure::No(why)) => self.note(&format!("gives up: {why}")),
                }
                break;
            }
        }
    }

    fn note(&self, text: &str) {
        self.world.note(&format!("      client {}: {text}", self.number));
    }

    fn actor(&self) -> Subject {
        Subject::token(&format!("client {}", self.number)).unwrap()
    }

    /// One request to any server.
    async fn ask<T, E: Into<Failure>>(&self, work: impl AsyncFnOnce(&Services) -> Result<T, E>) -> Outcome<T> {
        let process: Process = self.servers.any();
        match process.serve(&self.world, self.number, work(&process.services)).await {
            Some(done) => done.map_err(Into::into),
            None => Err(Failure::Again("no answer".into())),
        }
    }

    async fn attempt(&self, task: &Task) -> Outcome<()> {
        match *task {
            Task::Publish { to, release, activate, expect } => self.publish(to, release, activate, expect).await,
            Task::Session { to, release, activate } => self.session(to, release, activate).await,
            Task::Leave { to, release, abort } => self.leave(to, release, abort).await,
            Task::Stage { to, release } => {
                self.publish(to, release, false, false).await?;
                self.promote(to, Selector::Manifest(self.releases[release].digest())).await
            }
            Task::Rollback(of) => self.promote(of, Selector::Previous).await,
            Task::Pin { of, number, pinned } => self.pin(of, number, pinned).await,
            Task::Retire { of, number } => self.retire(of, number).await,
            Task::Delete(of) => self.delete(of).await,
            Task::Copy { from, to } => self.copy(from, to).await,
            Task::Upload { release, file } => self.upload(&self.releases[release].files[file].1).await,
            Task::Read(of) => self.read(of).await,
        }
    }

    async fn upload(&self, bytes: &Bytes) -> Outcome<()> {
        self.ask(async |services| services.upload(bytes).await).await.map(drop)
    }

    async fn upload_all(&self, release: usize, digests: Option<&[Digest]>) -> Outcome<()> {
        for (_, bytes) in &self.releases[release].files {
            if digests.is_none_or(|digests| digests.contains(&Digest::of(bytes))) {
                self.upload(bytes).await?;
            }
        }
        Ok(())
    }

    fn claim(&self, action: Action, receipt: Receipt) {
        let claim = Claim::Done { action, client: self.number, receipt: Box::new(receipt) };
        self.claims.lock().unwrap().push(claim);
    }

    async fn publish(&self, to: &str, release: usize, activate: bool, expect: bool) -> Outcome<()> {
        self.upload_all(release, None).await?;
        let manifest = self.releases[release].manifest();
        let expect = if expect { self.expectation(to).await? } else { Expect::Anything };
        let (to, actor, wish) = (name(to), self.actor(), PublishOptions { activate, expect });
        let receipt = self.ask(async |services| services.publish.publish(&to, manifest, wish, &actor).await).await?;
        assert!(receipt.row.state == State::Active || (!activate && receipt.row.state == State::Ready));
        assert_eq!(receipt.row.digest(), self.releases[release].digest());
        self.claim(Action::Publish, receipt);
        Ok(())
    }

    async fn expectation(&self, of: &str) -> Outcome<Expect> {
        let of = name(of);
        let head = self.ask(async |services| services.heads.current(&of).await).await?;
        let active = head.and_then(|head| head.active().map(larder::domain::VersionRow::digest));
        Ok(active.map_or(Expect::Nothing, |digest| Expect::OneOf(vec![digest])))
    }

    async fn session(&self, to: &str, release: usize, activate: bool) -> Outcome<()> {
        let (to, actor, wish) = (name(to), self.actor(), PublishOptions { activate, expect: Expect::Anything });
        let manifest = self.releases[release].manifest();
        let prepared = self.ask(async |services| services.publish.prepare(&to, manifest, &wish, &actor).await).await?;
        let (number, mut missing) = match prepared {
            Prepared::Unchanged(receipt) => {
                self.claim(Action::Publish, receipt);
                return Ok(());
            }
            Prepared::Session(receipt, missing) => (receipt.row.number, missing),
        };
        for _ in 0..ATTEMPTS {
            self.upload_all(release, Some(&missing)).await?;
            let wish = wish.clone();
            let committed = self.ask(async |services| services.publish.commit(&to, number, wish, &actor).await).await;
            match committed {
                Ok(receipt) => {
                    self.claim(Action::Publish, receipt);
                    return Ok(());
                }
                Err(Failure::No(_)) => return committed.map(drop),
                Err(Failure::Again(_)) => {}
            }
            (_, missing) = self.ask(async |services| services.publish.session(&to, number).await).await?;
        }
        Err(Failure::Again("the session is never complete".into()))
    }

    async fn leave(&self, of: &'static str, release: usize, abort: bool) -> Outcome<()> {
        let (to, actor) = (name(of), self.actor());
        let (manifest, wish) =
            (self.releases[release].manifest(), PublishOptions { activate: true, expect: Expect::Anything });
        let prepared = self.ask(async |services| services.publish.prepare(&to, manifest, &wish, &actor).await).await?;
        let Prepared::Session(receipt, _) = prepared else { return Ok(()) };
        if abort {
            let number = receipt.row.number;
            self.ask(async |services| services.publish.abort(&to, number, &actor).await).await?;
            self.claims.lock().unwrap().push(Claim::Aborted { of, number });
        }
        Ok(())
    }

    async fn promote(&self, of: &str, selector: Selector) -> Outcome<()> {
        let (target, actor) = (picked(of, selector), self.actor());
        let receipt =
            self.ask(async |services| services.versions.promote(&target, Expect::Anything, &actor).await).await?;
        self.claim(Action::Promote, receipt);
        Ok(())
    }

    async fn pin(&self, of: &str, number: u64, pinned: bool) -> Outcome<()> {
        let (target, actor) = (picked(of, Selector::Number(number)), self.actor());
        let receipt = self.ask(async |services| services.versions.pin(&target, pinned, &actor).await).await?;
        self.claim(if pinned { Action::Pin } else { Action::Unpin }, receipt);
        Ok(())
    }

    async fn retire(&self, of: &str, number: u64) -> Outcome<()> {
        let (target, actor) = (picked(of, Selector::Number(number)), self.actor());
        let receipt = self.ask(async |services| services.versions.retire(&target, "old".into(), &actor).await).await?;
        self.claim(Action::Retire, receipt);
        Ok(())
    }

    async fn delete(&self, of: &'static str) -> Outcome<()> {
        let (to, actor) = (name(of), self.actor());
        let head = self
            .ask(async |services| services.versions.delete(&to, Expect::Anything, "gone".into(), &actor).await)
            .await?;
        self.claims.lock().unwrap().push(Claim::Deleted { of, generation: head.generation });
        Ok(())
    }

    async fn copy(&self, from: &str, to: &str) -> Outcome<()> {
        let from = picked(from, Selector::Active);
        let (to, actor, wish) = (name(to), self.actor(), PublishOptions { activate: true, expect: Expect::Anything });
        let receipt = self.ask(async |services| services.versions.copy(&from, &to, wish, &actor).await).await?;
        self.claim(Action::Copy, receipt);
        Ok(())
    }

    /// Reads every byte of the active version. Whatever is missing must belong to a version that is retired by then.
    async fn read(&self, of: &str) -> Outcome<()> {
        let target = picked(of, Selector::Active);
        let found = self.ask(async |services| services.resolve.readable(&target, AsOf::Now).await).await?;
        let manifest = found.row.digest();
        let Some(bytes) = self.bytes(manifest).await? else {
            return self.missed(&target, found.row.number, manifest);
        };
        for blob in release::read(&bytes).expect("a manifest").blobs {
            if self.bytes(blob.digest).await?.is_none() {
                return self.missed(&target, found.row.number, blob.digest);
            }
        }
        let (again, _) = self.ask(async |services| services.resolve.manifest(&target, AsOf::Now).await).await?;
        assert!(again.generation >= found.generation, "a reader goes back in time");
        Ok(())
    }

    async fn bytes(&self, digest: Digest) -> Outcome<Option<Bytes>> {
        let read = self.ask(async |services| match services.blobs.open(digest, None).await? {
            Some(object) => object.bytes(u64::MAX).await.map(Some),
            None => Ok::<_, StoreError>(None),
        });
        let bytes = read.await?;
        assert!(bytes.as_ref().is_none_or(|bytes| Digest::of(bytes) == digest), "other bytes than those of {digest}");
        Ok(bytes)
    }

    fn missed(&self, target: &Target, number: u64, what: Digest) -> Outcome<()> {
        if self.world.with(|store| store.truth.is_complete(&target.name, number)) {
            self.world.report(format!("a reader of {}@{number} misses {what}", target.name));
        }
        Err(Failure::No("it is retired".into()))
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error.kind {
            StoreErrorKind::Unavailable => Self::Again(error.to_string()),
            _ => Self::No(error.to_string()),
        }
    }
}

impl From<BlobError> for Failure {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::Store(error) => error.into(),
            other => panic!("{other}"),
        }
    }
}

impl From<ChangeError> for Failure {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Store(error) => error.into(),
            other => Self::No(other.to_string()),
        }
    }
}

impl From<PublishError> for Failure {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Change(error) => error.into(),
            PublishError::Blobs { .. } => Self::Again(error.to_string()),
            other => panic!("{other}"),
        }
    }
}

impl From<ResolveError> for Failure {
    fn from(error: ResolveError) -> Self {
        match error {
            ResolveError::Store(error) => error.into(),
            other => Self::No(other.to_string()),
        }
    }
}

impl From<CopyError> for Failure {
    fn from(error: CopyError) -> Self {
        match error {
            CopyError::From(error) => error.into(),
            CopyError::To(error) => error.into(),
        }
    }
}
