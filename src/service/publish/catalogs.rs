//! The rules of catalogs, checked when a document becomes active.
//!
//! A document is judged against the one that is active, so the commit states that one as its precondition: if another
//! document became active meanwhile, it is judged again, on top of that.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;

use super::{Publish, PublishError};
use crate::domain::catalog::{
    self, Bundle, CatalogName, Document, Problems, Release, Root, Rule, Signed, Targets, added, check_files,
    check_release_targets, check_signatures, check_targets, check_targets_number, check_times, follows, targets_files,
};
use crate::domain::manifest::Artifact;
use crate::domain::{Author, Digest, Expect, Head, LogName, PinOwner, Rejection, Selector, State, VersionRow};
use crate::protocol::AsOf;
use crate::service::wares::WareChecks;
use crate::store::{StoreError, StoreErrorKind};

/// What the manifest names that hold catalogs end with, whether or not the rest names one.
const HOLDS: &str = "/_catalog";
/// Releases looked up concurrently.
const LOOKUPS: usize = 8;

/// What is stored of a catalog.
struct Stored {
    document: Bytes,
    signatures: Vec<Bytes>,
    roots: Vec<Bytes>,
    /// The targets with the highest number, and that.
    targets: Option<(u64, Bytes)>,
    /// The numbers and sizes of all targets.
    numbers: Vec<(u64, u64)>,
}

/// The document before.
struct Before {
    document: Document,
    digest: Digest,
    roots: Vec<Digest>,
    /// Its targets.
    targets: Option<Targets>,
}

impl Before {
    fn read(stored: &Stored) -> Result<Self, Problems> {
        let document = Document::read(&stored.document).map_err(|_| no_catalog())?;
        let targets = stored.targets.as_ref().filter(|(number, _)| *number == document.serial);
        let targets = targets.and_then(|(_, bytes)| Targets::read(bytes).ok());
        let roots = stored.roots.iter().map(|root| Digest::of(root)).collect();
        Ok(Self { document, digest: Digest::of(&stored.document), roots, targets })
    }
}

/// What is active was active before the rules were in force.
fn no_catalog() -> Problems {
    let detail = "what is active under this name is no catalog; somebody who may found it has to delete the name first";
    Problems::one(Rule::Document, "", detail)
}

/// Releases of a document, with their places in it.
type Places = Vec<(usize, Arc<Release>)>;

/// What was read of a document, for the checks that need the store.
struct Read {
    name: CatalogName,
    /// The releases that it adds.
    new: Places,
    /// Its targets, and the releases of which these were not checked before.
    targets: Option<(Targets, Places)>,
}

impl Publish {
    /// Judges what is to become active under a name that holds a catalog. Returns the precondition under which the
    /// judgement holds; `None` if the name holds no catalog, or its policy has no rules for it.
    pub(super) async fn check_catalog(
        &self,
        log: &LogName,
        row: &VersionRow,
        expect: &Expect,
        by: &Author,
    ) -> Result<Option<Expect>, PublishError> {
        let policy = self.heads.policy(log);
        let Some(name) = log.visible().filter(|name| policy.catalog && name.as_str().ends_with(HOLDS)) else {
            return Ok(None);
        };
        if row.state != State::Prepared {
            return Ok(None);
        }
        let head = self.heads.current(&name).await?;
        let active = head.as_deref().and_then(Head::active).map(VersionRow::digest);
        if !expect.holds(active) {
            return Err(Rejection::Precondition { current: active }.into());
        }
        let last = self.last(head.as_deref()).await?;
        let is_founder = || policy.catalog_founders.iter().any(|glob| glob.matches(by.subject.as_str()));
        if last.is_none() && !is_founder() {
            return Err(PublishError::NotFounder(name));
        }
        let Some(catalog) = CatalogName::of(&name) else {
            let detail = format!("{name} holds no catalog: the part before {HOLDS} is not a catalog's name");
            return Err(Problems::one(Rule::Name, "", detail).into());
        };
        self.judge(&catalog, row, last.as_ref(), policy.verify_wares).await?.into_result()?;
        Ok(Some(active.map_or(Expect::Nothing, |digest| Expect::OneOf(vec![digest]))))
    }

