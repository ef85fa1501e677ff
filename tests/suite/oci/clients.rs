//! Clients that nobody here wrote: skopeo, podman, buildah, docker, containerd, oras and helm.
//!
//! They are started as root and without systemd, each with a home and a storage of its own. Images are made here, so none
//! of them needs a network.

mod access;
pub mod daemons;
mod matrix;
pub mod place;
pub mod programs;
mod python;
