//! What tests are made of.

pub mod process;
pub mod raw;
pub mod server;
