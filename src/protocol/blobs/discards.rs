//! Discarding bytes that are proven damaged, and the count of it that every process sees.
//!
//! Nothing else ever takes bytes away that a version needs. A publisher that did not look at a blob because an earlier
//! look found it ([`Blobs::discards`]) compares the count, so that it looks at everything once bytes were discarded since.
//!
//! # Rationale
//! The count is the number of the newest of the objects `tmp/discards/@/…`. They are created one above the newest, and
//! never deleted or overwritten, so the count only grows, and no clock decides anything. There is one for each generation
//! that was ever discarded, as there is a tombstone.
//!
//! For each generation the tombstone comes first, then the count, then the deletion. A look that relied on a generation
//! saw no tombstone, so the count grows after that look began; and once the bytes are gone, it has grown. A publisher that
//! reads the same count before that look and afterwards would still have found the bytes when it read it the second
//! time. If the process dies between the steps, whoever discards the bytes later takes all of them again.

use bytes::Bytes;

use super::Blobs;
use crate::domain::Digest;
use crate::layout::{self, AreaPath, LayoutKey};
use crate::protocol::listing;
use crate::store::{Created, Key, StoreError};

/// The area below `tmp/` that holds the count.
const AREA: &str = "discards";

impl Blobs {
    /// How often bytes were discarded in this store. Costs one listing limited to one.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn discards(&self) -> Result<u64, StoreError> {
        let all = layout::temporary(AREA).expect("the area's name is legal");
        let number = |key| if let LayoutKey::Tmp(path) = key { path.generation() } else { None };
        Ok(listing::first(&*self.store, &all, number).await?.map_or(0, |(number, _)| number))
    }

    async fn count_discard(&self) -> Result<(), StoreError> {
        loop {
            let next = self.discards().await?.saturating_add(1);
            match self.store.create(&counted(next), Bytes::new()).await? {
                Created::New => return Ok(()),
                // Another process counted its own, which may have been before the tombstone of this one.
                Created::AlreadyExists => {}
            }
        }
    }

    /// Condemns and deletes generations that are proven damaged: their length differs from that of bytes just verified,
    /// or a full read gave another digest. Runs before sound bytes are committed: a crash between the two then leaves
    /// the blob missing, which the next upload repairs, instead of two copies of which readers get the wrong one.
    ///
    /// Safe without checking which versions need the blob, because damaged bytes are useless to all of them. Damaged
    /// bytes stay damaged (nothing is overwritten, and the number is never reused), so the age of the proof does not
    /// matter. A reader in progress continues to read, and detects at the end that the bytes do not have their digest.
    ///
    /// The tombstone comes first, so that the number of deleted bytes is never free. Between the two, and for longer if
    /// the process dies there, anything that rescues condemned bytes of the right size (a publisher, an upload, the
    /// collector) may copy the damage to the next generation. Nothing relies on less than before in that case, and
    /// `verify` finds the copy. But the copy may take the number of sound bytes that are about to be committed, so a
    /// caller whose commit reports that they exist already must read what is stored there.
    pub(crate) async fn bury(&self, digest: Digest, damaged: &[u64]) -> Result<(), StoreError> {
        for generation in damaged {
            self.store.create(&LayoutKey::Condemned(digest, *generation).key(), Bytes::new()).await?;
            self.count_discard().await?;
            self.store.delete(&LayoutKey::Blob(digest, *generation).key()).await?;
            if let Some(damaged) = &self.damaged {
                damaged.remove(&digest, *generation);
            }
        }
        Ok(())
    }
}

fn counted(number: u64) -> Key {
    let path = AreaPath::of_state(AREA, number).expect("the area's name is legal");
    LayoutKey::Tmp(path).key()
}
