//! Identifiers of wares that are tars: computed from the files inside, however they are ordered and compressed.
//!
//! The hash covers files and directories: names, permissions, owners, times and contents. **It does not cover links,
//! devices and FIFOs**: two archives that differ only in where a link leads have the same identifier, because that is how
//! the Timeless Stack defines it. So it never stands in for the digest of the bytes.
//!
//! Archives are read as Go's `archive/tar` reads them, which the tools of the Timeless Stack use. Three things are
//! refused that it accepts: sparse files in the PAX format, paths of more than 4096 bytes, and paths whose parent is no
//! directory.

mod archive;
mod checks;
mod header;
mod limits;
mod pax;
mod scan;
mod source;
mod stream;
mod tree;

pub use checks::{WareCheckError, WareChecks};
pub use limits::{ScanError, ScanLimits};
pub use scan::{Scanned, scan};
pub use stream::scan_stream;
