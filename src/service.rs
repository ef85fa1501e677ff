//! What a request asks for: publish, resolve, look after versions, list names.
//!
//! Built on [`crate::protocol`]. Must never know about HTTP, and never build a key by hand.

pub mod names;
pub mod publish;
pub mod resolve;
pub mod versions;

pub use names::{NamePage, Names};
pub use publish::{Prepared, Publish, PublishError, PublishLimits, Receipt};
pub use resolve::{Resolve, ResolveError, Resolved};
pub use versions::{History, Versions};
