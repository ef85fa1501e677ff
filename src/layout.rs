//! Layout 1: the mapping between domain values and keys, in both directions. The only place that builds or parses keys.
//!
//! | Key | Content |
//! |---|---|
//! | `layout/<n>` | layout marker; the highest `n` counts |
//! | `layout/copying` | `larder copy-store` is filling this store, or was interrupted; removed at its end |
//! | `blobs/sha256/ab/cd/<hex>.<gen>` | bytes of a blob, generation 0, 1, 2 … |
//! | `blobs/sha256/ab/cd/<hex>.<gen>.condemned` | tombstone (C3): this generation may never be relied on again |
//! | `blobs/sha256/ab/cd/<hex>.<gen>.seen-<hour>` | hint: a client relied on this generation in that hour (since 1970) |
//! | `names/<NAME>@` | this name exists |
//! | `heads/<NAME>@/<generation>` | a head; newest first, see below |
//! | `segments/<NAME>@/<hex>` | rows that no longer fit the head, under the digest of their bytes |
//! | `collector/runs/<u64::MAX - millisecond>-<id>.started` | a run of the collector began; `.plan-<part>` what it is about to delete, `.report` its result |
//! | `collector/seen/<u64::MAX - millisecond>-<id>.<number>` | the newest head of every name that a run of the collector saw |
//! | `probe/<random>.<number>` | written by a probe of the store, and removed again |
//! | `uploads/<id>.<99999 - number>` | a resumable upload: step 0 is its initial state, `n` its state after part `n`; newest first |
//! | `aux/<area>/…` | small derived facts, or settings; only code that knows the area understands the rest. Never a root. A log that an area keeps is `aux/<area>/@/<generation>` |
//! | `tmp/<area>/…` | the same, but of no use to a copy of the store |
//!
//! NAME is the name of a log, possibly a hidden one ([`LogName`]). Upper-case letters can only occur in the last
//! segment of a manifest name. They are written in lower case, and their positions follow behind a `!` as a hex mask:
//! `Main` is `main!1`, and a hidden log of it `main!1/@kind/9f`. So two names never share a key, even on a file system
//! that ignores case. No key is a directory prefix of another, because `@` cannot occur in a manifest name, and `@/` in
//! no log's.
//!
//! A generation below a thousand is `z` and three digits, 999 less the generation; one below a million is `y` and
//! `ddd/ddd`, 999999 less the generation; then `x` with three groups, and so on to `t` with seven. So a listing limited
//! to one finds the newest head, the key of the next head can be computed, a log with few heads is one directory, and
//! no directory has more than some thousand entries.

mod aliases;
mod areas;
pub mod marker;
mod members;
pub mod migrate;
mod spelling;
mod wares;

use crate::domain::{Digest, LogName, RepositoryName, RunId, UploadId};
use crate::store::{Key, Prefix};
use spelling::{parse_generation, parse_name, spell_generation, spell_name};

pub use aliases::{alias, aliased};
pub use members::{MEMBERS, REFERRERS, VersionIndex};
pub use wares::ware;

pub use areas::{AREAS, Area, AreaPath, Copying, Verifying, area_of, chunks, incoming, is_stranger, states, temporary};

/// Every kind of object in the store, with the values that its key encodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LayoutKey {
    /// A layout marker, by layout number.
    Marker(u32),
    /// Marks a store that is being filled from another one and must not be used until the copy is complete.
    Copying,
    /// The bytes of a blob at a generation.
    Blob(Digest, u64),
    /// The tombstone of a generation.
    Condemned(Digest, u64),
    /// The hint that a generation was relied on in an hour, counted since 1970.
    Seen(Digest, u64, u64),
    /// Marks that a name exists.
    Name(LogName),
    /// The head of a name at a generation.
    Head(LogName, u64),
    /// A segment of a name's rows, by the digest of its bytes.
    Segment(LogName, Digest),
    /// A record of a run of the collector.
    Run(RunId, RunPart),
    /// A list of the newest heads that a run of the collector saw. A run may write several; no key is used twice.
    SeenHeads(RunId, u32),
    /// An object written by a probe of the store: the probe's random number, and the object's own.
    Probe(u128, u32),
    /// The state of a resumable upload after this many steps, at most [`MAX_STEP`].
    Upload(UploadId, u32),
    /// A small fact or setting, in an area that not every version knows.
    Aux(AreaPath),
    /// Like [`LayoutKey::Aux`], but of no use to a copy of the store.
    Tmp(AreaPath),
}

/// The highest step number of a resumable upload.
pub const MAX_STEP: u32 = 99_999;

/// The kinds of records that a run of the collector writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunPart {
    /// The run began; holds its settings.
    Started,
    /// What the run was about to delete (C5) among the digests that start with this byte or a later one.
    Plan(u8),
    /// The result of the run.
    Report,
}

/// Ends the part of a key that is common to all heads, or all segments, of a log.
pub const HEADS_OF_A_NAME: &str = "@/";
/// Prefix of all lists of heads that runs of the collector saw.
const SEEN_HEADS: &str = "collector/seen/";
/// Ends the first part of a key, which is its area.
pub const AREA: &str = "/";

impl LayoutKey {
    /// Builds the key.
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

    /// The digest of the blob that the object belongs to, if any.
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

    /// Whether objects of this kind may be streamed, copied, or written in parts. All others are created in one step,
    /// so that no unfinished object is ever found under their keys.
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

    /// Parses a key. `None` for a key that this layout does not know, or whose spelling differs from that of
    /// [`LayoutKey::key`].
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

/// The prefix of the bytes, tombstones and hints of all blobs.
#[must_use]
pub fn blobs() -> Prefix {
    prefix("blobs/")
}

/// The prefix of everything stored about one digest.
#[must_use]
pub fn blob(digest: &Digest) -> Prefix {
    prefix(&blob_stem(digest))
}

/// The prefix of the marks of all names that start with `text`. The listing also holds names that differ from `text` in
/// case, so filter it. `None` if no name can start with `text`.
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

/// The prefix of the heads of all logs of a repository, and of those in repositories below it.
#[must_use]
pub fn heads_below(repository: &RepositoryName) -> Prefix {
    prefix(&format!("heads/{repository}/"))
}

/// The empty prefix, which matches all objects.
#[must_use]
pub fn everything() -> Prefix {
    prefix("")
}

/// The prefix of the records of all collector runs, newest first.
#[must_use]
pub fn runs() -> Prefix {
    prefix("collector/runs/")
}

/// The prefix of all lists of heads that collector runs saw.
#[must_use]
pub fn seen_heads() -> Prefix {
    prefix(SEEN_HEADS)
}

/// The prefix of all records of one collector run.
#[must_use]
pub fn run(run: &RunId) -> Prefix {
    prefix(&run_stem(run))
}

/// The prefix of the objects of all probes.
#[must_use]
pub fn probes() -> Prefix {
    prefix("probe/")
}

/// The prefix of the objects of one probe.
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

/// A key that sorts before all blobs whose digests start with this byte, and after all blobs with a smaller one.
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
