//! The storage protocol: the meaning of stored objects, and the order in which they are created and deleted.
//!
//! The code that keeps the crate's promise is here; `docs/protocol.md` says how the parts fit together. This module
//! must not depend on HTTP, and must build keys only through [`crate::layout`].

mod absences;
pub(crate) mod aliases;
pub mod blobs;
pub mod chunks;
pub mod documents;
pub(crate) mod flights;
pub mod heads;
pub mod host_log;
mod key_ring;
pub(crate) mod listing;
pub mod log;
pub(crate) mod long_work;
pub mod manifests;
pub(crate) mod marks;
mod members;
mod membership;
mod token_marks;
pub mod uploads;
mod wares;

pub use aliases::AliasIndex;
pub use blobs::{BlobCache, BlobError, BlobIntake, BlobUpload, Blobs, Damaged, Incoming, LateUpload};
pub use chunks::{ChunkAppend, ChunkError, ChunkLimits, ChunkedUpload, Chunks};
pub use heads::{AsOf, ChangeError, Changed, Heads};
pub use host_log::{HostChangeError, HostLog, HostState};
pub use key_ring::{DerivedKey, KeyRing};
pub use manifests::{Closure, LoadedManifest, ManifestWalk, Manifests};
pub use members::MemberIndex;
pub use membership::{Holding, Member, Membership};
pub use token_marks::{TokenMark, TokenMarks};
pub use uploads::{Append, UploadError, UploadLimits, Uploads};
pub use wares::{WareRecord, WareRecords};
