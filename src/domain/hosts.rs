//! What a request's host stands for: the interface to releases, a site, a preview of one, or another name of a site.
//!
//! As soon as one host is listed, every other host is nobody's. Without any, all of them are the interface's.

mod addresses;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;

use super::site::{HostName, Marker, PreviewLabel, SiteId};
use super::{ManifestName, NamePattern, Selector, Target};
pub use addresses::SiteAddresses;

/// A site, or a family of previews.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostedSite {
    /// What logs, metrics and the hosts of previews call it.
    pub id: SiteId,
    /// What its hosts serve; `None` if only versions of `names` are previewed.
    pub target: Option<Target>,
    /// The names whose versions have preview hosts of their own.
    pub names: Vec<NamePattern>,
    /// Whether previews can be read without credentials. The policy of the name has to allow it, too.
    pub has_public_previews: bool,
    /// Whether certificates for previews may be issued one by one.
    pub has_preview_certificates: bool,
}

/// What a host stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostRole {
    /// The interface to releases.
    Api,
    /// A site.
    Site(Arc<HostedSite>),
    /// Another name of a site, whose canonical host this is.
    Redirect(HostName),
    /// A host below a domain for previews, whether or not there is such a preview.
    Preview(Arc<PreviewDomain>, Box<str>),
    /// Nobody's.
    Unlisted,
}

/// A domain below which each version has a host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PreviewDomain {
    sites: Vec<Arc<HostedSite>>,
}

/// The version that a preview host stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// The site.
    pub site: Arc<HostedSite>,
    /// What to serve.
    pub target: Target,
}

impl PreviewDomain {
    /// What stands behind the marker in the labels of this name's versions, and the site; `None` if they have no hosts.
    fn label_of(&self, name: &ManifestName) -> Option<(String, &Arc<HostedSite>)> {
        let (label, site) = self.sites.iter().find_map(|site| match &site.target {
            Some(target) if target.name == *name => Some((PreviewLabel::of_site(Marker::Live, &site.id), site)),
            None if site.names.iter().any(|pattern| pattern.matches(name)) => {
                Some((PreviewLabel::encode(Marker::Live, name), site))
            }
            _ => None,
        })?;
        let label = label.ok()?.to_string();
        Some((label.strip_prefix("live-")?.to_owned(), site))
    }

    /// The version that the host with this first label stands for; `None` if no version has such a host.
    #[must_use]
    pub fn locate(&self, label: &str) -> Option<Preview> {
        let label = PreviewLabel::decode(label).ok()?;
        let (id, name) = (label.site(), label.name());
        let (site, name) = self.sites.iter().find_map(|site| match &site.target {
            Some(target) if id.as_ref() == Some(&site.id) => Some((site, target.name.clone())),
            Some(_) => None,
            None => {
                let name = name.as_ref().filter(|name| site.names.iter().any(|pattern| pattern.matches(name)))?;
                Some((site, name.clone()))
            }
        })?;
        let selector = match label.marker() {
            Marker::Version(number) => Selector::Number(number),
            Marker::Live => Selector::Active,
            Marker::Previous => Selector::Previous,
            Marker::Next => Selector::Next,
        };
        Some(Preview { site: Arc::clone(site), target: Target { name, selector, explicit: true } })
    }
}

/// All hosts of a server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostTable {
    hosts: HashMap<Box<str>, HostRole>,
    previews: HashMap<Box<str>, Arc<PreviewDomain>>,
}

impl HostTable {
    /// Adds a host. One that is there keeps its role.
    ///
    /// # Errors
    /// The role that the host has already.
    pub fn add(&mut self, host: &HostName, role: HostRole) -> Result<(), HostRole> {
        if let Some(taken) = self.hosts.get(host.as_str()) {
            return Err(taken.clone());
        }
        self.hosts.insert(host.as_str().into(), role);
        Ok(())
    }

    /// Gives the versions of a site hosts below this domain.
    pub fn add_previews(&mut self, domain: &HostName, site: Arc<HostedSite>) {
        Arc::make_mut(self.previews.entry(domain.as_str().into()).or_default()).sites.push(site);
    }

    /// What a host stands for, in lower case and without a port or a trailing dot; `None` for a request without one.
    #[must_use]
    pub fn find(&self, host: Option<&str>) -> HostRole {
        if self.hosts.is_empty() {
            return HostRole::Api;
        }
        let Some(host) = host else { return HostRole::Unlisted };
        if let Some(role) = self.hosts.get(host) {
            return role.clone();
        }
        match host.split_once('.').and_then(|(label, domain)| Some((label, self.previews.get(domain)?))) {
            Some((label, domain)) => HostRole::Preview(Arc::clone(domain), label.into()),
            None => HostRole::Unlisted,
        }
    }

