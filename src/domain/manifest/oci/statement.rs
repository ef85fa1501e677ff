//! Manifests that hold one statement about another manifest, such as a signature.

use super::super::{Aliases, Descriptor};
use super::{Document, IMAGE};
use crate::domain::{AnyDigest, Digest};

/// What an image manifest with a subject and exactly one layer states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The manifest that it is about.
    pub subject: Digest,
    /// The layer: the bytes of the statement.
    pub layer: Descriptor,
    /// Media type of the layer, in lower case and without parameters.
    pub media_type: String,
}

impl Statement {
    /// Reads a manifest. `None` if it is no such one, or names something by another digest than SHA-256.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let document = Document::parse(bytes).ok()?;
        let is_image = document.media_type().is_ok_and(|media_type| media_type == IMAGE);
        let [layer] = document.layers.as_deref().filter(|_| is_image)? else { return None };
        let AnyDigest::Sha256(subject) = document.subject.as_ref()?.digest.parse().ok()? else { return None };
        let media_type = layer.media_type.as_deref()?.split(';').next()?.trim().to_ascii_lowercase();
        let blob = layer.descriptor(&Aliases::default()).ok().filter(|_| !layer.is_elsewhere())?;
        Some(Self { subject, layer: blob, media_type })
    }
}
