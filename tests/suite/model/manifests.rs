//! Manifests: their own bytes, the blobs and the manifests that they name, and what follows from that.

use super::bits::members;
use super::setup::Setup;

/// How many manifests a setup may have.
pub const MANIFESTS: u8 = 4;

/// A manifest and what it names.
#[derive(Debug, Clone, Copy)]
pub struct Manifest {
    /// The digest of its own bytes. `None`: they are not modelled and always there.
    pub own: Option<u8>,
    /// The set of digests that it refers to as blobs.
    pub blobs: u8,
    /// The set of manifests that it names, each of which has bytes of its own.
    pub children: u8,
    /// The manifest that it is about, and does not need.
    pub subject: Option<u8>,
}

impl Manifest {
    /// A manifest whose own bytes are not modelled.
    pub const fn flat(blobs: u8) -> Self {
        Self { own: None, blobs, children: 0, subject: None }
    }

    /// A manifest with bytes of its own.
    pub const fn stored(own: u8, blobs: u8) -> Self {
        Self { own: Some(own), ..Self::flat(blobs) }
    }

    /// An index: a manifest that names only manifests.
    pub const fn index(own: u8, children: u8) -> Self {
        Self { children, ..Self::stored(own, 0) }
    }

    /// A manifest about another one.
    pub const fn about(subject: u8, own: u8, blobs: u8) -> Self {
        Self { subject: Some(subject), ..Self::stored(own, blobs) }
    }
}

impl Setup {
    /// The digest of the bytes of a manifest that is named by another.
    pub fn own(&self, id: u8) -> u8 {
        self.manifest(id).own.expect("only a manifest with bytes is named by another")
    }

    /// The digests that a manifest names itself: its blobs and its children's bytes.
    pub fn named(&self, id: u8) -> u8 {
        let manifest = self.manifest(id);
        members(manifest.children).fold(manifest.blobs, |set, child| set | 1 << self.own(child))
    }

    /// The manifest, those that it names, and so on: a set.
    pub fn closure(&self, id: u8) -> u8 {
        members(self.manifest(id).children).fold(1 << id, |set, child| set | self.closure(child))
    }

    /// Every digest that a version with this manifest needs.
    pub fn needs(&self, id: u8) -> u8 {
        self.found(id, &|_| true)
    }

    /// What can be known to be needed when only some digests have bytes: a manifest that has none names nothing.
    pub fn found(&self, id: u8, has_bytes: &dyn Fn(u8) -> bool) -> u8 {
        let manifest = self.manifest(id);
        match manifest.own {
            Some(own) if !has_bytes(own) => 1 << own,
            own => members(manifest.children)
                .fold(manifest.blobs | own.map_or(0, |own| 1 << own), |set, child| set | self.found(child, has_bytes)),
        }
    }
}
