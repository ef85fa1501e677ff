//! Connections: accepting, watching for inactivity, and serving until they end.

mod accept;
mod activity;
mod deadline;
mod held;
mod http2;
mod memory;
mod progress;
mod sendfile;
mod sent;
mod stalled;

pub(super) use accept::serve;
pub(super) use memory::ResponseMemory;
