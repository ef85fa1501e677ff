//! The integration suite: one binary, real sockets, real directories.

#![expect(unreachable_pub, clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should panic")]

mod cli;
mod config;
mod http;
mod openapi;
mod readme;
mod support;
mod tidy;
