//! The index from manifests to the versions that hold them: an entry for each manifest that a version needs, its own or one
//! that is named further down.

use super::heads::VERSIONS;
use super::manifests::MANIFESTS;

/// The entries that exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Entries(u32);

impl Entries {
    fn place(name: u8, number: u8) -> u8 {
        (name * VERSIONS + number) * MANIFESTS
    }

    pub fn add(&mut self, manifest: u8, name: u8, number: u8) {
        self.0 |= 1 << (Self::place(name, number) + manifest);
    }

    pub fn has(self, manifest: u8, name: u8, number: u8) -> bool {
        self.0 & 1 << (Self::place(name, number) + manifest) != 0
    }

    /// Whether a version has any.
    pub fn has_any(self, name: u8, number: u8) -> bool {
        (0..MANIFESTS).any(|manifest| self.has(manifest, name, number))
    }

    /// Deletes those of a version.
    pub fn delete(&mut self, name: u8, number: u8) {
        self.0 &= !(0b1111 << Self::place(name, number));
    }

    pub fn pack(self) -> u32 {
        self.0
    }
}
