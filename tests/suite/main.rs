//! The integration tests, as one binary.

mod contract;
mod faults;
mod protocol;
mod support;
