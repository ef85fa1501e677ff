//! What attached hosts stand for.

use std::sync::Arc;

use jiff::Timestamp;

use crate::domain::attached::{Claim, ends_of_circles};
use crate::domain::hosts::{AttachedRoles, HostRole, HostTable, HostedSite};
use crate::domain::site::{HostName, SiteId};
use crate::protocol::HostState;

/// What logs and metrics call the sites of attached hosts whose names have no configured site.
const ATTACHED: &str = "attached";

/// The roles of all hosts that serve at this time. Of redirects that lead in a circle, one serves what its name has.
pub(super) fn roles(state: &HostState, table: Arc<HostTable>, now: Timestamp) -> AttachedRoles {
    let is_configured = |host: &HostName| table.find(Some(host.as_str())) != HostRole::Unlisted;
    let ends = ends_of_circles(state.hosts.serving(now).filter(|(host, _)| !is_configured(host)));
    let role = |host: &HostName, claim: &Claim| match &claim.redirect_to {
        Some(to) if !ends.contains(host) => HostRole::Redirect(to.clone()),
        _ => HostRole::Site(Arc::new(site(claim, &table))),
    };
    let roles = state.hosts.serving(now).map(|(host, claim)| (host.as_str().into(), role(host, claim))).collect();
    let until = state.hosts.next_end(now);
    AttachedRoles { roles, source: state.generation, table, until }
}

fn site(claim: &Claim, table: &HostTable) -> HostedSite {
    let known = table.site_of(&claim.target.name).map(|site| site.id.clone());
    let id: SiteId = known.unwrap_or_else(|| ATTACHED.parse().expect("this is a legal id"));
    HostedSite {
        id,
        target: Some(claim.target.clone()),
        names: Vec::new(),
        has_public_previews: false,
        has_preview_certificates: false,
    }
}
