//! What the tests of several areas share.

pub mod children;
pub mod faulty;
pub mod services;
pub mod steps;
pub mod store;
