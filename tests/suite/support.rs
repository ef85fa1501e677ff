//! What tests are made of.

pub mod raw;
pub mod server;
