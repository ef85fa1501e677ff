//! The integration suite: one binary, real sockets, real directories.

mod config;
mod http;
mod openapi;
mod support;
mod tidy;
