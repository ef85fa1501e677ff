//! Trees of catalogs as tools of the Timeless Stack read them: `.timeless/catalog/MODULE/lineage.tl`.

mod adoption;
pub(super) mod export;
pub(super) mod import;
mod tree;
