//! The integration suite: one binary, real sockets, real directories.

mod http;
mod support;
