//! Larder.
pub mod cli;
pub mod client;
pub mod clock;
pub mod domain;
pub mod layout;
pub mod store;
