//! What a run of the model consists of: who does what, what is there from the start, and which rule is broken.

use super::bits::last;
use super::copies::Copies;
use super::manifests::Manifest;

pub const NAMES: usize = 2;
pub const DIGESTS: usize = 4;
pub const PUBLISHERS: usize = 2;
pub const COLLECTORS: usize = 3;

/// A rule that the model can be told to break, to show that it would notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    Nothing,
    /// A sweep takes the tombstone away with the bytes, so that the number is given out again.
    ReuseGenerations,
    /// The sweep believes the first mark.
    NoSecondMark,
    /// A publisher checks its blobs before it creates the head that makes them roots.
    CheckBeforeRoot,
    /// What turns out to be live is saved by taking the tombstone away.
    WithdrawTombstones,
    /// A prepared version past its time-out just does not count, without a head that ends it.
    AbortWithoutHead,
    /// A head is written over whatever is there.
    OverwriteHeads,
    /// A publisher believes in its copy, also when there was nothing left to copy.
    NoSecondLookAfterCopy,
    /// An upload believes in the bytes that it committed.
    NoSecondLookAfterUpload,
    /// A collector believes in the copy that it made. The only one here that nothing rests on.
    NoSecondLookAfterHeal,
    /// A collector copies doomed bytes of a live digest, whatever their length.
    HealCopiesAnyLength,
    /// A collector takes doomed bytes away before it copies them.
    HealDeletesBeforeCopy,
    /// The second mark believes the first about names whose heads are the same, also where a manifest was absent.
    SecondMarkSkipsAbsentManifests,
    /// A publisher that finds its manifest gone puts it back after it has checked the blobs.
    BlobsBeforeManifest,
    /// An upload commits the right bytes before it takes the damaged ones away.
    CommitBeforeBury,
    /// A listing shows some generations of a digest as they were before others.
    TornListings,
    /// The plan leaves out doomed bytes that somebody else's tombstone doomed.
    OnlyOwnTombstones,
    /// A publisher checks what a child names before it checks the child: from the bottom up.
    BottomUp,
    /// A collector keeps the manifests that a manifest names, but does not read them.
    ChildrenNotFollowed,
    /// The second mark passes over hidden logs.
    HiddenLogsForgotten,
    /// A manifest is found by its digest as soon as a version with an entry is prepared.
    MembersBeforeCommit,
    /// A collector deletes the entries of all versions that were not there when it marked.
    NewEntriesDropped,
    /// A publisher adds the entries of its version after the commit.
    EntriesAfterCommit,
    /// A publisher relies on what any version was found to have, whether that is still active or not.
    KnownFromAnyVersion,
    /// A publisher relies on looks from before bytes were discarded.
    DiscardsNotCompared,
    /// Who discards bytes counts that afterwards.
    CountAfterDelete,
    /// Who discards bytes counts that before anybody can see that they are doomed.
    CountBeforeTombstone,
}

/// What a publisher does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// Uploads a blob.
    Upload { digest: u8 },
    /// Publishes a manifest whose blobs should be there, in one request; if they are not, the version is aborted.
    Publish { name: u8, manifest: u8 },
    /// Prepares a version, or takes up one that is prepared already; uploads what is missing; commits.
    Session { name: u8, manifest: u8 },
    /// Makes the newest archived version active again.
    Rollback { name: u8 },
    /// Retires everything.
    Delete { name: u8 },
    /// Deletes a tag: no version is active any more, all of them stay.
    Withdraw { name: u8 },
    /// Deletes a manifest by its digest: retires all versions of it, unless a manifest that names it is found.
    DeleteDigest { manifest: u8 },
    /// Reads the bytes of a digest and takes those away that are damaged.
    Discard { digest: u8 },
}

/// What there is at the start and what everybody does. The clock may say anything at any time.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "independent parts of a world")]
pub struct Setup {
    pub title: &'static str,
    pub names: u8,
    /// The names that are hidden logs: a set.
    pub hidden: u8,
    /// Whether versions are found by the digests of their manifests.
    pub by_digest: bool,
    pub manifests: Vec<Manifest>,
    pub stock: [Copies; DIGESTS],
    pub scripts: [Vec<Op>; PUBLISHERS],
    /// How many runs each collector makes.
    pub runs: [u8; COLLECTORS],
    /// Whether collectors may find versions due, whenever they look.
    pub expiry: bool,
    /// Whether collectors may find bytes too young, whenever they look.
    pub young: bool,
    /// Whether publishers do not look at what they know the active version to have. Only for flat manifests and publishes
    /// in one request.
    pub follows: bool,
    /// Whether damaged bytes have the right length, so that only who reads them notices.
    pub same_length: bool,
    /// Whether a copy reads its source some time before its target appears.
    pub slow_copies: bool,
    /// The events that must be possible for the setup to mean anything: names of properties.
    pub reaches: &'static [&'static str],
    pub broken: Broken,
}

impl Setup {
    pub fn breaks(&self, rule: Broken) -> bool {
        self.broken == rule
    }

    pub fn manifest(&self, manifest: u8) -> Manifest {
        self.manifests[usize::from(manifest)]
    }

    pub fn is_hidden(&self, name: u8) -> bool {
        self.hidden & 1 << name != 0
    }

    pub fn has_sessions(&self) -> bool {
        self.scripts.iter().flatten().any(|op| matches!(op, Op::Session { .. }))
    }

    pub fn has_uploads(&self) -> bool {
        self.has_sessions() || self.scripts.iter().flatten().any(|op| matches!(op, Op::Upload { .. }))
    }

    pub fn has_damage(&self) -> bool {
        self.stock.iter().any(|copies| copies.damaged() != 0)
    }

    /// How many digests there are.
    pub fn digests(&self) -> u8 {
        let stocked = (0..DIGESTS).filter(|digest| self.stock[*digest].has_bytes());
        let stocked = stocked.fold(0, |set, digest| set | 1 << digest);
        let uploaded = self.scripts.iter().flatten().fold(0, |set, op| match op {
            Op::Upload { digest } => set | 1 << digest,
            _ => set,
        });
        let all = (0..).zip(&self.manifests).fold(stocked | uploaded, |set, (id, _)| set | self.needs(id));
        last(all).map_or(0, |highest| highest + 1)
    }
}
