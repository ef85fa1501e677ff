//! Larder.
pub mod access;
pub mod clock;
pub mod config;
pub mod domain;
pub mod layout;
pub mod service;
pub mod store;
