//! Version rows: what a name remembers of each publish.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::manifest::{Descriptor, Kind, Manifest, release};
use super::{Digest, FileName, Subject};

/// Where a version is in its life: `prepared → ready → (active ⇄ archived) → retired`, or
/// `prepared → aborted`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// A session holds it: its blobs are protected, readers do not see it.
    Prepared,
    /// Complete, but never active yet (staged).
    Ready,
    /// What readers of the name get.
    Active,
    /// Was active before; can be promoted again.
    Archived,
    /// Its bytes may be gone; only the row remains.
    Retired,
    /// Never completed. Only kept where the row had already left the head.
    Aborted,
}

impl State {
    /// Whether the version's blobs must be kept.
    #[must_use]
    pub fn is_root(self) -> bool {
        matches!(self, Self::Prepared | Self::Ready | Self::Active | Self::Archived)
    }

    /// Whether the version's manifest may be read and promoted.
    #[must_use]
    pub fn is_complete(self) -> bool {
        matches!(self, Self::Ready | Self::Active | Self::Archived)
    }
}

/// What a row says of its manifest, so that lists need not read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// The manifest's bytes.
    pub manifest: Descriptor,
    /// The manifest's media type, at most 255 bytes; absent for Larder's own format.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<Box<str>>,
    /// The client's own version text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Kind of release.
    pub kind: Kind,
    /// Number of artifacts.
    pub files: u64,
    /// Bytes of all artifacts.
    pub total_bytes: u64,
    /// A static site's entrypoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<FileName>,
    /// Digest of the source snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Digest>,
}

/// Longest version text that a row repeats, in characters; the manifest keeps it whole.
const MAX_LABEL: usize = 200;

impl Summary {
    /// Sums up a manifest whose bytes are `descriptor`.
    #[must_use]
    pub fn of(manifest: &Manifest, descriptor: Descriptor) -> Self {
        Self {
            manifest: descriptor,
            media_type: Some(&*manifest.media_type).filter(|text| *text != release::MEDIA_TYPE).map(Into::into),
            label: manifest.label.as_ref().map(|text| text.chars().take(MAX_LABEL).collect()),
            kind: manifest.kind.clone(),
            files: manifest.files.len() as u64,
            total_bytes: manifest.total_bytes(),
            entrypoint: manifest.entrypoint.clone(),
            source: manifest.source.map(|source| source.digest),
        }
    }
}

/// One version of a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionRow {
    /// Its number: grows with each publish to the name, never reused, gaps are normal.
    pub number: u64,
    /// Where it is in its life.
    pub state: State,
    /// Generation of the head that last changed this row.
    pub generation: u64,
    /// A pinned version is never retired, whatever the retention.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pinned: bool,
    /// What it consists of.
    #[serde(flatten)]
    pub summary: Summary,
    /// Who published it.
    pub created_by: Subject,
    /// When it was prepared.
    pub prepared_at: Timestamp,
    /// When it became complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published_at: Option<Timestamp>,
    /// When it last became active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promoted_at: Option<Timestamp>,
    /// When it last stopped being active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived_at: Option<Timestamp>,
    /// When it was retired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired_at: Option<Timestamp>,
    /// Why it was retired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired_because: Option<String>,
}

impl VersionRow {
    /// A row in its first state. The head that takes it in sets its generation.
    #[must_use]
    pub fn prepared(number: u64, summary: Summary, created_by: Subject, now: Timestamp) -> Self {
        Self {
            number,
            state: State::Prepared,
            generation: 0,
            pinned: false,
            summary,
            created_by,
            prepared_at: now,
            published_at: None,
            promoted_at: None,
            archived_at: None,
            retired_at: None,
            retired_because: None,
        }
    }

    /// Digest of the version's manifest.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.summary.manifest.digest
    }
}
