//! Hosts as a caller may see them.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::access::Caller;
use crate::domain::attached::{Claim, HostChange, HostEntry, Standing};
use crate::domain::hosts::{HostRole, HostTable, HostedSite};
use crate::domain::site::HostName;
use crate::domain::{ManifestName, Permission, Target};
use crate::http::state::AppState;
use crate::protocol::HostState;
use crate::service::domains::record;
use crate::wire::sites::{Challenge, PendingClaim, SiteChange, SiteHost, SitePreviews};

/// [`SiteHost::source`] of hosts that were attached.
pub(super) const API: &str = "api";
/// Attached hosts looked at for one page beyond those that it may show.
const SPARE: usize = 1000;

/// What a caller may see.
pub(super) struct View<'a> {
    state: &'a AppState,
    caller: &'a Caller,
    table: Arc<HostTable>,
    now: Timestamp,
}

impl<'a> View<'a> {
    pub(super) fn new(state: &'a AppState, caller: &'a Caller) -> Self {
        Self { state, caller, table: state.hosts.current(), now: state.domains.time() }
    }

    /// At most `limit` hosts behind `after`, those of one name if it is stated, and the host behind which the next page
    /// begins.
    pub(super) fn page(
        &self,
        stored: &HostState,
        name: Option<&ManifestName>,
        after: Option<&HostName>,
        limit: usize,
    ) -> (Vec<SiteHost>, Option<HostName>) {
        let is_next = |host: &HostName| after.is_none_or(|after| host > after);
        let is_wanted = |site: &SiteHost| name.is_none_or(|name| is_about(site, name));
        let configured = self.table.sites().into_iter().filter_map(|(host, site, to)| {
            let host: HostName = host.parse().ok()?;
            Some((host.clone(), self.configured(&host, site, to)?))
        });
        let mut all: BTreeMap<HostName, SiteHost> =
            configured.filter(|(host, site)| is_next(host) && is_wanted(site)).collect();
        let mut looked_at = stored.hosts.iter().filter(|(host, _)| is_next(host));
        let (mut shown, mut examined, mut end) = (0, 0, None);
        for (host, entry) in looked_at.by_ref() {
            examined += 1;
            let found =
                self.attached(host, entry).filter(|_| self.table.find(Some(host.as_str())) == HostRole::Unlisted);
            if let Some(found) = found.filter(is_wanted) {
                shown += 1;
                all.insert(host.clone(), SiteHost { history: Vec::new(), ..found });
            }
            if shown > limit || examined == limit + SPARE {
                end = Some(host.clone());
                break;
            }
        }
        // Of the configuration's hosts, those behind the end are for later pages.
        if looked_at.next().is_some() {
            all.retain(|host, _| end.as_ref().is_none_or(|end| host <= end));
        } else {
            end = None;
        }
        let mut sites = Vec::new();
        let mut last = None;
        for (host, site) in all {
            if sites.len() == limit {
                return (sites, last);
            }
            sites.push(site);
            last = Some(host);
        }
        (sites, end)
    }

    /// One host, with its history; `None` if the caller may not see it.
    pub(super) fn one(&self, host: &HostName, entry: Option<&HostEntry>) -> Option<SiteHost> {
        match self.table.find(Some(host.as_str())) {
            HostRole::Unlisted => self.attached(host, entry?).or_else(|| self.detached(host, entry?)),
            HostRole::Site(site) => self.configured(host, &site, None),
            HostRole::Redirect(to) => match self.table.find(Some(to.as_str())) {
                HostRole::Site(site) => self.configured(host, &site, Some(&to)),
                _ => None,
            },
            HostRole::Api | HostRole::Preview(..) => None,
        }
    }

    fn configured(&self, host: &HostName, site: &HostedSite, to: Option<&HostName>) -> Option<SiteHost> {
        let target = site.target.as_ref()?;
        let found = self.site(host, target, ("configuration", "live"));
        self.may_read(&target.name).then(|| SiteHost {
            site: Some(site.id.to_string()),
            redirect_to: to.map(ToString::to_string),
            ..found
        })
    }

