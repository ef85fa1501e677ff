//! File descriptors: as many as connections may need.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::reserve::RESERVE;

/// File descriptors of a server without connections, rounded up.
const OTHERS: usize = 64;

/// Connections that are served at once, however few files may be open.
const FEWEST: usize = 8;

/// Raises the limit on open files to the most that is allowed. Returns how many connections it suffices for, at most
/// `max_connections`, and warns if those are fewer.
pub(super) fn provide_for(max_connections: usize) -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = current.is_some() && setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_ok();
    let allowed = if raised { maximum } else { current };
    // One for the socket and one for the file that is sent or received.
    let needed = max_connections.saturating_mul(2).saturating_add(RESERVE + OTHERS) as u64;
    let Some(allowed) = allowed.filter(|allowed| *allowed < needed) else { return max_connections };
    let fit = usize::try_from(allowed.saturating_sub((RESERVE + OTHERS) as u64) / 2).unwrap_or(max_connections);
    let connections = fit.max(FEWEST).min(max_connections);
    tracing::warn!(
        allowed,
        needed,
        connections,
        "fewer files may be open than server.max_connections needs, so fewer connections are served at once: raise the \
         limit (ulimit -n, LimitNOFILE=) or lower server.max_connections"
    );
    connections
}
