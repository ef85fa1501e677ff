//! The rules for publishing an OCI manifest or index.

use std::collections::HashMap;

use super::super::problems::Problems;
use super::super::{Limits, MAX_SIZE, ManifestError};
use super::{Document, Stated, is_index};
use crate::domain::{AnyDigest, json};

/// Checks a manifest or an index before it is published. Types and members that Larder does not know are legal.
///
/// # Errors
/// [`ManifestError::Malformed`] if it does not have the structure of one of them, else [`ManifestError::Invalid`] with
/// every problem.
pub fn check(bytes: &[u8], limits: Limits) -> Result<(), ManifestError> {
    let document: Document = json::strict(bytes).map_err(|error| ManifestError::Malformed(error.to_string()))?;
    if document.schema_version == Some(1) {
        let why = "image manifests of schema version 1 are not supported; push the image with a current client";
        return Err(ManifestError::Malformed(why.into()));
    }
    let media_type = match document.media_type() {
        Ok(media_type) => media_type,
        Err(error) => return Err(ManifestError::Malformed(error.into_reason())),
    };
    let mut problems = Problems::default();
    document.check(media_type, limits, &mut problems);
    problems.into_result()
}

impl Document {
    fn check(&self, media_type: &str, limits: Limits, problems: &mut Problems) {
        if self.schema_version != Some(2) {
            problems.add("schemaVersion: it is not 2".into());
        }
        self.check_kind(media_type, problems);
        let count = self.descriptors().count();
        if count > limits.files {
            problems.add(format!("it refers to {count} blobs, the limit of this server is {}", limits.files));
        }
        let mut sizes = HashMap::with_capacity(count);
        for (list, at, stated) in self.descriptors() {
            let place = if list == "config" { list.to_owned() } else { format!("{list}[{at}]") };
            // Of what is kept elsewhere, neither digest nor size means anything here.
            if list == "layers" && stated.is_elsewhere() {
                continue;
            }
            if let Some(digest) = stated.check(&place, problems)
                && *sizes.entry(digest).or_insert(stated.size) != stated.size
            {
                problems.add(format!("{place}: {digest} is stated with two different sizes"));
            }
        }
        if let Some(subject) = &self.subject {
            subject.check("subject", problems);
        }
    }

    /// A document must not be an index to one client and a manifest to another.
    fn check_kind(&self, media_type: &str, problems: &mut Problems) {
        let has = |member: &str, problems: &mut Problems| {
            problems.add(format!("{member}: a document of the type {media_type} has no such member"));
        };
        if is_index(media_type) {
            if self.config.is_some() {
                has("config", problems);
            }
            if self.layers.is_some() {
                has("layers", problems);
            }
        } else {
            if self.manifests.is_some() {
                has("manifests", problems);
            }
            if self.config.is_none() {
                problems.add("config: it is missing".into());
            }
        }
    }
}

impl Stated {
    /// Adds what is wrong. Returns the digest, if it is one.
    fn check(&self, place: &str, problems: &mut Problems) -> Option<AnyDigest> {
        if self.size > MAX_SIZE {
            problems.add(format!("{place}.size: {} is larger than {MAX_SIZE} (2^53 - 1)", self.size));
        }
        let digest = self.digest.parse();
        digest.inspect_err(|error| problems.add(format!("{place}.digest: {error}"))).ok()
    }
}
