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

use serde::de::DeserializeOwned;

use super::catalog::MAX_DOCUMENT;
use super::json::{JsonError, strict};

/// Reads a file that is no larger than the documents of catalogs, which say as much.
fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, JsonError> {
    if bytes.len() as u64 > MAX_DOCUMENT {
        return Err(JsonError::Malformed(format!("it has more than {MAX_DOCUMENT} bytes")));
    }
    strict(bytes)
}

#[cfg(test)]
mod tests;
