//! The hosts at a server, and what is said of one of them.

use crate::cli::CliError;
use crate::cli::table::text;
use crate::client::Client;
use crate::domain::ManifestName;
use crate::wire::sites::{Challenge, SiteHost, SitePage};

/// All hosts, or those of one name, and where versions of that name are previewed.
pub(super) async fn all(client: &Client, name: Option<&ManifestName>) -> Result<SitePage, CliError> {
    let mut all = client.sites(name, None).await?;
    while let Some(after) = all.next.take() {
        let page = client.sites(name, Some(&after)).await?;
        // A server that keeps repeating the same page must not cause an endless loop.
        all.next = page.next.filter(|next| *next != after);
        all.sites.extend(page.sites);
    }
    Ok(all)
}

/// What a host does, in a line.
pub(super) fn does(host: &SiteHost) -> String {
    match &host.redirect_to {
        Some(to) => format!("redirects to {}", text(Some(to))),
        None => format!("serves {}", text(Some(&host.name))),
    }
}

/// A record as it is written in a zone.
pub(super) fn record(challenge: &Challenge) -> String {
    format!("{}. TXT \"{}\"", text(Some(&challenge.record)), text(Some(&challenge.text)))
}

/// The records that are still to be set, each with what the host is to serve then.
pub(super) fn awaited(host: &SiteHost) -> Vec<(&str, &Challenge)> {
    let own = host.challenge.as_ref().filter(|_| host.state != "live").map(|challenge| (&*host.name, challenge));
    own.into_iter().chain(host.pending.iter().map(|claim| (&*claim.name, &claim.challenge))).collect()
}
