//! The HTTP interface, over real sockets.

mod access;
mod blobs;
mod files;
mod limits;
mod manifests;
mod pages;
mod paths;
mod refs;
mod repeats;
mod sessions;
mod slow;
mod uploads;
mod versions;
