//! Connections: accepting, watching for inactivity, and serving until they end.

mod accept;
mod activity;
mod deadline;
mod sendfile;

pub(super) use accept::serve;
