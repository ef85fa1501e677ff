//! Connections: accepting, choosing which one makes room, watching for inactivity, and serving until they end.

mod accept;
mod activity;
mod client_address;
mod connection_state;
mod deadline;
mod descriptors;
mod direct;
mod eviction;
mod held;
mod http2;
mod memory;
mod metered;
mod progress;
mod refusals;
mod reserve;
mod seldom;
mod sendfile;
mod sent;
mod stalled;
mod table;

pub(super) use accept::serve;
pub(super) use memory::ResponseMemory;
