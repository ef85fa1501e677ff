//! The HTTP interface, over real sockets.

mod access;
mod blobs;
mod cached;
mod crowded;
mod files;
mod framing;
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
