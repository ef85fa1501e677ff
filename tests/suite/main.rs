//! The integration suite: one binary, real sockets, real directories.

mod config;
mod http;
mod support;
