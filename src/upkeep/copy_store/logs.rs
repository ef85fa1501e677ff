//! The logs of heads: how far the copy lags, whether it is a copy of this store at all, and bringing it up to date.

use std::cmp::Ordering;
use std::sync::Arc;

use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use tokio::task::{JoinError, JoinSet};

use super::carry::ObjectCopier;
use super::{CopyError, CopyRun, CopyStore, newest_heads};
use crate::domain::{Head, LogName};
use crate::layout::{self, LayoutKey};
use crate::store::{Key, ObjectMeta, ObjectStore, Result, StoreError, StoreErrorKind};
use crate::upkeep::verify::Finding;

/// Heads of a name read ahead.
const READ_AHEAD: usize = 4;

/// A name of which the copy lacks the newest heads.
#[derive(Debug)]
pub(super) struct LaggingName {
    pub(super) name: LogName,
    /// The newest generation in the copy; 0 for none.
    has: u64,
    /// The newest generation in the source.
    newest: u64,
}

/// The newest head of each name, in the order of keys.
struct Newest<'a> {
    listing: BoxStream<'a, Result<ObjectMeta>>,
    ahead: Option<(Key, LogName, u64)>,
}

impl<'a> Newest<'a> {
    async fn of(store: &'a dyn ObjectStore) -> Result<Self> {
        let mut newest = Self { listing: store.list(&layout::all_heads(), newest_heads()).fuse().boxed(), ahead: None };
        newest.advance().await?;
        Ok(newest)
    }

    async fn advance(&mut self) -> Result<()> {
        self.ahead = None;
        if let Some(meta) = self.listing.try_next().await? {
            let Some(LayoutKey::Head(name, generation)) = LayoutKey::parse(&meta.key) else {
                return Err(StoreError::new(StoreErrorKind::Corrupt, meta.key, "not the key of a head"));
            };
            // Compared by the key of the name alone: the generation is the same constant for all of them.
            self.ahead = Some((LayoutKey::Head(name.clone(), 0).key(), name, generation));
        }
        Ok(())
    }

    fn compare(&self, other: &Self) -> Ordering {
        match (&self.ahead, &other.ahead) {
            (Some(one), Some(other)) => one.0.cmp(&other.0),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        }
    }
}

impl CopyStore {
    /// The names of which the copy lacks heads. With `prove`, reads the newest heads of the copy to check that they are
    /// those of the source.
    ///
    /// # Errors
    /// [`CopyError::Diverged`] when the copy has heads that the source does not have.
    pub(super) async fn compare(&self, prove: bool) -> std::result::Result<Vec<LaggingName>, CopyError> {
        // The copy is listed first: anything that another run adds to it meanwhile is in the source, too.
        let mut to = Newest::of(&*self.carrier.to).await?;
        let mut from = Newest::of(&*self.carrier.from).await?;
        let (mut behind, mut proofs) = (Vec::new(), Proofs::new(self));
        loop {
            let order = to.compare(&from);
            let has = if order == Ordering::Greater { None } else { to.ahead.take() };
            let newest = if order == Ordering::Less { None } else { from.ahead.take() };
            match (has, newest) {
                (None, None) => break,
                (Some((_, name, generation)), None) => return Err(CopyError::Diverged { name, generation }),
                (None, Some((_, name, newest))) => behind.push(LaggingName { name, has: 0, newest }),
                (Some((_, name, has)), Some((_, _, newest))) => {
                    if has > newest {
                        return Err(CopyError::Diverged { name, generation: has });
                    }
                    if prove {
                        proofs.add(name.clone(), has).await?;
                    }
                    if has < newest {
                        behind.push(LaggingName { name, has, newest });
                    }
                }
            }
            if order != Ordering::Greater {
                to.advance().await?;
            }
            if order != Ordering::Less {
                from.advance().await?;
            }
        }
        proofs.finish().await?;
        Ok(behind)
    }

