//! Attachments of versions, and the document that lists them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::minisign::{self, KeyId, Signature};
use crate::domain::word::{Word, open_words};
use crate::domain::{Carried, Descriptor, Digest, FileName, Subject};

/// What the media types of all versions of sigstore bundles begin with.
pub const BUNDLES: &str = "application/vnd.dev.sigstore.bundle";
/// Maximum number of attachments of a version.
pub const MAX_ATTACHMENTS: usize = 64;
/// Maximum number of attachments of a version by one subject.
pub const MAX_BY_SUBJECT: usize = 16;
/// Maximum size of an attachment, in bytes.
pub const MAX_ATTACHMENT: u64 = 256 << 10;
/// Maximum size of a software bill of materials, in bytes.
pub const MAX_SBOM: u64 = 16 << 20;
/// Maximum size of an attachment that is kept in the annex itself, in bytes, so that it stays when the version is retired.
/// Signatures are never larger.
pub const INLINE: usize = 1024;
/// Format of annexes.
const FORMAT: u32 = 1;

/// What an attachment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A signature.
    Signature,
    /// A statement of how it was built.
    Provenance,
    /// A list of what it is made of.
    Sbom,
    /// A text for people.
    Notes,
    /// A role that this version does not know.
    Unknown(Word),
}

open_words!(Role { Signature = "signature", Provenance = "provenance", Sbom = "sbom", Notes = "notes" });

impl Role {
    /// The role of what has this media type, which is without parameters and in lower case. `None` if it tells none.
    #[must_use]
    pub fn of(media_type: &str) -> Option<Self> {
        Some(match media_type {
            minisign::MEDIA_TYPE => Self::Signature,
            "application/vnd.in-toto+json" | "application/vnd.dsse.envelope.v1+json" => Self::Provenance,
            "application/vnd.cyclonedx+json"
            | "application/vnd.cyclonedx+xml"
            | "application/spdx+json"
            | "text/spdx" => Self::Sbom,
            "text/markdown" | "text/plain" => Self::Notes,
            _ if media_type.starts_with(BUNDLES) => Self::Signature,
            _ => return None,
        })
    }
}

/// A signature or other statement about a version, or about one of its files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// Digest of its bytes.
    pub digest: Digest,
    /// Number of bytes.
    pub size: u64,
    /// Media type, without parameters.
    pub media_type: Box<str>,
    /// What it is; absent if the media type does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// The file of the version that it is about; absent if it is about the manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileName>,
    /// Who attached it, if the writer of the annex said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Subject>,
    /// When it was attached, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// Its bytes in base64, up to [`INLINE`] of them; others are a blob.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inline: Option<Box<str>>,
    /// The OCI manifest with which a client of a repository pushed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub referrer: Option<Descriptor>,
    /// Members that this binary does not know.
    #[serde(flatten)]
    pub other: Carried,
}

impl Attachment {
    /// Its bytes, if the annex has them.
    #[must_use]
    pub fn bytes(&self) -> Option<Vec<u8>> {
        let bytes = STANDARD.decode(self.inline.as_deref()?).ok()?;
        (Digest::of(&bytes) == self.digest).then_some(bytes)
    }

    /// Its blob, unless the annex has its bytes.
    #[must_use]
    pub fn blob(&self) -> Option<Descriptor> {
        self.inline.is_none().then_some(Descriptor { digest: self.digest, size: self.size })
    }

    /// Whether it is a signature of the manifest by a key, which policies and clients verify.
    #[must_use]
    pub fn is_signature(&self) -> bool {
        &*self.media_type == minisign::MEDIA_TYPE && self.file.is_none()
    }

    /// Whether it is a sigstore bundle about the manifest, which they verify if identities count.
    #[must_use]
    pub fn is_bundle(&self) -> bool {
        self.media_type.starts_with(BUNDLES) && self.file.is_none()
    }

    /// The id of the key that it claims to be signed with, and the comment that the signature covers.
    #[must_use]
    pub fn signature(&self) -> Option<(KeyId, String)> {
        if &*self.media_type != minisign::MEDIA_TYPE {
            return None;
        }
        let signature = Signature::parse(&self.bytes()?).ok()?;
        Some((signature.key(), signature.comment().to_owned()))
    }
}

