//! The registry protocol of container clients, under `/v2/`: what the specification asks for, what each client sends, and
//! the clients themselves.

mod access;
mod attached;
mod blobs;
mod bridge;
mod clients;
mod collected;
mod conformance;
mod crowds;
mod deleted;
mod guide;
pub mod image;
mod recorded;
pub mod registry;
mod sha512;
mod statements;
mod uploads;