    fn attached(&self, host: &HostName, entry: &HostEntry) -> Option<SiteHost> {
        let mut waiting: Vec<&Claim> =
            entry.waiting(self.now).rev().filter(|claim| self.may_host(&claim.target.name)).collect();
        let owner = entry.owner.as_ref().filter(|owner| self.may_read(&owner.target.name));
        let (claim, state) = match owner {
            Some(owner) => {
                let state = match owner.standing(self.now) {
                    Standing::Live => "live",
                    Standing::Failing => "failing",
                    Standing::Down => "down",
                };
                (owner, state)
            }
            None if waiting.is_empty() => return None,
            None => (waiting.remove(0), "pending"),
        };
        let mut site = self.site(host, &claim.target, (API, state));
        site.redirect_to = claim.redirect_to.as_ref().map(ToString::to_string);
        if self.may_host(&claim.target.name) {
            site = SiteHost {
                challenge: Some(challenge(host, claim)),
                by: Some(claim.by.clone()),
                at: Some(claim.at),
                reason: claim.reason.as_deref().map(Into::into),
                verified_at: claim.verified_at,
                checked_at: claim.checked_at,
                failed_since: claim.failed_since,
                serves_until: claim.serves_until(),
                history: self.history(entry),
                ..site
            };
        }
        site.pending = waiting.into_iter().map(|claim| pending(host, claim)).collect();
        Some(site)
    }

    /// A host that is nobody's any more, for those who may know what it was.
    fn detached(&self, host: &HostName, entry: &HostEntry) -> Option<SiteHost> {
        let history = self.history(entry);
        let last = history.first().filter(|_| entry.owner.is_none())?;
        let target: Target = last.name.parse().ok()?;
        Some(SiteHost { history, ..self.site(host, &target, (API, "detached")) })
    }

    /// What is the same for all hosts.
    fn site(&self, host: &HostName, target: &Target, (source, state): (&str, &str)) -> SiteHost {
        let previews = self.preview_domain(&target.name);
        SiteHost {
            host: host.to_string(),
            name: target.to_string(),
            source: source.to_owned(),
            state: state.to_owned(),
            redirect_to: None,
            url: format!("https://{host}/"),
            site: self.table.site_of(&target.name).map(|site| site.id.to_string()),
            previews,
            challenge: None,
            by: None,
            at: None,
            reason: None,
            verified_at: None,
            checked_at: None,
            failed_since: None,
            serves_until: None,
            problem: None,
            pending: Vec::new(),
            history: Vec::new(),
        }
    }

    /// Where versions of a name are previewed, if the caller may know of the name.
    pub(super) fn previews(&self, name: &ManifestName) -> Option<SitePreviews> {
        self.preview_domain(name).filter(|_| self.may_read(name))
    }

    fn preview_domain(&self, name: &ManifestName) -> Option<SitePreviews> {
        let (domain, label, site) = self.table.previews_of(name)?;
        let is_public = site.has_public_previews && self.state.access.is_public(name);
        let read = if is_public { "public" } else { "token" }.to_owned();
        Some(SitePreviews { domain: domain.to_owned(), label, read })
    }

    /// The changes that the caller may know of, newest first.
    fn history(&self, entry: &HostEntry) -> Vec<SiteChange> {
        let own = |change: &&HostChange| change.name.parse().is_ok_and(|target: Target| self.may_host(&target.name));
        let seen = |change: &HostChange| SiteChange {
            action: change.action.as_ref().into(),
            at: change.at,
            by: change.by.clone(),
            name: change.name.as_ref().into(),
            redirect_to: change.redirect_to.as_ref().map(ToString::to_string),
            reason: change.reason.as_deref().map(Into::into),
        };
        entry.history.iter().rev().filter(own).map(seen).collect()
    }

    fn may_read(&self, name: &ManifestName) -> bool {
        self.state.access.may_read(self.caller, name) || self.may_host(name)
    }

    fn may_host(&self, name: &ManifestName) -> bool {
        self.caller.may(Permission::Host, name)
    }
}

/// Whether a host serves a version of this name, or is claimed for one.
fn is_about(site: &SiteHost, name: &ManifestName) -> bool {
    let names = std::iter::once(&site.name).chain(site.pending.iter().map(|claim| &claim.name));
    names.into_iter().any(|target| target.split('@').next() == Some(name.as_str()))
}

fn challenge(host: &HostName, claim: &Claim) -> Challenge {
    Challenge { record: record(host), text: claim.challenge.as_ref().into() }
}

fn pending(host: &HostName, claim: &Claim) -> PendingClaim {
    PendingClaim {
        name: claim.target.to_string(),
        redirect_to: claim.redirect_to.as_ref().map(ToString::to_string),
        challenge: challenge(host, claim),
        by: claim.by.clone(),
        at: claim.at,
        reason: claim.reason.as_deref().map(Into::into),
        until: claim.waits_until(),
    }
}
