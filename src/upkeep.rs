//! Maintenance of a store by operators and background tasks: collect, verify, scrub, copy, probe.
//!
//! Built on [`crate::protocol`]; must not depend on [`crate::service`] or on HTTP, and must build keys only through
//! [`crate::layout`].

pub mod collect;
pub mod copy_store;
pub mod health;
pub mod probe;
pub mod scrub;
mod seen;
pub mod store_time;
pub mod verify;
pub mod writable;

pub use collect::{Collect, CollectError};
pub use copy_store::CopyStore;
pub use health::Health;
pub use scrub::{Scrub, ScrubOptions};
pub use seen::HeadLoss;
pub use verify::Verify;
