//! A claim to a host, and the changes that hosts went through.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{CHECKED_EVERY, CLAIM_WAITS_FOR, KEPT_WITHOUT, SERVES_WITHOUT};
use crate::domain::site::HostName;
use crate::domain::{Carried, Subject, Target};

/// What somebody wants a host to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedHost {
    /// What it is to serve.
    pub target: Target,
    /// Where it is to redirect to, in place of that.
    pub redirect_to: Option<HostName>,
    /// Who wants it.
    pub by: Subject,
    /// Why, if that was said.
    pub reason: Option<String>,
    /// The text of the TXT record that proves the claim; see [`super::challenge`].
    pub challenge: String,
}

/// A claim to a host: one that waits to be proven, or the one that counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// What the host serves.
    #[serde(rename = "name")]
    pub target: Target,
    /// Where it redirects to, in place of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect_to: Option<HostName>,
    /// Who wanted this.
    pub by: Subject,
    /// When.
    pub at: Timestamp,
    /// Why, if that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Box<str>>,
    /// The text of the TXT record that proves it.
    pub challenge: Box<str>,
    /// When the record was found for the first time. Absent while the claim waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_at: Option<Timestamp>,
    /// When the record was looked for last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked_at: Option<Timestamp>,
    /// Since when it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_since: Option<Timestamp>,
    #[serde(flatten)]
    other: Carried,
}

/// Whether a host serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It serves.
    Live,
    /// It serves, but not for long, because its record is missing.
    Failing,
    /// It does not serve any more, because its record was missing for too long.
    Down,
}

/// A change of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostChange {
    /// `attach`, `point`, `fail`, `recover` or `detach`.
    pub action: Box<str>,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: Subject,
    /// What the host serves since then, or did until then.
    pub name: Box<str>,
    /// Where it redirects to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect_to: Option<HostName>,
    /// Why, if that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Box<str>>,
    #[serde(flatten)]
    pub(super) other: Carried,
}

impl Claim {
    pub(super) fn new(wanted: WantedHost, now: Timestamp) -> Self {
        let WantedHost { target, redirect_to, by, reason, challenge } = wanted;
        let (reason, challenge) = (reason.map(Into::into), challenge.into());
        let (verified_at, checked_at, failed_since, other) = (None, None, None, Carried::default());
        Self { target, redirect_to, by, at: now, reason, challenge, verified_at, checked_at, failed_since, other }
    }

    /// Whether it may still be proven, if it waits.
    #[must_use]
    pub fn waits(&self, now: Timestamp) -> bool {
        now.duration_since(self.at) < CLAIM_WAITS_FOR
    }

    /// Until when it waits.
    #[must_use]
    pub fn waits_until(&self) -> Timestamp {
        self.at.checked_add(CLAIM_WAITS_FOR).unwrap_or(Timestamp::MAX)
    }

    /// Whether the host serves, if this is the claim that counts.
    #[must_use]
    pub fn standing(&self, now: Timestamp) -> Standing {
        match self.failed_since {
            None => Standing::Live,
            Some(since) if now.duration_since(since) < SERVES_WITHOUT => Standing::Failing,
            Some(_) => Standing::Down,
        }
    }

    /// When the host stops serving, if its record is missing.
    #[must_use]
    pub fn serves_until(&self) -> Option<Timestamp> {
        self.failed_since?.checked_add(SERVES_WITHOUT).ok()
    }

    pub(super) fn serves_what(&self, wanted: &WantedHost) -> bool {
        self.target == wanted.target && self.redirect_to == wanted.redirect_to
    }

    /// Changes what the host serves. It stays proven.
    pub(super) fn point(&mut self, wanted: WantedHost, now: Timestamp) {
        self.target = wanted.target;
        self.redirect_to = wanted.redirect_to;
        (self.by, self.at, self.reason) = (wanted.by, now, wanted.reason.map(Into::into));
    }

    /// Whether its record is to be looked for. One that is missing is looked for at every occasion.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        self.failed_since.is_some() || self.checked_at.is_none_or(|last| now.duration_since(last) >= CHECKED_EVERY)
    }

    /// Whether its record has been missing for so long that the host is nobody's.
    pub(super) fn is_lost(&self, now: Timestamp) -> bool {
        self.failed_since.is_some_and(|since| now.duration_since(since) >= KEPT_WITHOUT)
    }

    /// Notes whether the record is there. Returns what happened to the host, which may be nothing (`""`); `None` if there
    /// is nothing to note: anybody who may attach hosts can have the record looked for as often as they like.
    pub(super) fn check(&mut self, is_proven: bool, now: Timestamp) -> Option<&'static str> {
        let action = match (is_proven, self.failed_since) {
            (true, Some(_)) => "recover",
            (false, None) => "fail",
            (true, None) if self.is_due(now) => "",
            (true, None) | (false, Some(_)) => return None,
        };
        self.failed_since = if is_proven { None } else { Some(now) };
        self.checked_at = Some(now);
        Some(action)
    }

    /// A change to this, by whoever wanted it.
    pub(super) fn change(&self, action: &str) -> HostChange {
        HostChange {
            action: action.into(),
            at: self.at,
            by: self.by.clone(),
            name: self.target.to_string().into(),
            redirect_to: self.redirect_to.clone(),
            reason: self.reason.clone(),
            other: Carried::default(),
        }
    }
}
