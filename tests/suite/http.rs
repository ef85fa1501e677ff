//! The HTTP interface, over real sockets.

mod access;
mod blobs;
mod cached;
mod credentials;
mod files;
mod gone;
mod json;
mod limits;
mod manifests;
mod pages;
mod paths;
mod public_url;
mod refs;
mod sessions;
mod slow;
mod unread;
mod uploads;
mod versions;
