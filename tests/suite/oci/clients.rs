//! Clients that nobody here wrote: skopeo, podman, buildah, docker, containerd, oras and helm.
//!
//! They are started as root and without systemd, each with a home and a storage of its own. Images are made here, so none
//! of them needs a network.

mod access;
mod daemons;
mod matrix;
mod place;
mod programs;
mod python;
