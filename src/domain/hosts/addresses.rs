//! Where a version can be seen: the hosts that serve it, and its preview.

use super::super::site::{Marker, PreviewLabel};
use super::super::{ManifestName, Selector, State, VersionRow};
use super::{HostRole, HostTable, HostedSite, PreviewDomain};

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

impl PreviewDomain {
    /// The site by which a name has hosts below the domain, and the first label of this one of them.
    fn label_of(&self, name: &ManifestName, marker: Marker) -> Option<(&HostedSite, String)> {
        let labels = self.sites.iter().filter_map(|site| {
            let label = match &site.target {
                Some(target) if target.name == *name => PreviewLabel::of_site(marker, &site.id),
                Some(_) => return None,
                None => PreviewLabel::encode(marker, name),
            };
            Some((&**site, label.ok()?.to_string()))
        });
        // A label that stands for something else is another site's.
        labels.into_iter().find(|(site, label)| {
            self.locate(label).is_some_and(|found| *found.site == **site && found.target.name == *name)
        })
    }
}

impl HostTable {
    /// The addresses of a version of a name. Of the hosts, those that serve what is active, and those that serve the version
    /// by its number: what other selectors stand for, the row does not say.
    #[must_use]
    pub fn addresses_of(&self, name: &ManifestName, row: &VersionRow) -> SiteAddresses {
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
        let serving = self.hosts.iter().filter(|(_, role)| serves(role)).map(|(host, _)| host.to_string());
        let mut hosts: Vec<String> = serving.collect();
        hosts.sort_unstable();
        let previews = self.previews.iter().filter_map(|(domain, previews)| {
            let (site, label) = previews.label_of(name, Marker::Version(row.number))?;
            Some((format!("{label}.{domain}"), site.has_public_previews))
        });
        let (preview, public) = previews.min().unzip();
        SiteAddresses { hosts, preview, has_public_preview: public.unwrap_or_default() }
    }
}