/// Why something cannot be attached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AttachmentError {
    /// It is empty.
    #[error("there is nothing in it")]
    Empty,
    /// It is larger than allowed.
    #[error("it has more than {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: u64,
    },
    /// It is not of its media type.
    #[error("{0}")]
    Signature(#[from] super::SignatureError),
}

/// Something that is about to be attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAttachment {
    /// Digest and size.
    pub blob: Descriptor,
    /// Media type, without parameters, in lower case.
    pub media_type: Box<str>,
    /// The file that it is about.
    pub file: Option<FileName>,
    inline: Option<Box<str>>,
    referrer: Option<Descriptor>,
}

impl NewAttachment {
    /// Maximum size of an attachment of this media type, in bytes.
    #[must_use]
    pub fn limit(media_type: &str) -> u64 {
        match Role::of(media_type) {
            Some(Role::Sbom) => MAX_SBOM,
            _ if media_type == minisign::MEDIA_TYPE => INLINE as u64,
            _ => MAX_ATTACHMENT,
        }
    }

    /// Checks what is to be attached. A signature must be one, but is not verified.
    ///
    /// # Errors
    /// An [`AttachmentError`].
    pub fn new(bytes: &[u8], media_type: &str, file: Option<FileName>) -> Result<Self, AttachmentError> {
        let limit = Self::limit(media_type);
        if bytes.is_empty() {
            return Err(AttachmentError::Empty);
        }
        if bytes.len() as u64 > limit {
            return Err(AttachmentError::TooLarge { limit });
        }
        if media_type == minisign::MEDIA_TYPE {
            Signature::parse(bytes)?;
        }
        let blob = Descriptor { digest: Digest::of(bytes), size: bytes.len() as u64 };
        let inline = (bytes.len() <= INLINE).then(|| STANDARD.encode(bytes).into());
        Ok(Self { blob, media_type: media_type.into(), file, inline, referrer: None })
    }

    /// Records the OCI manifest with which it was pushed.
    #[must_use]
    pub fn pushed_as(self, referrer: Descriptor) -> Self {
        Self { referrer: Some(referrer), ..self }
    }

    /// Whether its bytes are kept in the annex.
    #[must_use]
    pub fn is_inline(&self) -> bool {
        self.inline.is_some()
    }
}

/// What a version has beyond its manifest, in a document of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Annex {
    /// Format of this document; always 1.
    format: u32,
    /// Blobs that the version needs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<Descriptor>,
    /// What is attached to the version, in the order in which it was.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
    /// Members that this binary does not know.
    #[serde(flatten)]
    pub other: Carried,
}

impl Default for Annex {
    fn default() -> Self {
        Self { format: FORMAT, needs: Vec::new(), attachments: Vec::new(), other: Carried::default() }
    }
}

impl Annex {
    /// The attachment with these bytes about the same file.
    #[must_use]
    pub fn find(&self, new: &NewAttachment) -> Option<&Attachment> {
        let same = |old: &&Attachment| {
            old.digest == new.blob.digest && old.file == new.file && old.media_type == new.media_type
        };
        self.attachments.iter().find(same)
    }

    /// Adds an attachment. `None` if there are as many as a version can have, or as one subject may attach.
    #[must_use]
    pub fn with(mut self, new: NewAttachment, by: Subject, at: Timestamp) -> Option<Self> {
        let own = self.attachments.iter().filter(|attachment| attachment.by.as_ref() == Some(&by)).count();
        if self.attachments.len() >= MAX_ATTACHMENTS || own >= MAX_BY_SUBJECT {
            return None;
        }
        let NewAttachment { blob, media_type, file, inline, referrer } = new;
        if inline.is_none() && !self.needs.contains(&blob) {
            self.needs.push(blob);
        }
        let (Descriptor { digest, size }, role, other) = (blob, Role::of(&media_type), Carried::default());
        let (by, at) = (Some(by), Some(at));
        self.attachments.push(Attachment { digest, size, media_type, role, file, by, at, inline, referrer, other });
        Some(self)
    }
}
