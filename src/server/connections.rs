//! Connections: accepted, watched, and served until they end.

mod accept;
mod activity;
mod deadline;
mod sendfile;

pub(super) use accept::serve;
