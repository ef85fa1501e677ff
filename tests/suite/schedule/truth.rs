//! What is true of the store at this moment, seen from outside: no version that can be read ever lacks a blob.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use larder::domain::{Digest, Head, LogName, RepositoryName, State};
use larder::layout::{self, LayoutKey};
use larder::store::Key;

use super::objects::Objects;

/// The versions of all names, and what they consist of.
#[derive(Debug, Default)]
pub struct Truth {
    rows: BTreeMap<(LogName, u64), (State, Digest)>,
    /// Prepared versions whose rows have left the newest head without going anywhere: they were given up.
    removed: BTreeSet<(LogName, u64)>,
    generations: BTreeMap<LogName, u64>,
    contents: BTreeMap<Digest, Vec<Digest>>,
    /// The times in which versions were complete, counted in changes of the store; without an end they still are.
    lives: BTreeMap<(LogName, u64), (u64, Option<u64>)>,
    /// Whether somebody is known to take tombstones away, to see what comes of it.
    pub withdrawals: bool,
}

impl Truth {
    /// Tells what a manifest needs: blobs, and manifests with what those need.
    pub fn knows(&mut self, manifest: Digest, blobs: Vec<Digest>) {
        self.contents.insert(manifest, blobs);
    }

    /// Whether a version can be read, by the newest head.
    pub fn is_complete(&self, name: &LogName, number: u64) -> bool {
        self.rows.get(&(name.clone(), number)).is_some_and(|(state, _)| state.is_complete())
    }

    /// What is wrong since this object was created, if anything.
    pub fn created(&mut self, key: &Key, objects: &Objects) -> Result<(), String> {
        let bytes = &objects.entry(key).expect("it was just created").bytes;
        match LayoutKey::parse(key) {
            Some(LayoutKey::Blob(digest, _)) if Digest::of(bytes) != digest => Err(format!("{key} has other bytes")),
            Some(LayoutKey::Head(name, generation)) => {
                let head: Head = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
                let before = self.generations.insert(name.clone(), generation).unwrap_or(0);
                if before + 1 != generation {
                    return Err(format!("{key} is not the successor of generation {before}"));
                }
                self.head(&name, &head, objects)
            }
            _ => Ok(()),
        }
    }

    fn is_removed(&self, name: &LogName, number: u64) -> bool {
        self.removed.contains(&(name.clone(), number))
    }

    fn head(&mut self, name: &LogName, head: &Head, objects: &Objects) -> Result<(), String> {
        let of_name = self.rows.iter().filter(|((of, _), (state, _))| of == name && *state == State::Prepared);
        let gone =
            of_name.filter(|((_, number), _)| head.inline(*number).is_none()).map(|(version, _)| version.clone());
        self.removed.extend(gone);
        for row in &head.rows {
            let known = self.rows.insert((name.clone(), row.number), (row.state, row.digest()));
            let was_complete = known.is_some_and(|(state, _)| state.is_complete());
            match self.lives.entry((name.clone(), row.number)) {
                Entry::Vacant(life) if row.state.is_complete() => drop(life.insert((objects.changes, None))),
                Entry::Occupied(mut life) if was_complete && !row.state.is_complete() => {
                    life.get_mut().1 = Some(objects.changes);
                }
                _ => {}
            }
            if row.state.is_complete() && !was_complete {
                self.whole(name, row.number, row.digest(), objects)?;
            }
        }
        Ok(())
    }

    /// What is wrong since this object was deleted, if anything.
    pub fn deleted(&self, key: &Key, objects: &Objects) -> Result<(), String> {
        match LayoutKey::parse(key) {
            Some(LayoutKey::Blob(digest, _)) if !is_there(digest, objects) => {
                let lost = self.complete().find(|(_, _, manifest)| self.digests(*manifest).any(|of| of == digest));
                lost.map_or(Ok(()), |(name, number, _)| Err(format!("{name}@{number} lost {digest} with {key}")))
            }
            Some(LayoutKey::Blob(..) | LayoutKey::Seen(..) | LayoutKey::Run(..)) => Ok(()),
            Some(LayoutKey::SeenHeads(..)) => {
                let lists = layout::seen_heads();
                let another = objects.after(lists.as_str(), None).next().map(|_| ());
                another.ok_or_else(|| format!("nobody remembers what {key} said of the heads"))
            }
            Some(LayoutKey::Condemned(..)) if self.withdrawals => Ok(()),
            // Also an entry of a version that is prepared: it would be complete without one.
            Some(LayoutKey::Aux(_)) if entry(key).is_some() => {
                let (manifest, name, number) = entry(key).expect("it was parsed");
                match self.rows.get(&(name.clone(), number)) {
                    Some((state, of)) if state.is_root() && !self.is_removed(&name, number) => {
                        let counts = layout::REFERRERS.parse(key).is_some() || self.holds(*of, manifest);
                        let lost = || format!("{name}@{number} is not found by its digest any more");
                        if counts { Err(lost()) } else { Ok(()) }
                    }
                    _ => Ok(()),
                }
            }
            _ => Err(format!("{key} is deleted, which is for ever")),
        }
    }

    fn holds(&self, of: Digest, manifest: Digest) -> bool {
        self.digests(of).any(|digest| digest == manifest)
    }

    /// The versions of a repository that hold a manifest, as their own if so asked, and were complete at this change or
    /// later; each with the change that completed it, and whether it still is.
    pub fn holders(
        &self,
        repository: &RepositoryName,
        manifest: Digest,
        own: bool,
        since: u64,
    ) -> impl Iterator<Item = (&LogName, u64, bool)> {
        let lives = self.lives.iter().filter(move |(version, (_, end))| {
            let of = self.rows[version].1;
            let is_it = if own { of == manifest } else { self.holds(of, manifest) };
            is_it && RepositoryName::of(&version.0).as_ref() == Some(repository) && end.is_none_or(|end| end >= since)
        });
        lives.map(|((log, _), (begin, end))| (log, *begin, end.is_none()))
    }

    /// Whether every version that can be read has all of its bytes.
    pub fn all_whole(&self, objects: &Objects) -> Result<(), String> {
        self.complete().try_for_each(|(name, number, manifest)| self.whole(name, number, manifest, objects))
    }

    fn whole(&self, name: &LogName, number: u64, manifest: Digest, objects: &Objects) -> Result<(), String> {
        match self.digests(manifest).find(|digest| !is_there(*digest, objects)) {
            Some(lacks) => Err(format!("{name}@{number} can be read, but lacks {lacks}")),
            None => Ok(()),
        }
    }

    fn complete(&self) -> impl Iterator<Item = (&LogName, u64, Digest)> {
        let rows = self.rows.iter().filter(|(_, (state, _))| state.is_complete());
        rows.map(|((name, number), (_, manifest))| (name, *number, *manifest))
    }

    /// Everything that a version with this manifest needs.
    pub fn digests(&self, manifest: Digest) -> impl Iterator<Item = Digest> {
        let blobs = self.contents.get(&manifest).expect("all manifests here are known");
        blobs.iter().copied().chain([manifest])
    }
}

/// The version that an entry is about, with the manifest by which it is found: one that it holds, or describes.
fn entry(key: &Key) -> Option<(Digest, LogName, u64)> {
    layout::MEMBERS.parse(key).or_else(|| layout::REFERRERS.parse(key))
}

/// Whether there are bytes of a digest, doomed or not.
fn is_there(digest: Digest, objects: &Objects) -> bool {
    let prefix = layout::blob(&digest);
    objects.after(prefix.as_str(), None).any(|(key, _)| matches!(LayoutKey::parse(key), Some(LayoutKey::Blob(..))))
}
