//! Manifests: documents that list the files of a release and the blobs that hold their bytes.
//!
//! A manifest is stored and served as the exact bytes that were published. What Larder needs of it, it gets from a
//! [`Format`], which does two things that must stay apart. *Reading* accepts whatever any release of Larder ever
//! accepted and takes only what serving and collecting need. *Checking* names everything that is wrong with a document,
//! and happens at publish only. If reading applied the rules of publishing, every rule added later would turn old
//! releases into a corrupt store, and every rule relaxed later would do so for older binaries.

mod kind;
pub mod release;

use std::borrow::Cow;
use std::collections::HashSet;

use serde::{Deserialize, Serialize};

pub use kind::Kind;

use super::{Digest, FileName};

/// Largest integer that every JSON reader keeps exactly (RFC 8259 section 6), so the largest size that may be published.
pub const MAX_SIZE: u64 = (1 << 53) - 1;

/// Every format that this binary knows. The first one is that of documents without a stated media type.
pub static FORMATS: &[Format] = &[release::FORMAT];

/// Where bytes are and how many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Descriptor {
    /// Digest of the bytes.
    pub digest: Digest,
    /// Their length in bytes.
    pub size: u64,
}

/// One file of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// Its name, unique within the manifest.
    pub name: FileName,
    /// Where its bytes are.
    pub blob: Descriptor,
    /// Its media type (RFC 9110 section 8.3.1), if the manifest states a legal one.
    pub media_type: Option<String>,
    /// Its platform (`linux`), if stated.
    pub platform: Option<String>,
    /// Its architecture (`amd64`), if stated.
    pub arch: Option<String>,
}

/// A manifest that another one names. What it needs in turn is found by reading it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Child {
    /// Where its bytes are.
    pub blob: Descriptor,
    /// Its media type; `None` for the first of the [`FORMATS`].
    pub media_type: Option<Box<str>>,
}

/// What Larder reads from a manifest, whatever its format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The document's media type.
    pub media_type: Cow<'static, str>,
    /// The publisher's own version text (`main:abc1234`), not Larder's number.
    pub label: Option<String>,
    /// Kind of release.
    pub kind: Kind,
    /// The file that a static site starts from.
    pub entrypoint: Option<FileName>,
    /// The files that can be served by name, in the manifest's order, each name once.
    pub files: Vec<Artifact>,
    /// The source snapshot, if any; among the blobs as well.
    pub source: Option<Descriptor>,
    /// Every blob that the manifest refers to, each digest once. Manifests it names are not among them.
    pub blobs: Vec<Descriptor>,
    /// The manifests that it names. They and everything they need in turn are needed, too.
    pub children: Vec<Child>,
    /// The manifest that this one is about, if any. It is not needed by this one.
    pub subject: Option<Descriptor>,
}

impl Manifest {
    /// The file of this name.
    #[must_use]
    pub fn file(&self, name: &FileName) -> Option<&Artifact> {
        self.files.iter().find(|file| file.name == *name)
    }

    /// What must be stored as long as the manifest is needed: its blobs, and the bytes of the manifests it names.
    #[must_use]
    pub fn roots(&self) -> Vec<Descriptor> {
        self.blobs.iter().copied().chain(self.children.iter().map(|child| child.blob)).collect()
    }

    /// Bytes of all files together.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.files.iter().fold(0, |sum, file| sum.saturating_add(file.blob.size))
    }
}

/// What a server accepts of a manifest at most. Limits of publishing, never of reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Number of files.
    pub files: usize,
}

impl Limits {
    /// Nothing is too much.
    pub const NONE: Self = Self { files: usize::MAX };
}

/// A format of manifests.
#[derive(Debug, Clone, Copy)]
pub struct Format {
    /// The media types of its documents, in lower case and without parameters.
    pub media_types: &'static [&'static str],
    /// Reads a document that was published, by this or any other release of Larder.
    pub read: fn(&[u8]) -> Result<Manifest, ReadError>,
    /// Checks a document that is to be published. What passes can be read.
    pub check: fn(&[u8], Limits) -> Result<(), ManifestError>,
}

impl Format {
    /// The format of documents of this media type; without one, the first of `formats`.
    ///
    /// # Errors
    /// [`ReadError::UnknownFormat`] when there is none.
    pub fn among<'a>(formats: &'a [Self], media_type: Option<&str>) -> Result<&'a Self, ReadError> {
        let Some(media_type) = media_type else {
            return formats.first().ok_or_else(|| ReadError::UnknownFormat("(none)".into()));
        };
        let essence = media_type.split(';').next().unwrap_or_default().trim();
        let is_its = |format: &&Self| format.media_types.iter().any(|known| known.eq_ignore_ascii_case(essence));
        formats.iter().find(is_its).ok_or_else(|| ReadError::UnknownFormat(media_type.into()))
    }
}

/// Why a stored manifest cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// No format here has this media type. It may be all right for a newer binary.
    #[error("manifests of the media type {0:?} need a newer larder")]
    UnknownFormat(Box<str>),
    /// It cannot be understood, or names a file in a way that endangers paths.
    #[error("the manifest cannot be read: {0}")]
    Malformed(String),
}

/// Why bytes may not be published as a manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Not of the shape of a manifest at all.
    #[error("the manifest cannot be read: {0}")]
    Malformed(String),
    /// A manifest, but with these problems (all of them, up to a bound).
    #[error("the manifest is not valid: {}", .0.join("; "))]
    Invalid(Vec<String>),
}

/// These blobs, each digest once, in their order.
fn each_once(blobs: impl IntoIterator<Item = Descriptor>) -> Vec<Descriptor> {
    let blobs = blobs.into_iter();
    let mut seen = HashSet::with_capacity(blobs.size_hint().0);
    blobs.filter(|blob| seen.insert(blob.digest)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing(_: &[u8]) -> Result<Manifest, ReadError> {
        Err(ReadError::Malformed("not a document of this test".into()))
    }

    #[test]
    fn a_media_type_picks_the_format() {
        let other = Format { media_types: &["application/x-other"], read: nothing, check: |_, _| Ok(()) };
        let formats = [release::FORMAT, other];
        let picked = |media_type| Format::among(&formats, media_type).map(|format| format.media_types[0]);
        for own in [None, Some("application/json"), Some("Application/JSON; charset=utf-8")] {
            assert_eq!(picked(own), Ok("application/json"), "{own:?}");
        }
        assert_eq!(picked(Some("application/x-other")), Ok("application/x-other"));
        let unknown = picked(Some("application/x-future")).unwrap_err();
        assert_eq!(unknown, ReadError::UnknownFormat("application/x-future".into()));
        assert!(unknown.to_string().contains("newer larder"), "{unknown}");
        assert!(Format::among(&[], None).is_err());
    }
}
