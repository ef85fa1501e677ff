//! The rules between a document and the one before it: serials grow, and what was listed stays as it was.

use std::collections::{HashMap, HashSet};

use super::problem::quote;
use super::{Document, Problems, Release, Rule};
use crate::domain::Digest;
use crate::domain::manifest::{Descriptor, Manifest};

/// Checks that `next` may replace `previous`, whose digest is `digest`, as the active document. All of its releases stay,
/// as they were and in their order, below the new ones; only metadata, hazards and replays may differ.
#[must_use]
pub fn follows(previous: Option<(&Document, Digest)>, next: &Document) -> Problems {
    let Some((previous, digest)) = previous else {
        let mut problems = Problems::default();
        if let Some(stated) = next.previous {
            problems.add(Rule::Serial, "previous", format!("there is no document before it, and none with {stated}"));
        }
        return problems;
    };
    let mut problems = Problems::default();
    if next.serial <= previous.serial {
        let detail = format!("{} is not above {}, the serial of the active document", next.serial, previous.serial);
        problems.add(Rule::Serial, "serial", detail);
    }
    if next.previous != Some(digest) {
        problems.add(Rule::Serial, "previous", format!("the active document is {digest}"));
    }
    problems.extend(precedes(previous, next));
    problems
}

/// Checks that `later` keeps what `earlier` listed. Any number of documents may lie between them.
#[must_use]
pub fn precedes(earlier: &Document, later: &Document) -> Problems {
    let mut problems = Problems::default();
    let places: HashMap<&str, usize> =
        later.releases.iter().enumerate().map(|(at, release)| (release.name.as_str(), at)).collect();
    let mut last = None;
    for release in &earlier.releases {
        let name = quote(&release.name);
        let Some(at) = places.get(release.name.as_str()).copied() else {
            problems.add(
                Rule::ReleaseRemoved,
                "releases",
                format!("{name:?} is no longer listed; add a hazard instead"),
            );
            continue;
        };
        let place = format!("releases[{at}]");
        if last.is_some_and(|last| at < last) {
            problems.add(Rule::ReleaseRemoved, &*place, format!("{name:?} was below the releases that follow it now"));
        }
        last = last.max(Some(at));
        changed(release, &later.releases[at], &place, &mut problems);
    }
    on_top(earlier, later, &mut problems);
    problems
}

/// Checks that new releases are above all that were listed before.
fn on_top(earlier: &Document, later: &Document, problems: &mut Problems) {
    let listed = names(earlier);
    let new: Vec<bool> = later.releases.iter().map(|release| !listed.contains(release.name.as_str())).collect();
    let first_old = new.iter().position(|new| !new).unwrap_or(new.len());
    for (at, _) in new.iter().enumerate().skip(first_old).filter(|(_, new)| **new) {
        let name = quote(&later.releases[at].name);
        problems.add(Rule::ReleaseRemoved, format!("releases[{at}]"), format!("{name:?} is new and belongs on top"));
    }
}

fn changed(before: &Release, after: &Release, place: &str, problems: &mut Problems) {
    let mut differs = |member: &str, differs: bool| {
        if differs {
            let detail = format!("it never changes once {:?} is listed", quote(&before.name));
            problems.add(Rule::ReleaseChanged, format!("{place}.{member}"), detail);
        }
    };
    differs("at", before.at != after.at);
    differs("manifest", before.manifest != after.manifest);
    differs("size", before.size != after.size);
    differs("published", before.published != after.published);
    differs("items", before.items != after.items);
}

/// The releases that `next` lists and `previous` does not, with their places.
pub fn added<'a>(
    previous: Option<&'a Document>,
    next: &'a Document,
) -> impl Iterator<Item = (usize, &'a Release)> + use<'a> {
    let listed = previous.map(names).unwrap_or_default();
    next.releases.iter().enumerate().filter(move |(_, release)| !listed.contains(release.name.as_str()))
}

fn names(document: &Document) -> HashSet<&str> {
    document.releases.iter().map(|release| release.name.as_str()).collect()
}

/// Checks a release at `releases[at]` against the manifest that is stored: its digest and size, and that it has the files
/// of the items and of the replay.
#[must_use]
pub fn check_files(at: usize, release: &Release, stored: Descriptor, manifest: &Manifest) -> Problems {
    let mut problems = Problems::default();
    let place = format!("releases[{at}]");
    if stored != release.descriptor() {
        let detail = format!("the manifest that is stored there is {} with {} bytes", stored.digest, stored.size);
        problems.add(Rule::ItemFile, format!("{place}.manifest"), detail);
    }
    let has = |wanted: &str| manifest.files.iter().any(|file| file.name.as_str() == wanted);
    for (name, item) in &release.items {
        if let Some(file) = item.file(name).filter(|file| !has(file.as_str())) {
            let detail = format!("the manifest has no file {:?}", quote(file.as_str()));
            problems.add(Rule::ItemFile, format!("{place}.items.{}", quote(name)), detail);
        }
    }
    if let Some(replay) = release.replay.as_ref().filter(|replay| !has(replay.file.as_str())) {
        let detail = format!("the manifest has no file {:?}", quote(replay.file.as_str()));
        problems.add(Rule::ItemFile, format!("{place}.replay.file"), detail);
    }
    problems
}