    async fn judge(
        &self,
        name: &CatalogName,
        row: &VersionRow,
        last: Option<&VersionRow>,
        verify_wares: bool,
    ) -> Result<Problems, PublishError> {
        let stored = match self.stored(row).await? {
            Ok(stored) => stored,
            Err(problems) => return Ok(problems),
        };
        let before = match last {
            Some(row) => Some(self.stored(row).await?.map_err(|_| no_catalog())?),
            None => None,
        };
        let (name, now) = (name.clone(), self.heads.now());
        // Large documents take tens of milliseconds.
        let judged = tokio::task::spawn_blocking(move || read(name, &stored, before.as_ref(), now));
        let failed = |error| StoreError::new(StoreErrorKind::Internal, "a catalog", error);
        let (read, mut problems) = judged.await.map_err(failed)?;
        if let Some(Read { name, new, targets }) = read {
            let missing = self.look_up(&name, &new).await?;
            // Of what is not there nothing can be compared.
            if let (true, Some((targets, releases))) = (missing.is_empty(), targets) {
                problems.extend(self.compare_targets(&targets, releases).await?);
            }
            problems.extend(missing);
            // Reading archives takes long: not for a document that is refused anyway.
            if verify_wares && problems.is_empty() {
                problems.extend(self.check_wares(&new).await?);
            }
        }
        Ok(problems)
    }

    /// Compares targets with the files of these releases. Of those whose manifest is gone there is nothing to compare.
    async fn compare_targets(&self, targets: &Targets, releases: Places) -> Result<Problems, PublishError> {
        let mut compared = stream::iter(releases)
            .map(|(at, release)| async move {
                let loaded = match self.manifests.load_alone(release.descriptor(), None).await {
                    Ok(Some(loaded)) => loaded,
                    Ok(None) => return Ok(Problems::default()),
                    // It was listed with another size before there were rules; nobody can mend that.
                    Err(error) if error.kind == StoreErrorKind::Corrupt => return Ok(Problems::default()),
                    Err(error) => return Err(error),
                };
                let files = &loaded.manifest()?.files;
                let stored = |name: &_| files.iter().find(|file| file.name == *name).map(|file| file.blob);
                Ok(check_release_targets(at, &release, targets, stored))
            })
            .buffered(LOOKUPS);
        let mut problems = Problems::default();
        while let Some(found) = compared.next().await {
            problems.extend(found?);
        }
        Ok(problems)
    }

    /// The version whose document the next one has to follow: what is active, or was active last.
    async fn last(&self, head: Option<&Head>) -> Result<Option<VersionRow>, StoreError> {
        let Some(head) = head else { return Ok(None) };
        if let Some(active) = head.active() {
            return Ok(Some(active.clone()));
        }
        let Some(number) = head.activations.first().map(|activation| activation.version) else { return Ok(None) };
        let row = self.heads.select(head, Selector::Number(number)).await?;
        // Of what was deleted on purpose, nothing can be compared any more: it is founded anew.
        Ok(row.filter(|row| row.state.is_complete()))
    }

    /// Reads what a version has of a catalog.
    async fn stored(&self, row: &VersionRow) -> Result<Result<Stored, Problems>, StoreError> {
        let gone = || StoreError::new(StoreErrorKind::Corrupt, row.digest(), "the bytes of this manifest are gone");
        if row.summary.media_type.is_some() {
            let detail = "the manifest is not one of Larder's own format";
            return Ok(Err(Problems::one(Rule::Document, "", detail)));
        }
        let loaded = self.manifests.load_alone(row.summary.manifest, None).await?.ok_or_else(gone)?;
        let manifest = loaded.manifest()?;
        let bundle = match Bundle::of(manifest) {
            Ok(bundle) => bundle,
            Err(problems) => return Ok(Err(problems)),
        };
        let document = self.bytes(bundle.document).await?;
        let (mut signatures, mut roots) = (Vec::new(), Vec::new());
        for (files, bytes) in [(&bundle.signatures, &mut signatures), (&bundle.roots, &mut roots)] {
            for file in files {
                bytes.push(self.bytes(file).await?);
            }
        }
        let targets = match bundle.targets {
            Some((number, file)) => Some((number, self.bytes(file).await?)),
            None => None,
        };
        Ok(Ok(Stored { document, signatures, roots, targets, numbers: targets_files(manifest) }))
    }

    /// A file whose size was checked.
    async fn bytes(&self, file: &Artifact) -> Result<Bytes, StoreError> {
        let gone = || StoreError::new(StoreErrorKind::Corrupt, file.blob.digest, "the bytes of this file are gone");
        self.blobs.open(file.blob.digest, None).await?.ok_or_else(gone)?.bytes(file.blob.size).await
    }

    /// Checks that new releases are stored as they are listed, and kept.
    async fn look_up(&self, name: &CatalogName, new: &[(usize, Arc<Release>)]) -> Result<Problems, PublishError> {
        let owner: Arc<str> = PinOwner::Catalog(name.clone()).to_string().into();
        let mut looked = stream::iter(new.to_vec())
            .map(|(at, release)| {
                let owner = Arc::clone(&owner);
                async move { self.check_release(at, &release, &owner).await }
            })
            .buffered(LOOKUPS);
        let mut problems = Problems::default();
        while let Some(found) = looked.next().await {
            problems.extend(found?);
        }
        Ok(problems)
    }