    /// Copies heads, oldest first.
    pub(super) async fn heads(
        &self,
        behind: Vec<LaggingName>,
        run: &mut CopyRun<'_>,
    ) -> std::result::Result<(), CopyError> {
        let mut logs = stream::iter(behind)
            .map(|behind| async move { self.carrier.log(&behind).await.map(|found| (found, behind.name)) })
            .buffer_unordered(self.settings.jobs);
        while let Some(((copied, findings), name)) = logs.try_next().await? {
            run.summary.copied.heads += copied;
            for (generation, finding) in findings {
                run.report_object(LayoutKey::Head(name.clone(), generation).key(), &finding);
            }
        }
        Ok(())
    }
}

/// Reads the newest heads of the copy, several concurrently.
struct Proofs<'a> {
    carrier: &'a Arc<ObjectCopier>,
    jobs: usize,
    running: JoinSet<Result<(LogName, u64, bool)>>,
}

impl<'a> Proofs<'a> {
    fn new(copy: &'a CopyStore) -> Self {
        Self { carrier: &copy.carrier, jobs: copy.settings.jobs, running: JoinSet::new() }
    }

    async fn add(&mut self, name: LogName, generation: u64) -> std::result::Result<(), CopyError> {
        while self.running.len() >= self.jobs {
            self.reap().await?;
        }
        let carrier = Arc::clone(self.carrier);
        self.running.spawn(async move {
            let same = carrier.same(&LayoutKey::Head(name.clone(), generation).key()).await?;
            Ok((name, generation, same))
        });
        Ok(())
    }

    async fn reap(&mut self) -> std::result::Result<(), CopyError> {
        let Some(ended) = self.running.join_next().await else { return Ok(()) };
        let stopped = |error: JoinError| StoreError::new(StoreErrorKind::Internal, "a comparison", error);
        match ended.map_err(stopped)?? {
            (_, _, true) => Ok(()),
            (name, generation, false) => Err(CopyError::Diverged { name, generation }),
        }
    }

    async fn finish(mut self) -> std::result::Result<(), CopyError> {
        while !self.running.is_empty() {
            self.reap().await?;
        }
        Ok(())
    }
}

impl ObjectCopier {
    /// Copies the heads of a name that the copy lacks. Returns their number, and the damaged ones.
    async fn log(&self, behind: &LaggingName) -> std::result::Result<(u64, Vec<(u64, Finding)>), CopyError> {
        let LaggingName { name, has, newest } = behind;
        let key = |generation| LayoutKey::Head(name.clone(), generation).key();
        if *has > 0 {
            // An earlier run may have died before it made this head durable.
            self.to.persist(&[key(*has)]).await?;
        }
        let reads = stream::iter(has + 1..=*newest).map(|generation| {
            let key = key(generation);
            async move { (generation, self.read(&key).await) }
        });
        let mut reads = reads.buffered(READ_AHEAD);
        let (mut copied, mut findings) = (0, Vec::new());
        while let Some((generation, read)) = reads.next().await {
            let (bytes, why) = match read {
                Ok(Some(bytes)) => (Some(bytes.clone()), complaint(&bytes, name, generation)),
                Ok(None) => (None, Some("it is gone".to_owned())),
                Err(error) if matches!(error.kind, StoreErrorKind::Corrupt | StoreErrorKind::Unreadable) => {
                    (None, Some(error.to_string()))
                }
                Err(error) => return Err(error.into()),
            };
            if let Some(why) = why {
                findings.push((generation, Finding::DamagedHead { name: name.clone(), generation, why }));
            }
            // A damaged head is copied as it is: leaving it out would look as if it had never existed.
            if let Some(bytes) = bytes {
                if !self.create_same(&key(generation), bytes).await? {
                    return Err(CopyError::Diverged { name: name.clone(), generation });
                }
                copied += 1;
            }
        }
        Ok((copied, findings))
    }
}

/// What is wrong with a head, or `None`.
fn complaint(bytes: &[u8], name: &LogName, generation: u64) -> Option<String> {
    match Head::parse(bytes) {
        Ok(head) if head.name == *name && head.generation == generation => None,
        Ok(head) => Some(format!("it says it is generation {} of {}", head.generation, head.name)),
        Err(error) => Some(error.to_string()),
    }
}
