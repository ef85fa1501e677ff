//! What lists of manifests say about each.

use std::collections::BTreeMap;

use super::super::ReadError;
use super::{Document, is_index};

/// What a list of referrers says about a manifest beside its digest and size (distribution-spec, "Listing Referrers").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Media type of the manifest.
    pub media_type: &'static str,
    /// What it is: its `artifactType`; for an image manifest without one the type of its configuration.
    pub artifact_type: Option<String>,
    /// Its annotations, in the order of their names.
    pub annotations: BTreeMap<String, String>,
}

impl Description {
    /// Describes a published manifest or index.
    ///
    /// # Errors
    /// [`ReadError::Malformed`] if the document cannot be read.
    pub fn read(bytes: &[u8]) -> Result<Self, ReadError> {
        let document = Document::parse(bytes)?;
        let media_type = document.media_type()?;
        let config = document.config.filter(|_| !is_index(media_type)).and_then(|config| config.media_type);
        let stated = document.artifact_type.filter(|stated| !stated.is_empty());
        let texts = document.annotations.unwrap_or_default().into_iter();
        Ok(Self {
            media_type,
            artifact_type: stated.or(config),
            annotations: texts.filter_map(|(name, value)| Some((name, value.0?))).collect(),
        })
    }
}
