//! Layout 1: how domain values are spelled as keys, and read back. The only place that spells keys.
//!
//! | Key | Content |
//! |---|---|
//! | `layout/<n>` | layout marker; the highest `n` counts |
//! | `layout/copying` | `larder copy-store` is at work on this store, or broke off; removed at its end |
//! | `blobs/sha256/ab/cd/<hex>.<gen>` | bytes of a blob, generation 0, 1, 2 … |
//! | `blobs/sha256/ab/cd/<hex>.<gen>.condemned` | tombstone: this generation may never be relied on again |
//! | `blobs/sha256/ab/cd/<hex>.<gen>.seen-<hour>` | somebody relied on this generation in that hour (since 1970) |
//! | `names/<NAME>@` | this name exists |
//! | `heads/<NAME>@/<generation>` | a head; newest first, see below |
//! | `segments/<NAME>@/<hex>` | rows that no longer fit the head, under the digest of their bytes |
//! | `collector/runs/<u64::MAX - millisecond>-<id>.started` | a run of the collector began; `.plan-<part>` what it is about to delete, `.report` what came of it |
//! | `collector/seen/<u64::MAX - millisecond>-<id>.<number>` | the newest head of every name that a run of the collector saw |
//! | `probe/<random>.<number>` | with what a store is tried out; removed again |
//! | `uploads/<id>.<99999 - number>` | a resumable upload: 0 is how it began, `n` how far it is after part `n`; newest first |
//! | `aux/<area>/…` | small facts that are derived, or settings; only who knows the area knows more. Never a root. A log that an area keeps is `aux/<area>/@/<generation>` |
//! | `tmp/<area>/…` | the same, but of no use to a copy of the store |
//!
//! NAME is the name of a log, a hidden one too ([`LogName`]). Upper-case letters can only occur in the last segment of a
//! manifest name. There they are written in lower case and their positions follow behind a `!`, as a hex mask: `Main` is
//! `main!1`, and a hidden log of it `main!1/@kind/9f`. So two names never share a key, not even on a file system that
//! ignores case. No key is a directory prefix of another, because `@` cannot occur in a manifest name, and `@/` in no
//! log's.
//!
//! A generation below a thousand is `z` and three digits, 999 less the generation; one below a million is `y` and
//! `ddd/ddd`, 999999 less the generation; then `x` with three groups, and so on to `t` with seven. So one listing that is
//! limited to one finds the newest head, the key of the next can be computed, a log with few heads is one directory,
//! and no directory has more than some thousand entries.

mod areas;
pub mod marker;
pub mod migrate;
mod spelling;

use crate::domain::{Digest, LogName, RunId, UploadId};
use crate::store::{Key, Prefix};
use spelling::{parse_generation, parse_name, spell_generation, spell_name};

pub use areas::{AREAS, Area, AreaPath, Copying, Verifying, area_of, is_stranger, states};

/// Every kind of object in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LayoutKey {
    /// A layout marker.
    Marker(u32),
    /// The mark of a store that is being filled from another one, and not to be used until that is finished.
    Copying,
    /// One generation of a blob's bytes.
    Blob(Digest, u64),
    /// The tombstone of a generation.
    Condemned(Digest, u64),
    /// The hint that a generation was relied on in an hour since 1970.
    Seen(Digest, u64, u64),
    /// The mark that a name exists.
    Name(LogName),
    /// A head of a name at a generation.
    Head(LogName, u64),
    /// A segment of a name's rows.
    Segment(LogName, Digest),
    /// Something that a run of the collector left.
    Run(RunId, RunPart),
    /// A list of the newest heads that a run of the collector saw. A run may make several; no key is used twice.
    SeenHeads(RunId, u32),
    /// An object with which a store is tried out, by a probe with this random number.
    Probe(u128, u32),
    /// A resumable upload as it was after so many steps, at most [`MAX_STEP`].
    Upload(UploadId, u32),
    /// A small fact or setting of an area that only some know.
    Aux(AreaPath),
    /// Something of such an area that is of no use to a copy of the store.
    Tmp(AreaPath),
}

/// The highest number of a step of a resumable upload.
pub const MAX_STEP: u32 = 99_999;

/// What a run of the collector leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunPart {
    /// That it began, and how it was set up.
    Started,
    /// What it was about to delete among the digests that begin with this byte or a later one.
    Plan(u8),
    /// What came of it.
    Report,
}

/// What ends the part of a key that all heads, or all segments, of a log have in common.
pub const HEADS_OF_A_NAME: &str = "@/";
/// What the keys of all lists of heads that the collector saw begin with.
const SEEN_HEADS: &str = "collector/seen/";
/// What ends the part of a key that says what kind of object it is.
pub const AREA: &str = "/";

