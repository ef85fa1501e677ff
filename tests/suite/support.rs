//! What the tests of several areas share.

pub mod ceph;
pub mod children;
pub mod collecting;
pub mod deployment;
pub mod dns;
pub mod faulty;
pub mod frames;
pub mod issuer;
pub mod layout1;
pub mod process;
pub mod raw;
pub mod replicas;
pub mod s3;
pub mod server;
pub mod services;
pub mod signing;
#[cfg(feature = "sigstore")]
pub mod sigstore;
pub mod steps;
pub mod store;
pub mod uploading;
