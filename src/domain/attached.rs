//! Hosts that were attached to names through the API: who has each, who claims it, and what became of it.
//!
//! A claim is a statement of somebody who may attach hosts to a name. It counts once a TXT record of the host names its
//! challenge, which is the same for every claim of that name to that host: so a claim that gave way to others loses
//! nothing by it, and whoever controls the DNS of a host decides which name gets it.

mod circles;
mod claim;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::site::HostName;
use super::{Carried, Digest, ManifestName, Selector, Subject};
pub use circles::ends_of_circles;
pub use claim::{Claim, HostChange, Standing, WantedHost};

/// Maximum number of hosts.
pub const MAX_HOSTS: usize = 10_000;
/// Maximum number of claims to one host that wait. Of more, the oldest gives way.
pub const MAX_CLAIMS_OF_HOST: usize = 8;
/// Maximum number of waiting claims of one subject, and of one name. Of more, the oldest gives way.
pub const MAX_CLAIMS: usize = 100;
/// Changes of a host that are remembered.
pub const MAX_CHANGES: usize = 20;
/// How long a claim waits.
pub const CLAIM_WAITS_FOR: SignedDuration = SignedDuration::from_hours(7 * 24);
/// How often the record of an attached host is looked for.
pub const CHECKED_EVERY: SignedDuration = SignedDuration::from_hours(24);
/// How long a host serves without its record.
pub const SERVES_WITHOUT: SignedDuration = SignedDuration::from_hours(3 * 24);
/// How long a host whose record is missing stays attached.
pub const KEPT_WITHOUT: SignedDuration = SignedDuration::from_hours(30 * 24);
/// How long the changes of a host that nobody has are remembered.
pub const REMEMBERED_FOR: SignedDuration = SignedDuration::from_hours(90 * 24);

/// A host: who has it, who claims it, and its last changes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HostEntry {
    /// The claim that counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Claim>,
    /// Claims that wait, oldest first, those whose time is over included.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pending: Vec<Claim>,
    /// The last changes, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<HostChange>,
    #[serde(flatten)]
    other: Carried,
}

/// Why a host cannot be claimed or detached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HostRefusal {
    /// Another name has the host, and the caller may not attach hosts to that name.
    #[error("the host belongs to a name that the caller may not attach hosts to")]
    Taken,
    /// Nobody has or claims the host, as far as the caller may know.
    #[error("there is no such host")]
    Absent,
    /// There are [`MAX_HOSTS`] hosts.
    #[error("{MAX_HOSTS} hosts are attached; detach one of them first")]
    Full,
}

/// All hosts that are attached or claimed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AttachedHosts(BTreeMap<HostName, HostEntry>);

impl HostEntry {
    /// The claims that still wait, oldest first.
    #[must_use]
    pub fn waiting(&self, now: Timestamp) -> impl DoubleEndedIterator<Item = &Claim> {
        self.pending.iter().filter(move |claim| claim.waits(now))
    }

    /// Identifies what the host is and is to be: it changes with every change that somebody made.
    #[must_use]
    pub fn tag(&self) -> Digest {
        let facts = |claim: &Claim| format!("{} {:?} {} {}", claim.target, claim.redirect_to, claim.by, claim.at);
        let texts: Vec<String> = self.owner.iter().chain(&self.pending).map(facts).collect();
        Digest::of(format!("{} {}", self.owner.is_some(), texts.join("\n")).as_bytes())
    }

    fn record(&mut self, change: HostChange) {
        self.history.push(change);
        let surplus = self.history.len().saturating_sub(MAX_CHANGES);
        self.history.drain(..surplus);
    }

    /// Whether nothing is worth remembering.
    fn is_over(&self, now: Timestamp) -> bool {
        let last = self.history.last().map(|change| change.at);
        self.owner.is_none()
            && self.pending.is_empty()
            && last.is_none_or(|last| now.duration_since(last) >= REMEMBERED_FOR)
    }
}

/// The text that the TXT record of a host must have for claims of this name. `salt` is of the store: a record that was set
/// for another server proves nothing.
#[must_use]
pub fn challenge(salt: &str, host: &HostName, name: &ManifestName) -> String {
    let hex = Digest::of(format!("larder host\n{salt}\n{host}\n{name}").as_bytes()).hex();
    format!("larder={}", &hex[..40])
}

impl AttachedHosts {
    /// A host; `None` if nothing is known of it.
    #[must_use]
    pub fn get(&self, host: &HostName) -> Option<&HostEntry> {
        self.0.get(host)
    }

