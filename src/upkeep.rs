//! What operators and background tasks do with a store: collect, verify, copy, try out.
//!
//! Built on [`crate::protocol`]; knows nothing of [`crate::service`]. Must never know about HTTP, and never build a key by
//! hand.

pub mod collect;
pub mod copy_store;
pub mod health;
pub mod probe;
mod seen;
pub mod store_time;
pub mod verify;

pub use collect::{Collect, CollectError};
pub use copy_store::CopyStore;
pub use health::Health;
pub use seen::HeadLoss;
pub use verify::Verify;
