//! What a run records for operators: a plan that is durable before the first delete, and a report at the end.

use bytes::{BufMut as _, Bytes, BytesMut};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::fate::{Candidate, Fate};
use crate::domain::retention::Verdict;
use crate::domain::{Digest, LogName, RunId};
use crate::layout::{LayoutKey, RunPart};
use crate::store::{ObjectStore, StoreError, Upload};

/// Size of the write buffer of a plan, in bytes.
const GATHER: usize = 256 * 1024;

/// A count of blobs and bytes. A blob is counted once for each generation that has bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Generations with bytes.
    pub blobs: u64,
    /// Their total size.
    pub bytes: u64,
}

impl Count {
    pub(super) fn add(&mut self, bytes: u64) {
        self.blobs += 1;
        self.bytes += bytes;
    }

    fn merge(&mut self, other: Self) {
        self.blobs += other.blobs;
        self.bytes += other.bytes;
    }
}

/// Counts of what a run examined and did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Names that were ever published to.
    pub names: u64,
    /// Versions that are kept.
    pub versions: u64,
    /// Versions that were retired or aborted because their time was up.
    pub expired: u64,
    /// Kept: some version needs it.
    pub needed: Count,
    /// Kept: younger than the minimum age.
    pub young: Count,
    /// To be deleted: no version needs it.
    pub unreferenced: Count,
    /// To be deleted: condemned before, by this or another collector or because it was damaged.
    pub condemned: Count,
    /// Deleted.
    pub deleted: Count,
    /// Was to be deleted, but turned out to be needed, and has a sound copy now.
    pub healed: Count,
    /// Needed, but without sound bytes.
    pub lost: u64,
    /// Uploads that were aborted because they were stale.
    #[serde(default)]
    pub uploads: u64,
}

impl Totals {
    pub(super) fn count(&mut self, fate: Fate, size: u64) {
        match fate {
            Fate::Needed => self.needed.add(size),
            Fate::Young => self.young.add(size),
            Fate::Unreferenced => self.unreferenced.add(size),
            Fate::Condemned => self.condemned.add(size),
        }
    }

    /// Adds the counts of another part of the blobs. Names and versions are those of the whole store in every part.
    pub(super) fn merge(&mut self, part: &Self) {
        self.names = self.names.max(part.names);
        self.versions = part.versions.max(self.versions);
        self.expired += part.expired;
        self.lost += part.lost;
        self.uploads += part.uploads;
        for (count, other) in [
            (&mut self.needed, part.needed),
            (&mut self.young, part.young),
            (&mut self.unreferenced, part.unreferenced),
            (&mut self.condemned, part.condemned),
            (&mut self.deleted, part.deleted),
            (&mut self.healed, part.healed),
        ] {
            count.merge(other);
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Completed all planned work.
    Completed,
    /// Stopped on request; the next run continues.
    Stopped,
    /// Ended early because of an error or doubt.
    Failed,
}

/// The parameters of a run, as recorded in its first object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// The id of the run.
    pub run: RunId,
    /// When it began, by the host's clock.
    pub started: Timestamp,
    /// Version of the binary that ran it.
    pub larder: String,
    /// The minimum age, in seconds.
    pub min_age_seconds: i64,
}

/// The report of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The parameters of the run.
    #[serde(flatten)]
    pub started: Started,
    /// How it ended.
    pub outcome: Outcome,
    /// The error with which it failed or stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Duration, in milliseconds.
    pub duration_ms: u64,
    /// Seconds by which the host's clock was ahead of the store's. A run on a host whose clock is minutes off retires
    /// nothing.
    pub clock_ahead_seconds: i64,
    /// Counts of what it examined and did.
    pub totals: Totals,
}

impl Report {
    /// The report of a run without an error.
    pub(super) fn new(started: Started, took: std::time::Duration, ahead: SignedDuration, totals: Totals) -> Self {
        Self {
            started,
            outcome: Outcome::Completed,
            error: None,
            duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            clock_ahead_seconds: ahead.as_secs(),
            totals,
        }
    }
}

