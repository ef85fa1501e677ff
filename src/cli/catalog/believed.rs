//! A catalog that was verified.

use crate::client::{Client, StoredCatalog};
use crate::domain::catalog::{Anchor, Verified};

/// A catalog that is to be believed.
#[derive(Debug)]
pub(super) struct Believed {
    pub(super) stored: StoredCatalog,
    pub(super) verified: Verified,
    /// The keys by which it was verified.
    pub(super) anchor: Anchor,
    /// Whether it is what a copy was kept of already.
    pub(super) is_kept: bool,
}

impl Believed {
    /// The serial of the document.
    pub(super) fn serial(&self) -> u64 {
        self.verified.document.serial
    }

    /// A client that reads what the catalog lists from its mirrors as well.
    pub(super) async fn reader(&self, client: &Client) -> Client {
        client.with_mirrors(&self.verified.document.mirrors).await
    }
}
