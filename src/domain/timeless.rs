//! What the tools of the Timeless Stack read of a catalog: lineages, lists of mirrors, warehouses, and replays.
//!
//! Lineages and lists of mirrors are written byte for byte as `reach catalog lint --rewrite` writes them, because that
//! tool compares them so. They are derived: what is signed is the catalog's document.

mod lineage;
mod mirrors;
mod replay;
mod text;
mod warehouse;

pub use lineage::{LINEAGE_FILE, Lineage, LineageRelease};
pub use mirrors::{MIRRORS_FILE, Mirrors};
pub use replay::{MAX_MODULE, Mismatch, Module};
pub use warehouse::{WarePath, holders, packed_kinds};

#[cfg(test)]
mod tests;
