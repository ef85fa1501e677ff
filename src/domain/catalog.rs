//! Catalogs: one signed document that lists the releases of a project, in order.
//!
//! The catalog `C` is the name `C/_catalog`, whose manifest carries `catalog.json`, its signatures, and every TUF root
//! (`metadata/N.root.json`) that says which keys may sign it. What is signed are the stored bytes; nothing here ever
//! writes a document again that it read in order to check a signature.
//!
//! Members that this binary does not know are carried: readers ignore them and editors keep them, so that an older
//! client can read, and an older author can edit, what a newer one wrote. What changes the meaning of what is known gets
//! another `type`.

mod bundle;
mod canonical;
mod check;
mod document;
mod key;
mod metadata;
mod name;
mod online;
mod problem;
mod root;
mod selection;
mod signatures;
mod succession;
mod targets;
mod targets_check;

pub use bundle::{
    Bundle, DOCUMENT, MAX_ROOTS, MAX_SIGNATURES, SIGNATURE, root_file, signature_file, targets_file, targets_files,
};
pub use canonical::canonical;
pub use check::{MAX_DOCUMENT, check, check_times};
pub use document::{Document, Item, Release, Replay, TYPE};
pub use key::PublicKey;
pub use metadata::{Metadata, NewMetadata};
pub use name::{CatalogName, CatalogNameError, Coordinate, CoordinateError};
pub use online::{Slot, snapshot, timestamp};
pub use problem::{Problem, Problems, Rule, quote};
pub use root::{Role, Root, RootError, new_root};
pub use selection::Choice;
pub use signatures::{Anchor, Known, Refusal, Signed, Verified, check_signatures, stated_signer, verify, verify_read};
pub use succession::{added, check_files, follows, precedes};
pub use targets::{MAX_TARGETS, Targets, TargetsError, new_targets, target_path};
pub use targets_check::{check_release_targets, check_targets, check_targets_number};

#[cfg(test)]
mod tests;