impl LayoutKey {
    /// Spells the key.
    #[must_use]
    pub fn key(&self) -> Key {
        let text = match self {
            Self::Marker(number) => format!("layout/{number}"),
            Self::Copying => "layout/copying".to_owned(),
            Self::Blob(digest, generation) => format!("{}{generation}", blob_stem(digest)),
            Self::Condemned(digest, generation) => format!("{}{generation}.condemned", blob_stem(digest)),
            Self::Seen(digest, generation, hour) => format!("{}{generation}.seen-{hour}", blob_stem(digest)),
            Self::Name(name) => format!("names/{}@", spell_name(name)),
            Self::Head(name, generation) => format!("{}{}", head_stem(name), spell_generation(*generation)),
            Self::Segment(name, digest) => format!("segments/{}@/{}", spell_name(name), digest.hex()),
            Self::Run(run, part) => format!("{}{}", run_stem(run), spell_part(*part)),
            Self::SeenHeads(run, number) => format!("{SEEN_HEADS}{}.{number:03}", spell_run(run)),
            Self::Probe(probe, number) => format!("{}{number:02}", probe_stem(*probe)),
            Self::Upload(id, step) => format!("{}{:05}", upload_stem(id), MAX_STEP.saturating_sub(*step)),
            Self::Aux(path) => format!("aux/{}", path.as_str()),
            Self::Tmp(path) => format!("tmp/{}", path.as_str()),
        };
        text.parse().expect("names, digests and numbers spell legal keys")
    }

    /// The digest of the blob that the object is part of, or says something about.
    #[must_use]
    pub fn digest_of_blob(&self) -> Option<Digest> {
        match self {
            Self::Blob(digest, _) | Self::Condemned(digest, _) | Self::Seen(digest, ..) => Some(*digest),
            Self::Marker(_)
            | Self::Copying
            | Self::Name(_)
            | Self::Head(..)
            | Self::Segment(..)
            | Self::Run(..)
            | Self::SeenHeads(..)
            | Self::Probe(..)
            | Self::Upload(..)
            | Self::Aux(_)
            | Self::Tmp(_) => None,
        }
    }

    /// Whether objects of this kind may be written as a stream, copied, or written in parts. All others are created in
    /// one step, so that nothing is ever found in the making under their keys.
    #[must_use]
    pub fn is_streamed(&self) -> bool {
        match self {
            Self::Blob(..)
            | Self::Segment(..)
            | Self::SeenHeads(..)
            | Self::Probe(..)
            | Self::Run(_, RunPart::Plan(_))
            | Self::Tmp(_) => true,
            Self::Marker(_)
            | Self::Copying
            | Self::Condemned(..)
            | Self::Seen(..)
            | Self::Name(_)
            | Self::Head(..)
            | Self::Run(_, RunPart::Started | RunPart::Report)
            | Self::Upload(..)
            | Self::Aux(_) => false,
        }
    }

    /// Reads a key back. `None` for a key that this layout does not know, or that is spelled in another way than
    /// [`LayoutKey::key`] would.
    #[must_use]
    pub fn parse(key: &Key) -> Option<Self> {
        let (area, rest) = key.as_str().split_once('/')?;
        let parsed = match area {
            "layout" if rest == "copying" => Self::Copying,
            "layout" => Self::Marker(rest.parse().ok()?),
            "blobs" => parse_blob(rest)?,
            "names" => Self::Name(parse_name(rest.strip_suffix('@')?)?),
            "heads" => {
                let (name, number) = rest.split_once(HEADS_OF_A_NAME)?;
                Self::Head(parse_name(name)?, parse_generation(number)?)
            }
            "segments" => {
                let (name, hex) = rest.split_once(HEADS_OF_A_NAME)?;
                Self::Segment(parse_name(name)?, Digest::from_hex(hex).ok()?)
            }
            "collector" => match rest.strip_prefix("seen/") {
                Some(seen) => parse_seen_heads(seen)?,
                None => parse_run(rest.strip_prefix("runs/")?)?,
            },
            "probe" => {
                let (probe, number) = rest.split_once('.')?;
                Self::Probe(u128::from_str_radix(probe, 16).ok()?, number.parse().ok()?)
            }
            "uploads" => {
                let (id, number) = rest.split_once('.')?;
                Self::Upload(id.parse().ok()?, MAX_STEP.checked_sub(number.parse().ok()?)?)
            }
            "aux" => Self::Aux(AreaPath::parse(rest)?),
            "tmp" => Self::Tmp(AreaPath::parse(rest)?),
            _ => return None,
        };
        (parsed.key() == *key).then_some(parsed)
    }
}

/// The prefix of all layout markers.
#[must_use]
pub fn markers() -> Prefix {
    prefix("layout/")
}

/// The prefix of all blobs.
#[must_use]
pub fn blobs() -> Prefix {
    prefix("blobs/")
}

/// The prefix of everything stored about one digest.
#[must_use]
pub fn blob(digest: &Digest) -> Prefix {
    prefix(&blob_stem(digest))
}

