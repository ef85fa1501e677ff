//! Redirects that lead in a circle.

use std::collections::{HashMap, HashSet};

use super::{Claim, HostName};

/// Of the hosts of each circle of redirects, the one that was pointed longest ago: whoever changes the direction of
/// redirects host by host means the newer ones.
#[must_use]
pub fn ends_of_circles<'a>(serving: impl IntoIterator<Item = (&'a HostName, &'a Claim)>) -> HashSet<&'a HostName> {
    let lead = |(host, claim): (&'a HostName, &'a Claim)| Some((host, (claim.at, claim.redirect_to.as_ref()?)));
    let leads: HashMap<_, _> = serving.into_iter().filter_map(lead).collect();
    let (mut ends, mut seen) = (HashSet::new(), HashSet::new());
    for start in leads.keys().copied() {
        let (mut way, mut host) = (Vec::new(), start);
        while let Some((at, next)) = leads.get(host)
            && seen.insert(host)
        {
            way.push((*at, host));
            host = *next;
        }
        // Where the way meets an earlier one, the circle behind it, if there is one, is known.
        let first = way.iter().position(|(_, passed)| *passed == host);
        let end = first.and_then(|first| way[first..].iter().min());
        ends.extend(end.map(|(_, host)| *host));
    }
    ends
}
