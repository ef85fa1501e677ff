//! Marks for tokens: of identity tokens that were used (`tmp/jti/<id>`), and of exchanged ones that were revoked
//! (`tmp/revoked/<id>`).
//!
//! Creating a mark is what decides: of all servers of a store that are given one token, exactly one creates it.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use jiff::{SignedDuration, Timestamp};

use super::documents::{self, Creation};
use crate::layout::{self, AreaPath, LayoutKey};
use crate::store::{Key, List, ObjectStore, StoreError, StoreErrorKind};

/// How long marks are kept, by the store's time stamps: longer than any token counts that they could be about. Identity
/// tokens may be a day old at most.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(26);
/// Marks deleted per call.
const BATCH: usize = 128;
/// Size of a mark's random content, in hex digits.
const CONTENT: u64 = 32;

/// The kinds of marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenMark {
    /// An identity token was used.
    Used,
    /// An exchanged token was revoked.
    Revoked,
}

impl TokenMark {
    fn area(self) -> &'static str {
        match self {
            Self::Used => "jti",
            Self::Revoked => "revoked",
        }
    }
}

/// The marks in a store.
#[derive(Debug, Clone)]
pub struct TokenMarks(Arc<dyn ObjectStore>);

impl TokenMarks {
    /// The marks in `store`.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self(store)
    }

    /// Creates a mark, durably. `false` if it was there before. `id` consists of hex digits.
    ///
    /// # Errors
    /// When the store fails: the mark may or may not have been created.
    pub async fn set(&self, mark: TokenMark, id: &str) -> Result<bool, StoreError> {
        let mut random = [0; 16];
        let failed = |error| StoreError::new(StoreErrorKind::Internal, "random numbers", error);
        getrandom::fill(&mut random).map_err(failed)?;
        // Tells one's own mark from another's where the reply was lost.
        let content = Bytes::from(hex::encode(random));
        let is_own = |stored: &Bytes| Ok::<_, StoreError>(*stored == content);
        let created = documents::create(&*self.0, &key(mark, id)?, content.clone(), CONTENT, is_own).await?;
        Ok(created == Creation::Own)
    }

    /// Whether there is such a mark.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn is_set(&self, mark: TokenMark, id: &str) -> Result<bool, StoreError> {
        Ok(self.0.head(&key(mark, id)?).await?.is_some())
    }

    /// Deletes marks about tokens that cannot count any more. Returns how many there were.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn forget_old(&self, now: Timestamp) -> Result<usize, StoreError> {
        let mut deleted = 0;
        for mark in [TokenMark::Used, TokenMark::Revoked] {
            let Some(prefix) = layout::temporary(mark.area()) else { continue };
            let mut old = Vec::new();
            let mut listing = self.0.list(&prefix, List::default());
            while let Some(meta) = listing.try_next().await? {
                if now.duration_since(meta.modified) >= KEPT_FOR {
                    old.push(meta.key);
                }
            }
            for batch in old.chunks(BATCH) {
                self.0.delete_all(batch).await?;
            }
            deleted += old.len();
        }
        Ok(deleted)
    }
}

fn key(mark: TokenMark, id: &str) -> Result<Key, StoreError> {
    let path =
        Some(id).filter(|id| id.bytes().all(|b| b.is_ascii_hexdigit())).and_then(|id| AreaPath::new(mark.area(), id));
    let illegal = || StoreError::new(StoreErrorKind::Internal, "a mark of a token", "its id is not made of hex digits");
    path.map(|path| LayoutKey::Tmp(path).key()).ok_or_else(illegal)
}