/// The prefix of the marks of all names that start with `text`. The listing also holds names that differ from
/// `text` in case: filter what comes back. `None` when no name can start so.
#[must_use]
pub fn names(text: &str) -> Option<Prefix> {
    format!("names/{}", text.to_ascii_lowercase()).parse().ok()
}

/// The prefix of the segments of all names.
#[must_use]
pub fn segments() -> Prefix {
    prefix("segments/")
}

/// The prefix of all heads of a name, newest first.
#[must_use]
pub fn heads(name: &LogName) -> Prefix {
    prefix(&head_stem(name))
}

/// The prefix of the heads of all names.
#[must_use]
pub fn all_heads() -> Prefix {
    prefix("heads/")
}

/// The prefix of everything.
#[must_use]
pub fn everything() -> Prefix {
    prefix("")
}

/// The prefix of everything that runs of the collector left, newest first.
#[must_use]
pub fn runs() -> Prefix {
    prefix("collector/runs/")
}

/// The prefix of all lists of heads that runs of the collector saw.
#[must_use]
pub fn seen_heads() -> Prefix {
    prefix(SEEN_HEADS)
}

/// The prefix of everything that one run of the collector left.
#[must_use]
pub fn run(run: &RunId) -> Prefix {
    prefix(&run_stem(run))
}

/// The prefix of everything that probes wrote.
#[must_use]
pub fn probes() -> Prefix {
    prefix("probe/")
}

/// The prefix of everything that one probe wrote.
#[must_use]
pub fn probe(probe: u128) -> Prefix {
    prefix(&probe_stem(probe))
}

/// The prefix of all resumable uploads.
#[must_use]
pub fn uploads() -> Prefix {
    prefix("uploads/")
}

/// The prefix of one resumable upload, newest step first.
#[must_use]
pub fn upload(id: &UploadId) -> Prefix {
    prefix(&upload_stem(id))
}

/// A key that sorts before every key of blobs whose digests begin with this byte, and after all of those before.
#[must_use]
pub fn before_blobs(first_byte: u8) -> Key {
    format!("blobs/sha256/{first_byte:02x}").parse().expect("digits spell legal keys")
}

fn prefix(text: &str) -> Prefix {
    text.parse().expect("names and digests spell legal prefixes")
}

fn blob_stem(digest: &Digest) -> String {
    let hex = digest.hex();
    format!("blobs/sha256/{}/{}/{hex}.", &hex[..2], &hex[2..4])
}

fn run_stem(run: &RunId) -> String {
    format!("collector/runs/{}.", spell_run(run))
}

fn spell_run(run: &RunId) -> String {
    format!("{:020}-{:08x}", u64::MAX - run.millisecond, run.random)
}

fn probe_stem(probe: u128) -> String {
    format!("probe/{probe:032x}.")
}

fn upload_stem(id: &UploadId) -> String {
    format!("uploads/{id}.")
}

fn spell_part(part: RunPart) -> String {
    match part {
        RunPart::Started => "started".to_owned(),
        RunPart::Plan(first) => format!("plan-{first:02x}"),
        RunPart::Report => "report".to_owned(),
    }
}

fn parse_run(text: &str) -> Option<LayoutKey> {
    let (stem, part) = text.split_once('.')?;
    let run = parse_run_id(stem)?;
    let part = match (part, part.strip_prefix("plan-")) {
        ("started", _) => RunPart::Started,
        ("report", _) => RunPart::Report,
        (_, Some(first)) => RunPart::Plan(u8::from_str_radix(first, 16).ok()?),
        _ => return None,
    };
    Some(LayoutKey::Run(run, part))
}

fn parse_seen_heads(text: &str) -> Option<LayoutKey> {
    let (stem, number) = text.split_once('.')?;
    Some(LayoutKey::SeenHeads(parse_run_id(stem)?, number.parse().ok()?))
}

fn parse_run_id(text: &str) -> Option<RunId> {
    let (descending, random) = text.split_once('-')?;
    let millisecond = u64::MAX - descending.parse::<u64>().ok()?;
    Some(RunId { millisecond, random: u32::from_str_radix(random, 16).ok()? })
}

fn head_stem(name: &LogName) -> String {
    format!("heads/{}{HEADS_OF_A_NAME}", spell_name(name))
}

fn parse_blob(rest: &str) -> Option<LayoutKey> {
    let (hex, tail) = rest.rsplit('/').next()?.split_once('.')?;
    let digest = Digest::from_hex(hex).ok()?;
    match tail.split_once('.') {
        None => Some(LayoutKey::Blob(digest, tail.parse().ok()?)),
        Some((generation, "condemned")) => Some(LayoutKey::Condemned(digest, generation.parse().ok()?)),
        Some((generation, hint)) => {
            let hour = hint.strip_prefix("seen-")?.parse().ok()?;
            Some(LayoutKey::Seen(digest, generation.parse().ok()?, hour))
        }
    }
}

#[cfg(test)]
mod tests;
