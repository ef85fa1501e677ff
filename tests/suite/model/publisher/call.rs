//! Where a publisher is and what it asks of the store next.

use crate::model::bits::Bits;
use crate::model::copies::Bytes;

/// Where a publisher is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// It has nothing left to do.
    Done,
    /// It stores its manifest.
    Put,
    /// P1.
    Prepare,
    /// P2 for the manifest itself.
    Manifest,
    /// P2 for the blobs.
    Blobs,
    /// P3.
    Commit,
    /// It gives its version up.
    Abort,
    /// An upload.
    Upload,
    /// An upload's second look.
    Look,
    /// P2 goes on to what a manifest names that this one names.
    Child,
    /// A change that is not about publishing.
    Other,
    /// A deletion by digest looks for manifests that name what it is to delete.
    Parents,
    /// It may not delete: an index needs it.
    Kept,
    /// It could not commit because its version had been given up.
    Refused,
    /// A session whose blobs were all there or uploaded finds one missing before it commits.
    Short,
    /// It takes damaged bytes away.
    Discard,
}

/// A call to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    Nothing,
    /// Ends the operation; no call.
    Finish,
    /// Lists any digest of those that are left to check.
    ListAny,
    /// Lists the digest.
    List,
    Condemn(u8),
    Delete(u8),
    /// Creates the target generation from bytes at hand.
    Create,
    Copy {
        from: u8,
        to: u8,
    },
    /// The second half of a slow copy.
    Paste {
        to: u8,
        bytes: Bytes,
    },
    ReadHead,
    CreateHead,
    /// Reads the bytes of a manifest that it does not have at hand.
    Read(u8),
    /// Creates the entry by which its version is found from this manifest.
    Enter(u8),
    /// Lists the entries of the manifest that it is to delete.
    ListEntries,
    /// Reads how often bytes were discarded.
    ReadCount,
    /// Reads the head, to know what the active version has.
    ReadActive,
    /// Counts that it discards a generation.
    Count(u8),
}

impl Call {
    pub fn pack(self, bits: &mut Bits) {
        let (call, one, other) = match self {
            Self::Nothing => (0, 0, 0),
            Self::Finish => (1, 0, 0),
            Self::ListAny => (2, 0, 0),
            Self::List => (3, 0, 0),
            Self::Condemn(generation) => (4, generation, 0),
            Self::Delete(generation) => (5, generation, 0),
            Self::Create => (6, 0, 0),
            Self::Copy { from, to } => (7, from, to),
            Self::Paste { to, bytes } => (8, bytes as u8, to),
            Self::ReadHead => (9, 0, 0),
            Self::CreateHead => (10, 0, 0),
            Self::Read(manifest) => (11, manifest, 0),
            Self::Enter(manifest) => (12, manifest, 0),
            Self::ListEntries => (13, 0, 0),
            Self::ReadCount => (14, 0, 0),
            Self::ReadActive => (15, 0, 0),
            Self::Count(generation) => (16, generation, 0),
        };
        bits.put(call, 5);
        bits.put(one, 3);
        bits.put(other, 3);
    }
}
