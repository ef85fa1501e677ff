//! The registry protocol of container clients, under `/v2/`: what the specification asks for, what each client sends, and
//! the clients themselves.

mod collected;
mod conformance;
pub mod image;
mod recorded;
mod registry;