    /// Whether requests to a host are for the interface to releases.
    fn is_api(&self, host: Option<&str>) -> bool {
        self.hosts.is_empty() || host.is_some_and(|host| matches!(self.hosts.get(host), Some(HostRole::Api)))
    }

    /// Whether a host is a domain for previews: whoever serves it shares cookies with all of them.
    #[must_use]
    pub fn has_previews_below(&self, host: &HostName) -> bool {
        self.previews.contains_key(host.as_str())
    }

    /// Whether a host is one below a domain for previews.
    fn is_preview(&self, host: Option<&str>) -> bool {
        let Some(host) = host.filter(|host| !self.hosts.contains_key(*host)) else { return false };
        host.split_once('.').is_some_and(|(_, domain)| self.previews.contains_key(domain))
    }

    /// Whether a certificate may be issued for a host: it is listed, or the preview hosts of its site may have one each.
    #[must_use]
    pub fn has_certificate(&self, host: &str) -> bool {
        match self.find(Some(host)) {
            HostRole::Api => !self.hosts.is_empty(),
            HostRole::Site(_) | HostRole::Redirect(_) => true,
            HostRole::Preview(domain, label) => {
                domain.locate(&label).is_some_and(|preview| preview.site.has_preview_certificates)
            }
            HostRole::Unlisted => false,
        }
    }

    /// Whether any host is listed: otherwise all of them are the interface's.
    #[must_use]
    pub fn is_bound(&self) -> bool {
        !self.hosts.is_empty()
    }

    /// The hosts that are sites, or redirect to one, in order: each with its site and, if it redirects, where to.
    #[must_use]
    pub fn sites(&self) -> Vec<(&str, &Arc<HostedSite>, Option<&HostName>)> {
        let site = |host: &str| match self.hosts.get(host) {
            Some(HostRole::Site(site)) => Some(site),
            _ => None,
        };
        let listed = self.hosts.iter().filter_map(|(host, role)| match role {
            HostRole::Site(site) => Some((&**host, site, None)),
            HostRole::Redirect(to) => Some((&**host, site(to.as_str())?, Some(to))),
            _ => None,
        });
        let mut all: Vec<_> = listed.collect();
        all.sort_unstable_by_key(|(host, ..)| *host);
        all
    }

    /// The site that serves this name, whichever version of it.
    #[must_use]
    pub fn site_of(&self, name: &ManifestName) -> Option<&Arc<HostedSite>> {
        let serves = |site: &&Arc<HostedSite>| site.target.as_ref().is_some_and(|target| target.name == *name);
        let on_hosts = self.hosts.values().filter_map(|role| match role {
            HostRole::Site(site) => Some(site),
            _ => None,
        });
        on_hosts
            .chain(self.previews.values().flat_map(|domain| &domain.sites))
            .filter(serves)
            .min_by(|one, other| one.id.cmp(&other.id))
    }

    /// Where versions of this name are previewed: the domain, what stands behind the marker of their hosts' labels, and
    /// the site.
    #[must_use]
    pub fn previews_of(&self, name: &ManifestName) -> Option<(&str, String, &Arc<HostedSite>)> {
        let found = self.previews.iter().filter_map(|(domain, previews)| {
            let (label, site) = previews.label_of(name)?;
            Some((&**domain, label, site))
        });
        found.min_by(|one, other| one.0.cmp(other.0))
    }

    /// What hosts serve of a name.
    pub fn pointed_at<'a>(&'a self, name: &'a ManifestName) -> impl Iterator<Item = &'a Selector> + 'a {
        let targets = self.hosts.values().filter_map(|role| match role {
            HostRole::Site(site) => site.target.as_ref(),
            _ => None,
        });
        targets.filter(move |target| target.name == *name).map(|target| &target.selector)
    }

    /// The canonical hosts of the sites that serve this name, in order.
    #[must_use]
    pub fn hosts_of(&self, name: &ManifestName) -> Vec<&str> {
        let serves = |role: &HostRole| match role {
            HostRole::Site(site) => site.target.as_ref().is_some_and(|target| target.name == *name),
            _ => false,
        };
        let mut hosts: Vec<_> = self.hosts.iter().filter(|(_, role)| serves(role)).map(|(host, _)| &**host).collect();
        hosts.sort_unstable();
        hosts
    }
}

