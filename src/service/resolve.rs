//! Resolving: from `NAME[@SELECTOR]` to a version, its manifest, and one of its files.

use std::sync::Arc;

use jiff::Timestamp;

use crate::domain::head::{Deletion, Floor};
use crate::domain::label::{Candidate, Label};
use crate::domain::manifest::Artifact;
use crate::domain::policy::Labels;
use crate::domain::{FileName, Head, ManifestName, Selector, State, Subject, Target, VersionRow};
use crate::protocol::heads::{HeadWatch, Selected};
use crate::protocol::{AsOf, Heads, LoadedManifest, Manifests};
use crate::store::{StoreError, StoreErrorKind};

/// Why a target cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// The name has never existed.
    #[error("there is no manifest named {0}")]
    NoSuchName(ManifestName),
    /// The name exists, but the selector matches no version.
    #[error("{}", absent(.0))]
    NoSuchVersion(Target),
    /// The selector goes by labels, and no version fits it.
    #[error("no version of {} fits {target}; {}", target.name, offer(.target, .highest, *.selectable))]
    NoSuchLabel {
        /// The version that was asked for.
        target: Target,
        /// The highest labels that can be selected, at most [`OFFERED`].
        highest: Vec<Box<str>>,
        /// Number of versions that can be selected by their labels.
        selectable: u64,
    },
    /// The name has versions, but none is active.
    #[error("no version of {name} is active; version {staged} is staged: promote it, or ask for {name}@{staged}")]
    OnlyStaged {
        /// The name that was asked for.
        name: ManifestName,
        /// The newest staged version.
        staged: u64,
    },
    /// The name was deleted.
    #[error("the manifest {name} was deleted at {at:.0}{}", in_brackets(.reason))]
    Deleted {
        /// The name that was asked for.
        name: ManifestName,
        /// When it was deleted.
        at: Timestamp,
        /// Who deleted it.
        by: Subject,
        /// The reason given for the deletion, as free text; empty if none was.
        reason: String,
    },
    /// The version was retired: its bytes may have been deleted.
    #[error("version {} was retired", .0.number)]
    Retired(Box<VersionRow>),
    /// The version is still being published.
    #[error("version {0} is not published yet")]
    NotPublished(u64),
    /// The version is in a state that only a newer binary knows.
    #[error("version {number} is {state}, which only a newer larder can serve")]
    UnknownState {
        /// The number of the version.
        number: u64,
        /// The state as stored.
        state: State,
    },
    /// The version has no such file.
    #[error("there is no file named {file} in {target}")]
    NoSuchFile {
        /// The requested version, as the client wrote it.
        target: Target,
        /// The requested file.
        file: FileName,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// That a selector which does not go by labels matches no version.
fn absent(target: &Target) -> String {
    match target.selector {
        Selector::Active => format!("no version of {} is active", target.name),
        _ => format!("there is no version {target}"),
    }
}

/// A reason behind a sentence; nothing if none was given.
fn in_brackets(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(" ({reason})") }
}

/// A resolved version.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The version's row, in any state.
    pub row: VersionRow,
    /// The generation of the head that the row was read from.
    pub generation: u64,
    /// When the answer to the target last changed.
    pub changed: LastChange,
    /// Whether the target selects this version for ever: by its number or its digest, or by a label that, by the policy of
    /// the name, no other version can get.
    pub is_fixed: bool,
    /// The lowest version of the name that clients should run.
    pub floor: Option<Box<Floor>>,
}

/// What the readers of a name get that follows others.
#[derive(Debug, Clone)]
pub struct Following {
    /// The version with the highest label among the active ones, by its number.
    pub target: Target,
    /// The heads that were compared, each with its generation.
    pub heads: Vec<(ManifestName, u64)>,
    /// Whether all of the names exist, so that the generations say when the answer may change.
    pub is_complete: bool,
}

/// How many labels an answer names if none of them was asked for.
pub const OFFERED: usize = 5;

