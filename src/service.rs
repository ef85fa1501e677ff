//! The operations behind requests: publish, resolve, manage versions, list names, release notes.
//!
//! Built on [`crate::protocol`]. This module must not depend on HTTP, and must build keys only through
//! [`crate::layout`].

pub mod assets;
pub mod attachments;
pub mod catalogs;
pub mod domains;
pub mod earlier;
pub mod history;
pub mod members;
pub mod names;
pub mod notes;
pub mod publish;
pub mod repositories;
pub mod resolve;
pub mod sites;
pub mod tuf;
pub mod versions;
pub mod wares;

pub use assets::{AssetError, Assets};
pub use attachments::{AttachError, Attached, AttachmentBytes, Attachments};
pub use catalogs::Catalogs;
pub use domains::{DomainError, DomainRequest, Domains, TxtLookup};
pub use earlier::{Earlier, EarlierFile};
pub use history::{Histories, HistoryEntry, HistoryPage, HistoryQuery};
pub use members::{HolderPage, Members};
pub use names::{NamePage, Names};
pub use notes::{Notes, ReleaseNotes};
pub use publish::{ImmutableChanged, Prepared, Publish, PublishError, PublishLimits, Receipt};
pub use repositories::Repositories;
pub use resolve::{Following, LastChange, Resolve, ResolveError, Resolved};
pub use sites::Sites;
pub use tuf::Tuf;
pub use versions::{History, Versions};
