//! The HTTP interface, over real sockets.

mod access;
mod addresses;
mod blobs;
mod cached;
mod crowded;
mod dates;
mod downloaders;
mod files;
mod framing;
mod hidden;
mod json;
mod limits;
mod manifests;
mod pages;
mod paths;
mod ranges;
mod refs;
mod sessions;
mod shares;
mod slow;
mod slow_readers;
mod streams;
mod uploads;
mod versions;
