//! Larder.
pub mod access;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod domain;
pub mod http;
pub mod layout;
pub mod lifecycle;
pub mod server;
pub mod service;
pub mod store;
pub mod telemetry;
