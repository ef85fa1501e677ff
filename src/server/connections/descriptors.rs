//! File descriptors: as many as connections may need.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::reserve::RESERVE;

/// File descriptors of a server without connections, rounded up.
const OTHERS: usize = 64;

/// Raises the limit on open files to the most that is allowed, and warns if that is too few.
pub(super) fn provide_for(max_connections: usize) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = current.is_some() && setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_ok();
    let allowed = if raised { maximum } else { current };
    // One for the socket and one for the file that is sent or received.
    let needed = max_connections.saturating_mul(2).saturating_add(RESERVE + OTHERS) as u64;
    if let Some(allowed) = allowed.filter(|allowed| *allowed < needed) {
        tracing::warn!(
            allowed,
            needed,
            "fewer files may be open than server.max_connections needs: raise the limit (ulimit -n, LimitNOFILE=) or \
             lower server.max_connections; when files run out, connections are closed"
        );
    }
}
