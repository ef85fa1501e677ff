//! What the tests of several areas share.

pub mod store;