    async fn check_release(&self, at: usize, release: &Release, owner: &str) -> Result<Problems, StoreError> {
        let problem = |detail: String| Ok(Problems::one(Rule::ItemFile, format!("releases[{at}]"), detail));
        // A place that is malformed was found before.
        let Some(target) = release.target() else { return Ok(Problems::default()) };
        let head = self.heads.look(&target.name, AsOf::Now).await?;
        let row = match head {
            Some(head) => self.heads.select(&head, &target.selector).await?,
            None => None,
        };
        // One answer for both: the author need not be one who may read that name.
        let Some(row) = row.filter(|row| row.state.is_complete() && row.is_pinned_by(owner)) else {
            return problem(format!(
                "{} has no complete version with this manifest that has a pin of {owner}; pin it first, so that it is kept",
                target.name
            ));
        };
        let stored = row.summary.manifest;
        match self.manifests.load_alone(stored, row.summary.media_type.as_deref()).await? {
            Some(loaded) => Ok(check_files(at, release, stored, loaded.manifest()?)),
            None => problem(format!("the manifest of {}@{} is gone", target.name, row.number)),
        }
    }

    /// Compares the wares that are stated of tars with what the files are. Those of other types are claims.
    async fn check_wares(&self, new: &[(usize, Arc<Release>)]) -> Result<Problems, PublishError> {
        let (mut problems, deadline) = (Problems::default(), WareChecks::deadline());
        for (at, release) in new {
            let Some(loaded) = self.manifests.load_alone(release.descriptor(), None).await? else { continue };
            let files = &loaded.manifest()?.files;
            for (name, item) in &release.items {
                let stated = item.ware().filter(|ware| ware.kind() == "tar");
                let file = item.file(name).and_then(|file| files.iter().find(|artifact| artifact.name == file));
                let Some((stated, file)) = stated.zip(file) else { continue };
                let detail = match self.wares.ware_of(file.blob.digest, deadline).await? {
                    Ok(ware) if ware == stated => continue,
                    Ok(ware) => format!("the file is {ware}"),
                    Err(why) => format!("the file has no such ware: {why}"),
                };
                problems.add(Rule::WareId, format!("releases[{at}].items.{}.ware", catalog::quote(name)), detail);
            }
        }
        Ok(problems)
    }
}

/// Reads and judges what is stored, as far as that needs no store.
fn read(name: CatalogName, stored: &Stored, before: Option<&Stored>, now: Timestamp) -> (Option<Read>, Problems) {
    // Reading them is most of the work, and the publisher waits.
    let ((document, mut problems), before) = std::thread::scope(|scope| {
        let before = before.map(|before| scope.spawn(move || Before::read(before)));
        let read = catalog::check(&stored.document, &name);
        (read, before.map(|before| before.join().unwrap_or_else(|_| Err(no_catalog()))))
    });
    let before = match before.transpose() {
        Ok(before) => before,
        Err(why) => return (None, why),
    };
    let before = before.as_ref();
    let Some(document) = document else { return (None, problems) };
    problems.extend(check_times(&document, now));
    problems.extend(follows(before.map(|before| (&before.document, before.digest)), &document));
    let signatures: Vec<&[u8]> = stored.signatures.iter().map(|bytes| &bytes[..]).collect();
    let roots: Vec<&[u8]> = stored.roots.iter().map(|bytes| &bytes[..]).collect();
    let signed = Signed { document: &stored.document, signatures: &signatures, roots: &roots };
    let earlier = before.map_or(&[][..], |before| &before.roots);
    problems.extend(check_signatures(&name, &document, signed, earlier, now));
    problems.extend(check_targets_number(document.serial, &stored.numbers));
    let shared = |(at, release): (usize, &Release)| (at, Arc::new(release.clone()));
    let new: Places = added(before.map(|before| &before.document), &document).map(shared).collect();
    let current = stored.targets.as_ref().filter(|(number, _)| *number == document.serial);
    let targets = current.and_then(|(_, bytes)| {
        let root = roots.last().and_then(|root| Root::read(root).ok());
        let (targets, wrong) = check_targets(bytes, &document, root.as_ref());
        problems.extend(wrong);
        let targets = targets?;
        let is_known = |release: &Release| {
            let known = before.and_then(|before| before.targets.as_ref()?.release(release));
            known.is_some() && known == targets.release(release)
        };
        let unknown = document.releases.iter().enumerate().filter(|(_, release)| !is_known(release));
        let unknown = unknown.map(shared).collect();
        Some((targets, unknown))
    });
    (Some(Read { name, new, targets }), problems)
}
