//! The HTTP interface, over real sockets.

mod access;
mod blobs;
mod cached;
mod files;
mod hidden;
mod json;
mod limits;
mod manifests;
mod pages;
mod paths;
mod refs;
mod sessions;
mod slow;
mod uploads;
mod versions;
