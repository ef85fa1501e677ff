//! Manifests: documents that list the files of a release and the blobs that hold their bytes.
//!
//! A manifest is stored and served as the exact bytes that were published. Larder interprets it through a [`Format`],
//! which does two things that must be kept apart. *Reading* accepts everything that any release of Larder ever
//! accepted, and extracts only what serving and collecting need. *Checking* reports everything that is wrong with a
//! document, and happens at publish only. If reading applied the rules of publishing, every rule added later would turn
//! old releases into a corrupt store, and every rule relaxed later would do so for older binaries.

mod aliases;
mod coding;
pub mod composed;
pub mod diff;
mod index;
pub mod index_walk;
mod kind;
mod loose;
pub mod oci;
pub mod parts;
pub mod portability;
mod problems;
pub mod referrer;
pub mod release;
pub mod rendering;
pub mod site_settings;
mod tree;

use std::borrow::Cow;
use std::collections::HashSet;

use serde::{Deserialize, Serialize};

pub use aliases::Aliases;
pub use coding::{Coding, UnknownCoding};
pub use diff::Diff;
pub use index::FileIndex;
pub use kind::Kind;
pub use site_settings::{SiteSettings, TrailingSlash};

use super::pauses::Pauses as _;
use super::{AnyDigest, Digest, FileName, Sha512};

/// Maximum size of a blob that may be published: the largest integer that every JSON reader preserves (RFC 8259 section
/// 6).
pub const MAX_SIZE: u64 = (1 << 53) - 1;

/// Maximum size of a manifest that another one names, in bytes: what every registry client accepts.
pub const MAX_CHILD: u64 = 4 << 20;

/// All formats that this binary knows. The first one is the default for documents without a stated media type.
pub static FORMATS: &[Format] = &[release::FORMAT, parts::FORMAT, oci::FORMAT];

/// Digest and size of some bytes.
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
    /// File name, unique within the manifest.
    pub name: FileName,
    /// The file's content.
    pub blob: Descriptor,
    /// Media type (RFC 9110 section 8.3.1), if the manifest states a valid one.
    pub media_type: Option<String>,
    /// Platform (`linux`), if stated.
    pub platform: Option<String>,
    /// Architecture (`amd64`), if stated.
    pub arch: Option<String>,
    /// C library or ABI (`musl`), if stated.
    pub libc: Option<String>,
    /// File format (`tar.gz`), if stated.
    pub format: Option<String>,
    /// How the file is used (`installer`), if stated.
    pub kind: Option<String>,
    /// Whether it is a program: who downloads it to a file may run it.
    pub executable: bool,
    /// The content coding of the bytes, if they are a variant of another file and the coding is known.
    pub encoding: Option<Coding>,
    /// The file that this one is a variant of: the same content, compressed. A static site does not serve a variant
    /// under its own name.
    pub of: Option<FileName>,
}

impl Artifact {
    /// A file of which nothing else is stated.
    #[must_use]
    pub fn of(name: FileName, blob: Descriptor) -> Self {
        let (media_type, platform, arch, libc, format, kind) = (None, None, None, None, None, None);
        let (executable, encoding, of) = (false, None, None);
        Self { name, blob, media_type, platform, arch, libc, format, kind, executable, encoding, of }
    }
}

/// A manifest that this one refers to. What that one needs in turn is found by reading it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Child {
    /// The child manifest's bytes.
    pub blob: Descriptor,
    /// The child's media type; `None` for the first of the [`FORMATS`].
    pub media_type: Option<Box<str>>,
}

/// The content of a manifest that Larder uses, whatever its format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The document's media type.
    pub media_type: Cow<'static, str>,
    /// The publisher's own version text (`main:abc1234`), not Larder's number.
    pub label: Option<String>,
    /// How the release is meant to be used.
    pub kind: Kind,
    /// The start page of a static site, or the packaged server of a dynamic release.
    pub entrypoint: Option<FileName>,
    /// How a static site answers requests; the default for releases of other kinds.
    pub site: SiteSettings,
    /// The files that can be served by name, in the manifest's order, with unique names.
    pub files: Vec<Artifact>,
    /// The source snapshot, if any; also listed in `blobs`.
    pub source: Option<Descriptor>,
    /// Every blob that the manifest refers to, each digest once, excluding child manifests.
    pub blobs: Vec<Descriptor>,
    /// The child manifests. They and everything they need in turn are needed, too.
    pub children: Vec<Child>,
    /// The manifest that this one describes, if any. This one does not keep its subject alive.
    pub subject: Option<AnyDigest>,
    /// What the SHA-512 digests in the document stand for. Everything above is stated by SHA-256 digests.
    pub aliases: Aliases,
}

