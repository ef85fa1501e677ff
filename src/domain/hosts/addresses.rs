//! Where a version can be seen: the hosts that serve it, and its preview.

use super::super::site::{Marker, PreviewLabel};
use super::super::{ManifestName, Selector, State, VersionRow};
use super::{HostRole, LiveHosts};

/// The addresses of one version of a name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SiteAddresses {
    /// The hosts that serve the version, in order.
    pub hosts: Vec<String>,
    /// The host at which the version is previewed, if there is one.
    pub preview: Option<String>,
    /// Whether the preview can be read without credentials, as far as the configuration says.
    pub has_public_preview: bool,
}

impl LiveHosts {
    /// The addresses of a version of a name. Of the hosts, those that serve what is active, and those that serve the version
    /// by its number: what other selectors stand for, the row does not say.
    #[must_use]
    pub fn addresses_of(&self, name: &ManifestName, row: &VersionRow) -> SiteAddresses {
        let (table, attached) = (self.current(), self.attached());
        let selects = |selector: &Selector| match selector {
            Selector::Active => row.state == State::Active,
            Selector::Number(number) => *number == row.number,
            _ => false,
        };
        let serves = |role: &HostRole| match role {
            HostRole::Site(site) => {
                site.target.as_ref().is_some_and(|target| target.name == *name && selects(&target.selector))
            }
            _ => false,
        };
        let counts = |host: &str| table.is_bound() && table.find(Some(host)) == HostRole::Unlisted;
        let attached = attached.roles.iter().filter(|(host, _)| counts(host));
        let serving = table.hosts.iter().chain(attached).filter(|(_, role)| serves(role));
        let mut hosts: Vec<String> = serving.map(|(host, _)| host.to_string()).collect();
        hosts.sort_unstable();
        let previews = table.previews_of(name).and_then(|(domain, _, site)| {
            let marker = Marker::Version(row.number);
            let label = match &site.target {
                Some(_) => PreviewLabel::of_site(marker, &site.id),
                None => PreviewLabel::encode(marker, name),
            };
            Some((format!("{}.{domain}", label.ok()?), site.has_public_previews))
        });
        let (preview, public) = previews.unzip();
        SiteAddresses { hosts, preview, has_public_preview: public.unwrap_or_default() }
    }
}
