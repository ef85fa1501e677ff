//! Memory for bytes that are gathered until there are enough of them: parts of uploads, manifests, lists of digests.
//!
//! A buffer holds little until much has arrived, so a slow sender occupies little: a few KiB need no grant, then comes a
//! beginning, then all of it at once.
//!
//! # Why there is no deadlock
//! Beginnings and wholes are separate. Who waits for a beginning holds nothing; who waits for a whole holds at most a
//! beginning, for which nobody who has a whole waits. Holders of a whole wait only for their client, which has time
//! limits and loses the grant if it is slow while others wait, or are about to be done with it.

use std::time::Duration;

use super::{Grant, Owner, Shares};

/// Bytes that every buffer may hold without a grant: what its request takes in other memory is more than that.
const UNCOUNTED: u64 = 4 << 10;
/// Maximum size of a buffer, in bytes, that counts as a beginning.
const BEGINNING: u64 = 256 << 10;

/// Memory for buffers, in bytes.
#[derive(Debug, Clone)]
pub struct Memory {
    beginnings: Shares,
    wholes: Shares,
    wait: Duration,
}

/// Why a buffer may not grow, or has to be given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RoomError {
    /// No memory became free in time.
    #[error("no memory was free in time")]
    Busy,
    /// The buffer filled slowly while others waited for its memory.
    #[error("it arrived slowly while others waited for the memory")]
    TooSlow,
}

impl Memory {
    /// So many bytes in all, a quarter of them for beginnings. Buffers wait at most `wait` for memory.
    #[must_use]
    pub fn new(bytes: u64, wait: Duration) -> Self {
        Self { beginnings: Shares::new(bytes / 4), wholes: Shares::new(bytes - bytes / 4), wait }
    }

    /// Bytes for whole buffers. One that is larger takes all of them.
    #[must_use]
    pub fn for_wholes(&self) -> u64 {
        self.wholes.total()
    }

    /// Room for a buffer of `owner`, which is empty.
    #[must_use]
    pub fn room(&self, owner: Owner) -> Room {
        Room { memory: self.clone(), owner, size: 0, grant: None }
    }
}

/// The size that a buffer may have, which follows what has arrived.
#[derive(Debug)]
pub struct Room {
    memory: Memory,
    owner: Owner,
    size: u64,
    grant: Option<Grant>,
}

impl Room {
    /// Bytes that the buffer may hold at present.
    #[must_use]
    pub fn size(&self) -> usize {
        usize::try_from(self.size).unwrap_or(usize::MAX)
    }

    /// Changes on whose account the memory is taken from now on.
    pub fn set_owner(&mut self, owner: Owner) {
        self.owner = owner;
    }

    /// Extends the room to at least `wanted` bytes, and to no more than `whole`, which the buffer will never exceed.
    /// Returns the new size.
    ///
    /// # Errors
    /// [`RoomError::Busy`] if no memory is free in time.
    pub async fn grow(&mut self, wanted: usize, whole: usize) -> Result<usize, RoomError> {
        let (wanted, whole) = (wanted as u64, whole as u64);
        let (shares, size) = match wanted.min(whole) {
            wanted if wanted <= self.size => return Ok(self.size()),
            wanted if wanted <= UNCOUNTED => {
                self.size = UNCOUNTED.min(whole);
                return Ok(self.size());
            }
            wanted if wanted <= BEGINNING => (&self.memory.beginnings, BEGINNING.min(whole)),
            _ => (&self.memory.wholes, whole),
        };
        let grant = shares.take(&self.owner, size, self.memory.wait).await.ok_or(RoomError::Busy)?;
        // The beginning, if there was one, is released: its bytes are part of the whole.
        (self.grant, self.size) = (Some(grant), size);
        Ok(self.size())
    }

    /// Reports how many bytes the buffer holds.
    ///
    /// # Errors
    /// [`RoomError::TooSlow`] if others need the memory more. The buffer should be given up.
    pub fn check(&self, held: usize) -> Result<(), RoomError> {
        let Some(grant) = &self.grant else { return Ok(()) };
        grant.report(held as u64);
        if grant.is_revoked() { Err(RoomError::TooSlow) } else { Ok(()) }
    }

    /// Takes the grant out of the room, which is empty afterwards. The bytes are all there, so it is not revoked from
    /// now on.
    pub fn take(&mut self) -> Option<Grant> {
        self.size = 0;
        let grant = self.grant.take();
        if let Some(grant) = &grant {
            grant.keep();
        }
        grant
    }
}
