//! `[[sites]]`: releases that are served as sites under hosts of their own.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Config, PublicUrl};
use crate::domain::hosts::{HostRole, HostTable, HostedSite};
use crate::domain::site::{HostName, SiteId};
use crate::domain::{NamePattern, Policies, Reads, Target};

/// `[[sites]]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Site {
    /// What logs, metrics and the hosts of previews call it.
    pub id: SiteId,
    /// The hosts that serve it. The first one is canonical.
    #[serde(default)]
    pub hosts: Vec<HostName>,
    /// Hosts that redirect to the canonical one.
    #[serde(default)]
    pub redirect_hosts: Vec<HostName>,
    /// `NAME[@SELECTOR]`: what the hosts serve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Target>,
    /// Patterns of names whose versions have preview hosts, in place of `name`.
    #[serde(default)]
    pub names: Vec<NamePattern>,
    /// Hosts of single versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previews: Option<Previews>,
}

/// `[sites.previews]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Previews {
    /// The domain below which each version has a host.
    pub domain: HostName,
    /// Who may read them.
    #[serde(default = "token")]
    pub read: Reads,
    /// Whether `/tls/ask` allows a certificate for each of them.
    #[serde(default)]
    pub on_demand: bool,
}

fn token() -> Reads {
    Reads::Token
}

impl Site {
    fn hosted(&self) -> Arc<HostedSite> {
        let previews = self.previews.as_ref();
        Arc::new(HostedSite {
            id: self.id.clone(),
            target: self.name.clone(),
            names: self.names.clone(),
            has_public_previews: previews.is_some_and(|previews| previews.read == Reads::Public),
            has_preview_certificates: previews.is_some_and(|previews| previews.on_demand),
        })
    }

    fn validate(&self, policies: &Policies, problems: &mut Vec<String>) {
        let mut problem = |text: &str| problems.push(format!("sites: {} {text}", self.id));
        match (&self.name, self.names.is_empty()) {
            (None, true) => problem("needs name, or names for previews only"),
            (Some(_), false) => problem("has both name and names: make two sites of it"),
            _ => {}
        }
        if self.name.is_none() && !self.hosts.is_empty() {
            problem("has hosts, so it needs name, which says what they serve");
        }
        if self.hosts.is_empty() && !self.redirect_hosts.is_empty() {
            problem("has redirect_hosts and no hosts that they could redirect to");
        }
        if self.hosts.is_empty() && self.previews.is_none() {
            problem("has neither hosts nor previews");
        }
        let Some(target) = &self.name else { return };
        let policy = policies.of(&target.name);
        if policy.read == Reads::Token && !self.hosts.is_empty() {
            let name = &target.name;
            problem(&format!(
                "would show everybody {name}, which is read = \"token\" by [[names]]: set read = \"public\" for it, or \
                 leave hosts out and use previews"
            ));
        }
        if !policy.follow.is_empty() && !target.explicit {
            problem(
                "follows other names by its policy, which sites do not: use NAME@active, or the name that it follows",
            );
        }
    }
}

/// The hosts of the configuration. Of a host that is listed twice the first role counts.
pub(super) fn table(config: &Config) -> HostTable {
    let mut table = HostTable::default();
    for host in &config.server.api_hosts {
        let _ = table.add(host, HostRole::Api);
    }
    for site in &config.sites {
        let hosted = site.hosted();
        for host in &site.hosts {
            let _ = table.add(host, HostRole::Site(Arc::clone(&hosted)));
        }
        if let Some(canonical) = site.hosts.first() {
            for host in &site.redirect_hosts {
                let _ = table.add(host, HostRole::Redirect(canonical.clone()));
            }
        }
        if let Some(previews) = &site.previews {
            table.add_previews(&previews.domain, hosted);
        }
    }
    table
}

pub(super) fn validate(config: &Config, policies: &Policies, problems: &mut Vec<String>) {
    let (sites, api_hosts) = (&config.sites, &config.server.api_hosts);
    for (at, site) in sites.iter().enumerate() {
        site.validate(policies, problems);
        if sites.iter().take(at).any(|other| other.id == site.id) {
            problems.push(format!("sites: the id {} is used twice", site.id));
        }
    }
    if !sites.is_empty() && api_hosts.is_empty() {
        let text = "server.api_hosts must list the hosts of this interface as soon as there are sites, such as \
                    api_hosts = [\"releases.example.org\"]";
        problems.push(text.to_owned());
    }
    let public = config.server.public_url.as_ref().and_then(public_host);
    if let Some(host) = public.filter(|host| !api_hosts.is_empty() && !api_hosts.contains(host)) {
        problems.push(format!("the host of server.public_url, {host}, must be one of server.api_hosts"));
    }
    overlaps(config, problems);
    domains(sites, problems);
}

fn public_host(url: &PublicUrl) -> Option<HostName> {
    url.origin().split_once("://")?.1.parse().ok()
}

/// A host is exactly one thing.
fn overlaps(config: &Config, problems: &mut Vec<String>) {
    let api = config.server.api_hosts.iter().map(|host| (host, "server.api_hosts".to_owned()));
    let sites = config.sites.iter().flat_map(|site| {
        let hosts = site.hosts.iter().map(|host| (host, format!("hosts of site {}", site.id)));
        hosts.chain(site.redirect_hosts.iter().map(|host| (host, format!("redirect_hosts of site {}", site.id))))
    });
    let mut taken: HashMap<&HostName, String> = HashMap::new();
    for (host, place) in api.chain(sites) {
        for previews in config.sites.iter().filter_map(|site| site.previews.as_ref()) {
            if host.label_below(&previews.domain).is_some() {
                let domain = &previews.domain;
                problems
                    .push(format!("{host} of {place} is below {domain}, which is for previews only: move one of them"));
                break;
            }
        }
        if let Some(other) = taken.get(host) {
            problems
                .push(format!("{host} is in {other} and in {place}: a host serves one thing, so remove one of them"));
        } else {
            taken.insert(host, place);
        }
    }
}

/// What the label of a preview means must be certain.
fn domains(sites: &[Site], problems: &mut Vec<String>) {
    let with_previews = || sites.iter().filter_map(|site| Some((site, &site.previews.as_ref()?.domain)));
    for (at, (site, domain)) in with_previews().enumerate() {
        let others = with_previews().take(at).filter(|(_, other)| *other == domain);
        for (other, _) in others.filter(|(other, _)| site.name.is_none() || other.name.is_none()).take(1) {
            problems.push(format!(
                "sites: {} and {} have previews below {domain}: a site with names needs a domain of its own",
                other.id, site.id
            ));
        }
    }
}

#[cfg(test)]
mod tests;