/// One decision and its reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry<'a> {
    /// A decision about a version.
    Version {
        /// The name of the version.
        name: &'a LogName,
        /// The number of the version.
        version: u64,
        /// Why it is kept, or why its time is up.
        verdict: Verdict,
    },
    /// A decision about the bytes of one generation of a blob.
    Blob {
        /// The digest of the blob.
        digest: Digest,
        /// The generation, counted from 0.
        generation: u64,
        /// The size of its bytes.
        size: u64,
        /// Why the bytes are kept or deleted.
        fate: Fate,
        /// A version that needs the bytes, and why that version is kept.
        needed_by: Option<(&'a LogName, u64, Verdict)>,
    },
}

impl<'a> Entry<'a> {
    pub(super) fn version(name: &'a LogName, version: u64, verdict: Verdict) -> Self {
        Self::Version { name, version, verdict }
    }
}

/// A decision, serialized as a line of a plan.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Line<'a> {
    Version {
        action: &'static str,
        name: &'a LogName,
        version: u64,
        why: Verdict,
    },
    Blob {
        action: &'static str,
        digest: Digest,
        generation: u64,
        size: u64,
        why: Fate,
        #[serde(skip_serializing_if = "Option::is_none")]
        needed_by: Option<String>,
    },
}

impl Serialize for Entry<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::Version { name, version, verdict } => {
                let action = if verdict.is_over() { "retire" } else { "keep" };
                Line::Version { action, name, version, why: verdict }
            }
            Self::Blob { digest, generation, size, fate, needed_by } => {
                let action = if fate.stays() { "keep" } else { "delete" };
                let needed_by = needed_by.map(|(name, version, _)| format!("{name}@{version}"));
                Line::Blob { action, digest, generation, size, why: fate, needed_by }
            }
        }
        .serialize(serializer)
    }
}

/// Writes the plan of a pass to the store, one JSON document per line. Nothing is stored when the plan is empty.
pub(super) struct Journal<'a> {
    store: &'a dyn ObjectStore,
    key: crate::store::Key,
    gathered: BytesMut,
    upload: Option<Box<dyn Upload>>,
}

impl<'a> Journal<'a> {
    pub(super) fn new(store: &'a dyn ObjectStore, run: RunId, first: u8) -> Self {
        let key = LayoutKey::Run(run, RunPart::Plan(first)).key();
        Self { store, key, gathered: BytesMut::new(), upload: None }
    }

    pub(super) async fn write(&mut self, entry: &Entry<'_>) -> Result<(), StoreError> {
        let internal = |error| StoreError::new(crate::store::StoreErrorKind::Internal, &self.key, error);
        serde_json::to_writer((&mut self.gathered).writer(), entry).map_err(internal)?;
        self.gathered.extend_from_slice(b"\n");
        if self.gathered.len() >= GATHER { self.pass_on().await } else { Ok(()) }
    }

    pub(super) async fn candidate(&mut self, candidate: &Candidate) -> Result<(), StoreError> {
        let Candidate { digest, generation, size, condemned } = *candidate;
        let fate = if condemned { Fate::Condemned } else { Fate::Unreferenced };
        self.write(&Entry::Blob { digest, generation, size, fate, needed_by: None }).await
    }

    async fn pass_on(&mut self) -> Result<(), StoreError> {
        let gathered: Bytes = self.gathered.split().freeze();
        if self.upload.is_none() {
            self.upload = Some(self.store.begin(&self.key).await?);
        }
        match &mut self.upload {
            Some(upload) => upload.write(gathered).await,
            None => Ok(()),
        }
    }

    /// Makes the plan durable.
    pub(super) async fn finish(mut self) -> Result<(), StoreError> {
        if !self.gathered.is_empty() {
            self.pass_on().await?;
        }
        match self.upload {
            Some(upload) => upload.commit().await.map(|_| ()),
            None => Ok(()),
        }
    }
}
