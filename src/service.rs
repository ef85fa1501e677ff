//! Use cases over the store: publish, resolve, look after versions and names, verify.
//!
//! Owns the storage protocol (see the crate's documentation). Must never know about HTTP, and never build a key
//! by hand.

pub mod blobs;
pub mod collect;
pub mod copy_store;
mod flights;
pub mod heads;
pub mod manifests;
pub mod names;
pub mod probe;
pub mod publish;
pub mod resolve;
pub mod uploads;
pub mod verify;
pub mod versions;

pub use blobs::{BlobCache, BlobError, BlobUpload, Blobs, Intake};
pub use collect::{Collect, CollectError};
pub use copy_store::CopyStore;
pub use heads::{AsOf, ChangeError, Changed, Heads};
pub use manifests::{Loaded, Manifests};
pub use names::{NamePage, Names};
pub use publish::{Prepared, Publish, PublishError, PublishLimits, Receipt};
pub use resolve::{Resolve, ResolveError, Resolved};
pub use uploads::{Append, UploadError, UploadLimits, Uploads};
pub use verify::Verify;
pub use versions::{History, Versions};
