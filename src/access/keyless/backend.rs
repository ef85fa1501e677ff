//! What keyless publishing needs of the world.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;

use super::tickets::TicketKey;

/// What keyless publishing needs of the world: other servers' documents, and the store. Errors are sentences without a full
/// stop that anybody may read.
#[async_trait]
pub trait KeylessBackend: Send + Sync + fmt::Debug {
    /// A document of at most `limit` bytes, from an address of an issuer. Takes a few seconds at most.
    async fn fetch(&self, url: &str, limit: usize) -> Result<Bytes, String>;

    /// The key with this id, or the one to seal new tokens with. `None` for an id that no key has.
    async fn ticket_key(&self, id: Option<&str>) -> Result<Option<TicketKey>, String>;

    /// Marks an id as used. `false` if it was marked before, by whichever server of the store.
    async fn use_once(&self, id: &str) -> Result<bool, String>;

    /// Marks an exchanged token as revoked.
    async fn revoke(&self, id: &str) -> Result<(), String>;

    /// Whether an exchanged token was revoked, by whichever server of the store.
    async fn is_revoked(&self, id: &str) -> Result<bool, String>;
}