/// What can be asked for in place of a label that selects nothing.
fn offer(target: &Target, highest: &[Box<str>], selectable: u64) -> String {
    let name = &target.name;
    match highest {
        _ if target.selector == Selector::Next => "none is staged".to_owned(),
        [] => format!("none of its releases has a label that selects; ask for {name} or, by its number, {name}@N"),
        [first, ..] => {
            let more = selectable.saturating_sub(highest.len() as u64);
            let more = if more > 0 { format!(" (and {more} more)") } else { String::new() };
            format!("its highest labels are {}{more}; ask for one of them, such as {name}@{first}", highest.join(", "))
        }
    }
}

/// When what a target selects last changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastChange {
    /// The target selects the same version for ever, or that moment is not kept.
    Unknown,
    /// So recently that it may change once more within the same second; that is decided after this time.
    Recent(std::time::Duration),
    /// At this moment, and not again within a second.
    At(Timestamp),
}

/// The resolve service.
#[derive(Debug)]
pub struct Resolve {
    heads: Arc<Heads>,
    manifests: Arc<Manifests>,
}

impl Resolve {
    /// Creates the service from the parts it uses.
    #[must_use]
    pub fn new(heads: Arc<Heads>, manifests: Arc<Manifests>) -> Self {
        Self { heads, manifests }
    }

    /// The generation of the head that a lookup with [`AsOf::Recent`] would use, if it is cached and needs no request
    /// to the store.
    #[must_use]
    pub fn recent_generation(&self, name: &ManifestName) -> Option<u64> {
        self.heads.recent(name).map(|head| head.generation)
    }

    /// As [`Heads::is_certainly_newest`].
    #[must_use]
    pub fn is_certainly_newest(&self, name: &ManifestName, generation: u64) -> bool {
        self.heads.is_certainly_newest(name, generation)
    }

    /// Begins to wait for changes of a name.
    #[must_use]
    pub fn watch(&self, name: &ManifestName) -> HeadWatch {
        self.heads.watch(name)
    }

    /// The version row that a target selects, in any state.
    ///
    /// # Errors
    /// A [`ResolveError`].
    pub async fn row(&self, target: &Target, fresh: AsOf) -> Result<Resolved, ResolveError> {
        let name = &target.name;
        let Some(head) = self.heads.look(name, fresh).await? else {
            return Err(ResolveError::NoSuchName(name.clone()));
        };
        if let Selector::At(time) = target.selector {
            let then = self.heads.at(&head, time).await?;
            let then = then.ok_or_else(|| ResolveError::NoSuchVersion(target.clone()))?;
            let Some(active) = then.active() else { return Err(self.nothing_active(target, &then, &head).await) };
            // The row as it is now: the version may have been retired since.
            let row = self.heads.select(&head, Selector::Number(active.number)).await?;
            let row = row.ok_or_else(|| ResolveError::NoSuchVersion(target.clone()))?;
            let (generation, changed, floor) = (head.generation, LastChange::Unknown, head.floor.clone());
            return Ok(Resolved { row, generation, changed, is_fixed: false, floor });
        }
        if target.selector.is_by_label() {
            return self.by_label(target, &head).await;
        }
        let row = self.heads.select(&head, &target.selector).await?.filter(|row| row.state != State::Aborted);
        let readers_get = matches!(target.selector, Selector::Active | Selector::Previous);
        match row {
            Some(row) if !(readers_get && head.deleted.is_some() && row.state == State::Retired) => {
                let changed = self.last_change(&head, &target.selector);
                let is_fixed = !target.selector.is_moving();
                Ok(Resolved { row, generation: head.generation, changed, is_fixed, floor: head.floor.clone() })
            }
            _ if readers_get => Err(self.nothing_active(target, &head, &head).await),
            _ => Err(ResolveError::NoSuchVersion(target.clone())),
        }
    }

