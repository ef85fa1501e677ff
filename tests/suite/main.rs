//! The integration suite: one binary, real sockets, real directories.

#![expect(unreachable_pub, clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should panic")]
#![expect(clippy::clone_on_ref_ptr, reason = "what is shared matters less in a test than what it says")]

mod assets;
mod cache;
mod catalogs;
mod cli;
mod clients;
mod collect;
mod config;
mod contract;
mod copy_store;
mod faults;
mod formats;
mod history;
mod http;
mod model;
mod moving;
mod newer;
mod oci;
mod openapi;
mod protocol;
mod races;
mod readme;
mod releases;
mod replicas;
mod running;
mod s3;
mod schedule;
#[cfg(feature = "sigstore")]
mod sigstore;
mod sites;
mod support;
mod tidy;
