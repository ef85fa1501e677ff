//! Version rows: the record that a name keeps of each publish.

mod origin;
mod pin;
mod state;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::carried::Carried;
use super::manifest::{Descriptor, Kind, Manifest, parts, release};
use super::{Digest, FileName, Sha512, Subject};
pub use origin::{Origin, Yank};
pub use pin::{MAX_PINS, Pin, PinOwner, PinOwnerError};
pub use state::State;

/// The parts of a manifest that a row repeats, so that lists need not read the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Digest and size of the manifest.
    pub manifest: Descriptor,
    /// Media type of the manifest, at most 255 bytes; absent for Larder's own format.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<Box<str>>,
    /// The publisher's own version text, at most 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Whether `label` is truncated, so that it does not identify a version.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub label_cut: bool,
    /// Kind of release.
    pub kind: Kind,
    /// Number of artifacts.
    pub files: u64,
    /// Total size of all artifacts, in bytes.
    pub total_bytes: u64,
    /// The start page of a static site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<FileName>,
    /// Digest of the source snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Digest>,
    /// Digest of the manifest that this one describes, or of the text of its digest if that is not a SHA-256 digest
    /// ([`crate::domain::AnyDigest::index_key`]). It does not keep that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Digest>,
    /// The digest by which the manifest was pushed, if it is not a SHA-256 digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pushed_as: Option<Box<Sha512>>,
}

/// Maximum length of the version text in a row, in characters; the manifest has the full text.
const MAX_LABEL: usize = 200;

impl Summary {
    /// Summarises a manifest, given the digest and size of its bytes.
    #[must_use]
    pub fn of(manifest: &Manifest, descriptor: Descriptor) -> Self {
        Self {
            manifest: descriptor,
            media_type: Some(&*manifest.media_type).filter(|text| *text != release::MEDIA_TYPE).map(Into::into),
            label_cut: manifest.label.as_ref().is_some_and(|text| text.chars().nth(MAX_LABEL).is_some()),
            label: manifest.label.as_ref().map(|text| text.chars().take(MAX_LABEL).collect()),
            kind: manifest.kind.clone(),
            files: manifest.files.len() as u64,
            total_bytes: manifest.total_bytes(),
            entrypoint: manifest.entrypoint.clone(),
            source: manifest.source.map(|source| source.digest),
            subject: manifest.subject.map(|subject| subject.index_key()),
            pushed_as: None,
        }
    }
}

/// Maximum size of a row as JSON, in bytes. Changes that may be refused leave room for those that must not be.
pub const MAX_ROW: usize = 5120;
/// Bytes reserved in a row for a promotion, a yank and a retirement, which are never refused because of the row's size.
pub const ROW_RESERVE: usize = 2560;
/// Maximum length of a reason, in bytes. A longer one is truncated.
pub const MAX_REASON: usize = 500;

/// Truncates a reason to [`MAX_REASON`] bytes.
pub(in crate::domain) fn bounded(reason: &str) -> String {
    reason[..reason.floor_char_boundary(MAX_REASON)].to_owned()
}

/// One version of a name.
///
/// Besides its manifest and the blobs that the manifest refers to, a version needs what `needs` and `annex` list; both
/// are roots while the version is one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionRow {
    /// Version number: grows with each publish to the name, never reused, gaps are normal.
    pub number: u64,
    /// Position in the version's life cycle.
    pub state: State,
    /// Generation of the head that last changed this row.
    pub generation: u64,
    /// Pins. A version with any pin is never retired, whatever the retention. At most [`MAX_PINS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pins: Vec<Pin>,
    /// Summary of the version's manifest.
    #[serde(flatten)]
    pub summary: Summary,
    /// Who published it.
    pub created_by: Subject,
    /// When it was prepared.
    pub prepared_at: Timestamp,
    /// When it became complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published_at: Option<Timestamp>,
    /// When it first became active; absent until its second activation, because until then it equals `promoted_at`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_active_at: Option<Timestamp>,
    /// Number of times that it became active.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub activations: u64,
    /// When it last became active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promoted_at: Option<Timestamp>,
    /// The subject that last made it active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promoted_by: Option<Subject>,
    /// When it last stopped being active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived_at: Option<Timestamp>,
    /// When it was retired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired_at: Option<Timestamp>,
    /// Who retired it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired_by: Option<Subject>,
    /// Why it was retired, at most 500 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired_because: Option<String>,
    /// Blobs that it needs beyond what its manifest refers to, at most eight.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<Descriptor>,
    /// A document that lists further needed blobs, stored under the name's segment key with its digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annex: Option<Descriptor>,
    /// The OCI manifest that shows the same files. This version never writes it, because it computes what it shows from the
    /// manifest; a version that stores the rendering names it here and among `needs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rendering: Option<Digest>,
    /// Key by which the jobs of one publish find the same prepared version, at most 200 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Box<str>>,
    /// Origin of the version. Absent if its publisher uploaded it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Box<Origin>>,
    /// A warning against its use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub yanked: Option<Box<Yank>>,
    /// Members that this binary does not know.
    #[serde(flatten)]
    pub other: Carried,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl VersionRow {
    /// A new row in the state `Prepared`. The head that includes it sets its generation.
    #[must_use]
    pub fn prepared(number: u64, summary: Summary, created_by: Subject, now: Timestamp) -> Self {
        Self {
            number,
            state: State::Prepared,
            generation: 0,
            pins: Vec::new(),
            summary,
            created_by,
            prepared_at: now,
            published_at: None,
            first_active_at: None,
            activations: 0,
            promoted_at: None,
            promoted_by: None,
            archived_at: None,
            retired_at: None,
            retired_by: None,
            retired_because: None,
            needs: Vec::new(),
            annex: None,
            rendering: None,
            session: None,
            from: None,
            yanked: None,
            other: Carried::default(),
        }
    }

    /// When it first became active, if it ever did.
    #[must_use]
    pub fn first_active_at(&self) -> Option<Timestamp> {
        self.first_active_at.or(self.promoted_at)
    }

    /// Whether it is a draft: prepared, with a parts document in place of a manifest.
    #[must_use]
    pub fn is_draft(&self) -> bool {
        self.state == State::Prepared && self.summary.media_type.as_deref() == Some(parts::MEDIA_TYPE)
    }

    /// Whether it is the draft with this key.
    #[must_use]
    pub fn is_draft_of(&self, session: &str) -> bool {
        self.is_draft() && self.session.as_deref() == Some(session)
    }

    /// Whether it is the draft with this key, or what became of it, unless that is gone.
    #[must_use]
    pub fn is_from(&self, session: &str) -> bool {
        self.session.as_deref() == Some(session) && (self.state == State::Prepared || self.state.is_complete())
    }

    /// Digest of the version's manifest.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.summary.manifest.digest
    }

    /// Whether it has a pin, regardless of the owner.
    #[must_use]
    pub fn is_pinned(&self) -> bool {
        !self.pins.is_empty()
    }

    /// The catalog that lists it, if one does.
    #[must_use]
    pub fn catalog(&self) -> Option<&str> {
        self.pins.iter().find_map(Pin::catalog)
    }

    /// Whether it has a pin of this owner.
    #[must_use]
    pub fn is_pinned_by(&self, owner: &str) -> bool {
        self.pins.iter().any(|pin| *pin.owner == *owner)
    }
}

#[cfg(test)]
mod tests;