    /// All hosts, in order, those of which only the changes are remembered included.
    pub fn iter(&self) -> impl Iterator<Item = (&HostName, &HostEntry)> {
        self.0.iter()
    }

    /// What hosts are to serve of a name, redirects included: those who follow one may be sent back.
    pub fn pointed_at<'a>(&'a self, name: &'a ManifestName) -> impl Iterator<Item = &'a Selector> + 'a {
        let owners = self.0.values().filter_map(|entry| entry.owner.as_ref());
        owners.map(|owner| &owner.target).filter(move |target| target.name == *name).map(|target| &target.selector)
    }

    /// The hosts that serve at this time, with the claims that count.
    pub fn serving(&self, now: Timestamp) -> impl Iterator<Item = (&HostName, &Claim)> {
        let owned = self.0.iter().filter_map(|(host, entry)| Some((host, entry.owner.as_ref()?)));
        owned.filter(move |(_, owner)| owner.standing(now) != Standing::Down)
    }

    /// When the next host stops serving, if nothing changes before.
    #[must_use]
    pub fn next_end(&self, now: Timestamp) -> Option<Timestamp> {
        self.serving(now).filter_map(|(_, owner)| owner.serves_until()).min()
    }

    /// The hosts whose records are to be looked for.
    #[must_use]
    pub fn due(&self, now: Timestamp) -> Vec<HostName> {
        let due = self.0.iter().filter(|(_, entry)| entry.owner.as_ref().is_some_and(|owner| owner.is_due(now)));
        due.map(|(host, _)| host.clone()).collect()
    }

    /// Claims a host, or changes what it serves if it belongs to the same name. `may` says to which names the caller may
    /// attach hosts. Returns whether anything changed.
    ///
    /// # Errors
    /// [`HostRefusal::Taken`] or [`HostRefusal::Full`].
    pub fn claim(
        &mut self,
        host: &HostName,
        wanted: WantedHost,
        now: Timestamp,
        may: &dyn Fn(&ManifestName) -> bool,
    ) -> Result<bool, HostRefusal> {
        if let Some(entry) = self.0.get_mut(host)
            && let Some(owner) = &mut entry.owner
        {
            if owner.target.name == wanted.target.name {
                // Who points it elsewhere does not want any more what was to replace it.
                let before = entry.pending.len();
                entry.pending.retain(|claim| !may(&claim.target.name));
                let is_same = owner.serves_what(&wanted);
                if !is_same {
                    owner.point(wanted, now);
                    let change = owner.change("point");
                    entry.record(change);
                }
                return Ok(!is_same || entry.pending.len() < before);
            }
            // A host without its record is open to others: its domain may have been sold.
            if owner.failed_since.is_none() && !may(&owner.target.name) {
                return Err(HostRefusal::Taken);
            }
        }
        self.wait(host, wanted, now)
    }

    /// Adds a claim that waits.
    fn wait(&mut self, host: &HostName, wanted: WantedHost, now: Timestamp) -> Result<bool, HostRefusal> {
        let (name, by) = (wanted.target.name.clone(), wanted.by.clone());
        if !self.0.contains_key(host) {
            self.make_room(now)?;
        }
        let entry = self.0.entry(host.clone()).or_default();
        let known = entry.waiting(now).find(|claim| claim.target.name == name);
        if known.is_some_and(|known| known.serves_what(&wanted) && known.by == by) {
            return Ok(false);
        }
        entry.pending.retain(|claim| claim.waits(now) && claim.target.name != name);
        entry.pending.push(Claim::new(wanted, now));
        let surplus = entry.pending.len().saturating_sub(MAX_CLAIMS_OF_HOST);
        entry.pending.drain(..surplus);
        self.give_way(|claim| claim.by == by);
        self.give_way(|claim| claim.target.name == name);
        Ok(true)
    }

    /// Drops the oldest of the waiting claims that a subject or a name has too many of.
    fn give_way(&mut self, is_its: impl Fn(&Claim) -> bool) {
        let waiting = |entry: &HostEntry| entry.pending.iter().filter(|claim| is_its(claim)).count();
        while self.0.values().map(waiting).sum::<usize>() > MAX_CLAIMS {
            let its =
                |entry: &HostEntry| entry.pending.iter().filter(|claim| is_its(claim)).map(|claim| claim.at).min();
            let Some((at, host)) = self.0.iter().filter_map(|(host, entry)| Some((its(entry)?, host.clone()))).min()
            else {
                return;
            };
            if let Some(entry) = self.0.get_mut(&host) {
                entry.pending.retain(|claim| !(claim.at == at && is_its(claim)));
            }
        }
        // A host that nobody claims any more and that has no past is none.
        self.0.retain(|_, entry| entry.owner.is_some() || !entry.pending.is_empty() || !entry.history.is_empty());
    }

    /// Makes room for one more host: hosts that nobody has give way, the one that was heard of last as the last one.
    fn make_room(&mut self, now: Timestamp) -> Result<(), HostRefusal> {
        if self.0.len() < MAX_HOSTS {
            return Ok(());
        }
        self.tidy(now);
        while self.0.len() >= MAX_HOSTS {
            let heard_of = |entry: &HostEntry| {
                let changes = entry.history.iter().map(|change| change.at);
                entry.pending.iter().map(|claim| claim.at).chain(changes).max()
            };
            let unowned = self.0.iter().filter(|(_, entry)| entry.owner.is_none());
            let oldest = unowned.min_by_key(|(_, entry)| heard_of(entry)).map(|(host, _)| host.clone());
            self.0.remove(&oldest.ok_or(HostRefusal::Full)?);
        }
        Ok(())
    }

    /// Judges a host by the texts of its TXT records. Returns whether anything changed.
    pub fn settle(&mut self, host: &HostName, texts: &[String], now: Timestamp) -> bool {
        let Some(entry) = self.0.get_mut(host) else { return false };
        let is_proven = |claim: &Claim| texts.iter().any(|text| text.trim() == &*claim.challenge);
        // Of several, the one that was made last is what is wanted now.
        let proven = entry.waiting(now).rev().find(|claim| is_proven(claim)).cloned();
        if let Some(mut claim) = proven {
            entry.pending.clear();
            claim.verified_at = Some(now);
            claim.checked_at = Some(now);
            entry.record(HostChange { at: now, ..claim.change("attach") });
            entry.owner = Some(claim);
            return true;
        }
        let Some(owner) = &mut entry.owner else { return false };
        let is_proven = is_proven(owner);
        match owner.check(is_proven, now) {
            None => return false,
            Some("") => {}
            Some(action) => {
                let change = HostChange { at: now, by: Subject::collector(), reason: None, ..owner.change(action) };
                entry.record(change);
            }
        }
        true
    }

    /// Detaches a host, and drops the claims to it, of all names that `may` allows.
    ///
    /// # Errors
    /// [`HostRefusal::Absent`] if there are none, [`HostRefusal::Taken`] if only the name that has the host is not
    /// allowed.
    pub fn detach(
        &mut self,
        host: &HostName,
        (by, reason): (Subject, Option<String>),
        now: Timestamp,
        may: &dyn Fn(&ManifestName) -> bool,
    ) -> Result<(), HostRefusal> {
        let entry = self.0.get_mut(host).ok_or(HostRefusal::Absent)?;
        let before = entry.pending.len();
        entry.pending.retain(|claim| claim.waits(now) && !may(&claim.target.name));
        let has_dropped = entry.pending.len() < before;
        if let Some(owner) = entry.owner.take_if(|owner| may(&owner.target.name)) {
            let reason = reason.map(Into::into);
            entry.record(HostChange { at: now, by, reason, ..owner.change("detach") });
        } else if !has_dropped {
            return Err(if entry.owner.is_some() { HostRefusal::Taken } else { HostRefusal::Absent });
        }
        if entry.owner.is_none() && entry.pending.is_empty() && entry.history.is_empty() {
            self.0.remove(host);
        }
        Ok(())
    }

    /// Drops what has had its time: claims that waited for too long, hosts whose records were missing for too long, and
    /// changes of hosts that nobody has had for long. Returns whether there was anything.
    pub fn tidy(&mut self, now: Timestamp) -> bool {
        let mut has_changed = false;
        for entry in self.0.values_mut() {
            let before = entry.pending.len();
            entry.pending.retain(|claim| claim.waits(now));
            has_changed |= entry.pending.len() < before;
            if let Some(owner) = entry.owner.take_if(|owner| owner.is_lost(now)) {
                let change = owner.change("detach");
                entry.record(HostChange { at: now, by: Subject::collector(), reason: None, ..change });
                has_changed = true;
            }
        }
        let before = self.0.len();
        self.0.retain(|_, entry| !entry.is_over(now));
        has_changed || self.0.len() < before
    }

    /// Forgets all but the last `keep` changes of each host.
    pub fn shorten(&mut self, keep: usize) {
        for entry in self.0.values_mut() {
            let surplus = entry.history.len().saturating_sub(keep);
            entry.history.drain(..surplus);
        }
    }
}

#[cfg(test)]
mod tests;
