//! What a request's host stands for: the interface to releases, a site, a preview of one, or another name of a site.
//!
//! As soon as one host is listed, every other host is nobody's. Without any, all of them are the interface's.

mod addresses;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

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

/// The hosts at present. Clones share the same state.
#[derive(Clone, Default)]
pub struct LiveHosts(Arc<Live>);

#[derive(Default)]
struct Live {
    table: RwLock<Arc<HostTable>>,
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
        self.0.table.read().unwrap_or_else(PoisonError::into_inner).find(host)
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
