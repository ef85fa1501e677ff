//! What registry clients do, and what they may be told.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use larder::domain::head::Action;
use larder::domain::{AnyDigest, Author, Digest, Expect, LogName, ManifestName, Selector, Subject, Target};
use larder::protocol::Member;
use larder::service::repositories::{DeleteError, ShownManifest};
use larder::store::StoreError;

use super::images::{Pushable, TAGS, repository, request};
use crate::schedule::clients::{ATTEMPTS, Claim, Failure, Outcome};
use crate::schedule::process::{Process, Servers};
use crate::schedule::random::Random;
use crate::schedule::world::World;
use crate::support::services::{AsOf, Services};

/// Something that a client wants. Images are named by their place.
#[derive(Debug, Clone)]
pub enum Task {
    /// Push an image with what is below it: children by digest, then itself by a tag or by its digest. A client that
    /// skips leaves out a manifest that is there, with all that is below.
    Push { image: usize, tag: Option<&'static str>, skips: bool },
    /// Pull an image by its digest, with everything below.
    Pull(usize),
    /// Pull what a tag points to.
    PullTag(&'static str),
    /// Delete a tag.
    Untag(&'static str),
    /// Delete a manifest by its digest.
    Delete(usize),
    /// Make the version active that was before.
    Rollback(&'static str),
    /// List what describes an image, and pull that.
    Referrers(usize),
}

impl Task {
    pub fn any(random: &mut Random, images: usize) -> Self {
        let (image, tag) = (random.below(images), random.pick(&TAGS));
        match random.below(16) {
            0..5 => Self::Push { image, tag: Some(tag), skips: random.chance(500) },
            5..8 => Self::Push { image, tag: None, skips: random.chance(500) },
            8 | 9 => Self::Pull(image),
            10 => Self::PullTag(tag),
            11 => Self::Untag(tag),
            12 | 13 => Self::Delete(image),
            14 => Self::Rollback(tag),
            _ => Self::Referrers(image),
        }
    }
}

/// A client with its list of tasks.
pub struct Client {
    pub number: usize,
    pub world: Arc<World>,
    pub servers: Arc<Servers>,
    pub images: Arc<Vec<Pushable>>,
    pub claims: Arc<Mutex<Vec<Claim>>>,
}

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

    fn author(&self) -> Author {
        Author::from(&self.actor())
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
            Task::Push { image, tag, skips } => self.push(image, tag, skips).await,
            Task::Pull(image) => self.pull(self.images[image].digest).await.map(drop),
            Task::PullTag(tag) => self.pull_tag(tag).await,
            Task::Untag(tag) => self.untag(tag).await,
            Task::Delete(image) => self.delete(self.images[image].digest).await,
            Task::Rollback(tag) => self.roll_back(tag).await,
            Task::Referrers(image) => self.referrers(self.images[image].digest).await,
        }
    }

    fn changes(&self) -> u64 {
        self.world.with(|store| store.objects.changes)
    }

    async fn push(&self, at: usize, tag: Option<&str>, skips: bool) -> Outcome<()> {
        let image = &self.images[at];
        if !(skips && self.find(image.digest).await?.is_some()) {
            for child in &image.children {
                Box::pin(self.push(*child, None, skips)).await?;
            }
            for bytes in &image.blobs {
                self.ask(async |services| services.upload(bytes).await).await?;
            }
        }
        let author = self.author();
        let pushed = self.ask(async |services| services.repositories.push(request(image, tag), &author).await).await?;
        let Some(receipt) = pushed.receipts.first() else {
            return Err(pushed.failed.expect("either is there").into());
        };
        assert_eq!((receipt.row.digest(), pushed.digest), (image.digest, image.digest));
        let claim = Claim::Done { action: Action::Publish, client: self.number, receipt: Box::new(receipt.clone()) };
        self.claims.lock().unwrap().push(claim);
        // What was pushed is there at once, whoever is asked.
        if self.find(image.digest).await?.is_none() {
            self.must_have_ended(&receipt.name, receipt.row.number, image.digest);
        }
        Ok(())
    }

    /// A manifest by its digest. Whoever finds it may rely on what it needs while the version lasts.
    async fn find(&self, digest: Digest) -> Outcome<Option<(Member, Arc<ShownManifest>)>> {
        let before = self.changes();
        let found = self.ask(async |services| {
            services.repositories.by_digest(&repository(), digest, (AsOf::Now, false), |_| true).await
        });
        let found = found.await?;
        if found.is_some()
            && self.world.with(|store| store.truth.holders(&repository(), digest, false, before).next().is_none())
        {
            self.world.report(format!("{digest} is found, but no complete version holds it"));
        }
        Ok(found)
    }

    async fn pull(&self, digest: Digest) -> Outcome<Option<()>> {
        let Some((member, _)) = self.find(digest).await? else { return Ok(None) };
        self.pull_version(&member.log, member.row.number, digest).await.map(Some)
    }

    async fn pull_tag(&self, tag: &str) -> Outcome<()> {
        let target = Target { name: Self::tag(tag), selector: Selector::Active, explicit: false };
        let found = self.ask(async |services| services.resolve.readable(&target, AsOf::Now).await).await?;
        let log = LogName::from(target.name);
        self.pull_version(&log, found.row.number, found.row.digest()).await
    }

    /// Reads everything below a manifest that a version holds.
    async fn pull_version(&self, log: &LogName, number: u64, digest: Digest) -> Outcome<()> {
        let digests: Vec<Digest> = self.world.with(|store| store.truth.digests(digest).collect());
        for digest in digests {
            if self.bytes(digest).await?.is_none() {
                self.must_have_ended(log, number, digest);
                return Err(Failure::No("it is retired".into()));
            }
        }
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

    /// What is missing must belong to a version that is not complete any more: those never come back.
    fn must_have_ended(&self, log: &LogName, number: u64, what: Digest) {
        if self.world.with(|store| store.truth.is_complete(log, number)) {
            self.world.report(format!("a client misses {what} of {log}@{number}"));
        }
    }

    fn tag(tag: &str) -> ManifestName {
        repository().tag(tag).expect("a legal tag")
    }

    async fn untag(&self, tag: &str) -> Outcome<()> {
        let (tag, author) = (Self::tag(tag), self.author());
        self.ask(async |services| services.repositories.delete_tag(&tag, Expect::Anything, &author).await).await
    }

    async fn delete(&self, digest: Digest) -> Outcome<()> {
        let (before, author) = (self.changes(), self.author());
        let deleted = self
            .ask(async |services| {
                services.repositories.delete(&repository(), digest, (|_| true, |_| true), &author).await
            })
            .await;
        let holders = |own, since| {
            let owned = |(log, begun, lasts): (&LogName, u64, bool)| (log.clone(), begun, lasts);
            self.world
                .with(|store| store.truth.holders(&repository(), digest, own, since).map(owned).collect::<Vec<_>>())
        };
        match &deleted {
            Ok(()) => {
                if let Some((log, ..)) =
                    holders(true, before).iter().find(|(_, begun, lasts)| *lasts && *begun < before)
                {
                    self.world.report(format!("{digest} was deleted, but a version of {log} is still there"));
                }
            }
            Err(Failure::No(why))
                if why.contains("need it") && holders(false, before).len() == holders(true, before).len() =>
            {
                self.world.report(format!("{digest} was not deleted, but nothing needs it"));
            }
            Err(_) => {}
        }
        deleted
    }

    async fn roll_back(&self, tag: &str) -> Outcome<()> {
        let target = Target { name: Self::tag(tag), selector: Selector::Previous, explicit: true };
        let actor = self.actor();
        let receipt =
            self.ask(async |services| services.versions.promote(&target, Expect::Anything, &actor).await).await?;
        let claim = Claim::Done { action: Action::Promote, client: self.number, receipt: Box::new(receipt) };
        self.claims.lock().unwrap().push(claim);
        Ok(())
    }

    async fn referrers(&self, subject: Digest) -> Outcome<()> {
        let page = self
            .ask(async |services| {
                services.repositories.referrers(&repository(), &subject.into(), (None, None), |_| true).await
            })
            .await?;
        for referrer in page.entries {
            let is_one =
                |image: &Pushable| AnyDigest::from(image.digest) == referrer.digest && image.subject == Some(subject);
            assert!(self.images.iter().any(is_one), "{} is no referrer of {subject}", referrer.digest);
            self.pull(referrer.digest.index_key()).await?;
        }
        Ok(())
    }
}

impl From<DeleteError> for Failure {
    fn from(error: DeleteError) -> Self {
        match error {
            DeleteError::Change(error) => error.into(),
            other => Self::No(other.to_string()),
        }
    }
}