impl Manifest {
    /// Everything that this manifest alone keeps alive: its blobs, and the bytes of its child manifests.
    #[must_use]
    pub fn roots(&self) -> Vec<Descriptor> {
        self.blobs.iter().copied().chain(self.children.iter().map(|child| child.blob)).with_pauses().collect()
    }

    /// Total size of all files, in bytes; of an OCI manifest that of its configuration and layers, with or without
    /// a file name. The manifests that an index lists are not counted.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        let add = |sum: u64, blob: &Descriptor| sum.saturating_add(blob.size);
        if oci::is_oci(&self.media_type) {
            return self.blobs.iter().fold(0, add);
        }
        self.files.iter().with_pauses().map(|file| &file.blob).fold(0, add)
    }
}

/// A server's limits for manifests. They apply to publishing, never to reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Maximum number of files.
    pub files: usize,
}

impl Limits {
    /// No limits.
    pub const NONE: Self = Self { files: usize::MAX };
}

/// A manifest format.
#[derive(Debug, Clone, Copy)]
pub struct Format {
    /// Media types of its documents, in lower case and without parameters.
    pub media_types: &'static [&'static str],
    /// Reads a document published by this or any other release of Larder, given what the SHA-512 digests in it stand for.
    pub read: fn(&[u8], &Aliases) -> Result<Manifest, ReadError>,
    /// Checks a document before it is published. Every document that passes can be read.
    pub check: fn(&[u8], Limits) -> Result<(), ManifestError>,
}

impl Format {
    /// The format of a document whose media type nobody stated: by its shape, else the first of the [`FORMATS`].
    #[must_use]
    pub fn of_bytes(bytes: &[u8]) -> &'static Self {
        if oci::media_type_by_shape(bytes).is_some() { &oci::FORMAT } else { &FORMATS[0] }
    }

    /// The format for this media type, or the first of `formats` if there is none.
    ///
    /// # Errors
    /// [`ReadError::UnknownFormat`] if no format has this media type.
    pub fn among<'a>(formats: &'a [Self], media_type: Option<&str>) -> Result<&'a Self, ReadError> {
        let Some(media_type) = media_type else {
            return formats.first().ok_or_else(|| ReadError::UnknownFormat("(none)".into()));
        };
        let essence = media_type.split(';').next().unwrap_or_default().trim();
        let is_its = |format: &&Self| format.media_types.iter().any(|known| known.eq_ignore_ascii_case(essence));
        formats.iter().find(is_its).ok_or_else(|| ReadError::UnknownFormat(media_type.into()))
    }
}

/// The reason why a stored manifest cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// No known format has this media type. A newer binary may know it.
    #[error("manifests of the media type {0:?} need a newer larder")]
    UnknownFormat(Box<str>),
    /// The document cannot be interpreted, or has a file name that is unsafe as a path.
    #[error("the manifest cannot be read: {0}")]
    Malformed(String),
    /// It names blobs by these SHA-512 digests (each once), of which it is not known what they stand for.
    #[error("nothing that is stored is known to have the digest {}; upload it by that digest", named(.0))]
    Unresolved(Vec<Sha512>),
}

/// The first of some digests, and how many there are.
fn named(digests: &[Sha512]) -> String {
    let first = digests.first().map(Sha512::to_string).unwrap_or_default();
    match digests.len() {
        0 | 1 => first,
        more => format!("{first} ({} more like it)", more - 1),
    }
}

impl ReadError {
    /// What is wrong, as the end of a sentence about a document.
    #[must_use]
    pub fn into_reason(self) -> String {
        match self {
            Self::Malformed(why) => why,
            Self::UnknownFormat(_) | Self::Unresolved(_) => self.to_string(),
        }
    }
}

/// The reason why bytes may not be published as a manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// The document does not have the structure of a manifest.
    #[error("the manifest cannot be read: {0}")]
    Malformed(String),
    /// The document is a manifest with these problems (all of them, up to a limit).
    #[error("the manifest is not valid: {}", .0.join("; "))]
    Invalid(Vec<String>),
}

/// Removes duplicate digests, keeping the order.
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
        let other =
            Format { media_types: &["application/x-other"], read: |bytes, _| nothing(bytes), check: |_, _| Ok(()) };
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