/// The hosts that were attached through the API, as far as they serve. Those of a [`HostTable`] count more.
#[derive(Debug, Clone, Default)]
pub struct AttachedRoles {
    /// What each stands for: a site, or another name of one.
    pub roles: HashMap<Box<str>, HostRole>,
    /// What they were made from, to tell whether they are still current.
    pub source: u64,
    /// The table that they were made for.
    pub table: Arc<HostTable>,
    /// When one of them stops serving.
    pub until: Option<Timestamp>,
}

/// The hosts at present. Clones share the same state.
#[derive(Clone, Default)]
pub struct LiveHosts(Arc<Live>);

#[derive(Default)]
struct Live {
    table: RwLock<Arc<HostTable>>,
    attached: RwLock<Arc<AttachedRoles>>,
    /// Whether any host is listed, so that servers without sites need no lock.
    is_bound: AtomicBool,
}

impl From<HostTable> for LiveHosts {
    fn from(table: HostTable) -> Self {
        let live = Self::default();
        live.replace(table);
        live
    }
}

impl fmt::Debug for LiveHosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.current().fmt(f)
    }
}

impl LiveHosts {
    /// A snapshot of the current table.
    #[must_use]
    pub fn current(&self) -> Arc<HostTable> {
        Arc::clone(&self.0.table.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the table for all clones.
    pub fn replace(&self, table: HostTable) {
        let is_bound = !table.hosts.is_empty();
        *self.0.table.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(table);
        self.0.is_bound.store(is_bound, Ordering::Release);
    }

    /// As [`HostTable::find`].
    #[must_use]
    pub fn find(&self, host: Option<&str>) -> HostRole {
        if !self.0.is_bound.load(Ordering::Acquire) {
            return HostRole::Api;
        }
        let role = self.0.table.read().unwrap_or_else(PoisonError::into_inner).find(host);
        match (role, host) {
            (HostRole::Unlisted, Some(host)) => self.attached().roles.get(host).cloned().unwrap_or(HostRole::Unlisted),
            (role, _) => role,
        }
    }

    /// As [`HostTable::find`], by the configuration alone.
    #[must_use]
    pub fn configured(&self, host: Option<&str>) -> HostRole {
        self.current().find(host)
    }

    /// The hosts that were attached.
    #[must_use]
    pub fn attached(&self) -> Arc<AttachedRoles> {
        Arc::clone(&self.0.attached.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the hosts that were attached, for all clones.
    pub fn attach(&self, attached: AttachedRoles) {
        *self.0.attached.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(attached);
    }

    /// As [`HostTable::has_certificate`].
    #[must_use]
    pub fn has_certificate(&self, host: &str) -> bool {
        let current = self.current();
        current.has_certificate(host)
            || (current.is_bound() && current.find(Some(host)) == HostRole::Unlisted)
                && self.attached().roles.contains_key(host)
    }

    /// The hosts that serve this name, in order: canonical ones of the configuration, and attached ones.
    #[must_use]
    pub fn hosts_of(&self, name: &ManifestName) -> Vec<String> {
        let current = self.current();
        let attached = self.attached();
        let serves = |role: &HostRole| match role {
            HostRole::Site(site) => site.target.as_ref().is_some_and(|target| target.name == *name),
            _ => false,
        };
        let counts = |host: &str| current.is_bound() && current.find(Some(host)) == HostRole::Unlisted;
        let own = attached.roles.iter().filter(|(host, role)| serves(role) && counts(host));
        let mut hosts: Vec<String> = current.hosts_of(name).into_iter().map(str::to_owned).collect();
        hosts.extend(own.map(|(host, _)| host.to_string()));
        hosts.sort_unstable();
        hosts
    }

    /// Whether requests to a host are for the interface to releases.
    #[must_use]
    pub fn is_api(&self, host: Option<&str>) -> bool {
        !self.0.is_bound.load(Ordering::Acquire)
            || self.0.table.read().unwrap_or_else(PoisonError::into_inner).is_api(host)
    }

    /// Whether a host is one below a domain for previews.
    #[must_use]
    pub fn is_preview(&self, host: Option<&str>) -> bool {
        self.0.is_bound.load(Ordering::Acquire)
            && self.0.table.read().unwrap_or_else(PoisonError::into_inner).is_preview(host)
    }
}