    async fn by_label(&self, target: &Target, head: &Head) -> Result<Resolved, ResolveError> {
        let selected = self.heads.select_by_label(head, &target.selector).await?;
        // What is the highest of a name that was withdrawn from its readers, is not offered to them, either.
        if let Some(Selected { row, is_sole_holder, .. }) =
            selected.filter(|selected| selected.is_by_label || head.deleted.is_none())
        {
            let is_fixed = is_sole_holder && self.heads.policy(&target.name).labels == Labels::Once;
            let (generation, changed, floor) = (head.generation, LastChange::Unknown, head.floor.clone());
            return Ok(Resolved { row, generation, changed, is_fixed, floor });
        }
        if let Some(Deletion { at, by, reason, .. }) = head.deleted.clone() {
            return Err(ResolveError::Deleted { name: target.name.clone(), at, by, reason });
        }
        let survey = self.heads.survey(head, OFFERED).await?;
        let selectable = survey.selectable;
        Err(ResolveError::NoSuchLabel { target: target.clone(), highest: survey.labels(), selectable })
    }

    /// The label that selects this version for ever, if there is one: by the policy of its name no other version can get it.
    /// Reads nothing unless that is the policy.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn fixed_label(&self, name: &ManifestName, row: &VersionRow) -> Result<Option<Label>, ResolveError> {
        let label = row.summary.label.as_deref().filter(|_| !row.summary.label_cut);
        let Some(label) = label.and_then(|label| label.parse::<Label>().ok()) else { return Ok(None) };
        if self.heads.policy(&name.clone().into()).labels != Labels::Once {
            return Ok(None);
        }
        let selector = Selector::Label(label.clone());
        let target = Target { name: name.clone(), selector, explicit: true };
        match self.row(&target, AsOf::Recent).await {
            Ok(found) => Ok(Some(label).filter(|_| found.is_fixed && found.row.number == row.number)),
            Err(ResolveError::Store(error)) => Err(error.into()),
            Err(_) => Ok(None),
        }
    }

    /// The names whose active versions count as well when this one is read. `None` if there are none, and for targets with
    /// a selector: `NAME@active` is what is active under the name itself.
    #[must_use]
    pub fn followed(&self, target: &Target) -> Option<Arc<[ManifestName]>> {
        let follow = || Arc::clone(&self.heads.policy(&target.name).follow);
        (!target.explicit).then(follow).filter(|names| !names.is_empty())
    }

    /// Which version the readers of `name` get: the active one, or that of a followed name if its label is higher. Labels
    /// that state no version number are lower than those that do. A yanked version of another name does not count.
    ///
    /// `None` if the name was withdrawn, or nothing is active anywhere: then the name itself is what to answer for.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn follow(
        &self,
        name: &ManifestName,
        followed: &[ManifestName],
        fresh: AsOf,
    ) -> Result<Option<Following>, StoreError> {
        let (mut heads, mut best) = (Vec::new(), None::<(Option<_>, Target)>);
        for one in std::iter::once(name).chain(followed) {
            let Some(head) = self.heads.look(one, fresh).await? else { continue };
            heads.push((one.clone(), head.generation));
            if one == name && head.deleted.is_some() {
                return Ok(None);
            }
            let Some(row) = head.active().filter(|row| one == name || row.yanked.is_none()) else { continue };
            let precedence = Candidate::of(row).and_then(|candidate| candidate.precedence);
            let is_higher = match (&best, &precedence) {
                (None, _) | (Some((None, _)), Some(_)) => true,
                (Some((Some(best), _)), Some(own)) => own.cmp_precedence(best).is_gt(),
                (Some(_), None) => false,
            };
            if is_higher {
                best = Some((precedence, Target::numbered(one.clone(), row.number)));
            }
        }
        let is_complete = heads.len() == followed.len() + 1;
        Ok(best.map(|(_, target)| Following { target, heads, is_complete }))
    }

    /// Why nothing was active in the head `then`: the name was deleted, or what was active before is retired. `now` is the
    /// newest head.
    async fn nothing_active(&self, target: &Target, then: &Head, now: &Head) -> ResolveError {
        if let Some(deletion) = &then.deleted {
            let (at, by, reason) = (deletion.at, deletion.by.clone(), deletion.reason.clone());
            return ResolveError::Deleted { name: target.name.clone(), at, by, reason };
        }
        let unknown = || ResolveError::NoSuchVersion(target.clone());
        // Staging a version ends a deletion, but gives readers nothing yet.
        let former = if target.selector == Selector::Previous { None } else { then.before_active() };
        let staged = || match then.rows.iter().rfind(|row| row.state == State::Ready) {
            Some(row) if target.selector == Selector::Active => {
                ResolveError::OnlyStaged { name: target.name.clone(), staged: row.number }
            }
            _ => unknown(),
        };
        let Some(former) = former else { return staged() };
        match self.heads.select(now, Selector::Number(former)).await {
            Ok(Some(row)) if row.state == State::Retired => ResolveError::Retired(Box::new(row)),
            Ok(_) => staged(),
            Err(error) => error.into(),
        }
    }

    /// The present activation began when the active version became active, for the last time: a rollback is newer than
    /// what it replaced.
    fn last_change(&self, head: &Head, selector: &Selector) -> LastChange {
        let follows = matches!(selector, Selector::Active | Selector::Previous);
        let activated = head.active().and_then(|row| row.promoted_at).filter(|_| follows);
        activated.map_or(LastChange::Unknown, |at| match self.heads.unsettled_for(at) {
            Some(left) => LastChange::Recent(left),
            None => LastChange::At(at),
        })
    }

    /// The version that a target selects, if it is readable.
    ///
    /// # Errors
    /// A [`ResolveError`].
    pub async fn readable(&self, target: &Target, fresh: AsOf) -> Result<Resolved, ResolveError> {
        let found = self.row(target, fresh).await?;
        match found.row.state {
            State::Ready | State::Active | State::Archived => Ok(found),
            State::Prepared | State::Aborted => Err(ResolveError::NotPublished(found.row.number)),
            State::Retired => Err(ResolveError::Retired(Box::new(found.row))),
            state @ State::Unknown(_) => Err(ResolveError::UnknownState { number: found.row.number, state }),
        }
    }

    /// A version and its manifest, whether or not this binary can interpret the manifest.
    ///
    /// # Errors
    /// A [`ResolveError`].
    pub async fn manifest(
        &self,
        target: &Target,
        fresh: AsOf,
    ) -> Result<(Resolved, Arc<LoadedManifest>), ResolveError> {
        let mut found = self.readable(target, fresh).await?;
        let mut now = fresh == AsOf::Now;
        loop {
            let descriptor = found.row.summary.manifest;
            if let Some(loaded) = self.manifests.load(descriptor, found.row.summary.media_type.as_deref()).await? {
                return Ok((found, loaded));
            }
            // The version may have been retired and collected since its row was read. If it is still readable, its
            // manifest was lost.
            let again = self.readable(target, AsOf::Now).await?;
            if again.row.number == found.row.number && std::mem::replace(&mut now, true) {
                let why = "the bytes of this manifest are gone";
                return Err(StoreError::new(StoreErrorKind::Corrupt, descriptor.digest, why).into());
            }
            found = again;
        }
    }

    /// The manifest of a version whose row was read already. `None` if its bytes are gone, because the version was retired
    /// and collected since.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn manifest_of(&self, row: &VersionRow) -> Result<Option<Arc<LoadedManifest>>, StoreError> {
        self.manifests.load(row.summary.manifest, row.summary.media_type.as_deref()).await
    }

    /// One file of a version.
    ///
    /// # Errors
    /// A [`ResolveError`].
    pub async fn file(
        &self,
        target: &Target,
        file: &FileName,
        fresh: AsOf,
    ) -> Result<(Resolved, Artifact), ResolveError> {
        let (found, loaded) = self.manifest(target, fresh).await?;
        match loaded.file(file)? {
            Some(artifact) => Ok((found, artifact.clone())),
            None => Err(ResolveError::NoSuchFile { target: target.clone(), file: file.clone() }),
        }
    }
}
