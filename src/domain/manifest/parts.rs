//! Parts documents: the content of a draft, which several requests of one publish fill.
//!
//! A draft is a prepared version, so that the collector, the time limit and the listing of sessions treat it like every
//! other one. Its document is never served. In a draft of files that come one by one, a part may hold several artifacts of one name, sent by requests that did not
//! know each other; all of their blobs are needed, and publishing decides between them.

mod release;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use self::release::{ComposeError, MAX_LABEL, MAX_PART_NAME, MAX_PARTS, is_label, is_part_name};
use super::{
    Aliases, Artifact, Descriptor, Format, Kind, Limits, Manifest, ManifestError, ReadError, SiteSettings, each_once,
};
use crate::domain::json::reason;
use crate::domain::{Carried, Digest, FileName, NameError};

/// The media type of parts documents.
pub const MEDIA_TYPE: &str = "application/vnd.larder.parts.v1+json";

/// The format of parts documents.
pub const FORMAT: Format = Format { media_types: &[MEDIA_TYPE], read: |bytes, _| read(bytes), check };

/// A parts document.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Parts {
    /// The publisher's own version text, if it is known already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The parts by name. `null` is a part that was announced.
    pub parts: BTreeMap<String, Option<Part>>,
    /// Members that this binary does not know.
    #[serde(flatten)]
    pub other: Carried,
}

/// One part of a draft.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Part {
    /// What was sent, oldest first.
    #[serde(default)]
    pub artifacts: Vec<PartArtifact>,
    /// What is known of the part besides.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
    /// What the release manifest is to say beside its artifacts and metadata, such as `commit`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub release: Map<String, Value>,
    /// Members that this binary does not know.
    #[serde(flatten)]
    pub other: Carried,
}

/// A file of a part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartArtifact {
    /// Its name.
    pub name: FileName,
    /// Digest of its bytes.
    pub blob: Digest,
    /// Their length.
    pub size: u64,
    /// Members that this binary does not know.
    #[serde(flatten)]
    pub other: Carried,
}

impl Part {
    /// Whether the release is a static site.
    fn is_of_site(&self) -> bool {
        self.release.get("kind").and_then(Value::as_str) == Some(Kind::Static.as_str())
    }
}

impl PartArtifact {
    /// A file of this name with these bytes.
    #[must_use]
    pub fn new(name: FileName, blob: Descriptor) -> Self {
        Self { name, blob: blob.digest, size: blob.size, other: Carried::default() }
    }

    /// Digest and size of its bytes.
    #[must_use]
    pub fn descriptor(&self) -> Descriptor {
        Descriptor { digest: self.blob, size: self.size }
    }
}

impl Parts {
    /// Parses a document.
    ///
    /// # Errors
    /// [`ReadError::Malformed`] if the needed blobs cannot be determined.
    pub fn parse(bytes: &[u8]) -> Result<Self, ReadError> {
        serde_json::from_slice(bytes).map_err(|error| ReadError::Malformed(reason(&error)))
    }

    /// The document as it is stored.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("names, digests and JSON values can be serialised")
    }

    /// The document as every format is seen.
    #[must_use]
    pub fn manifest(&self) -> Manifest {
        let all = || self.parts.values().flatten().flat_map(|part| part.artifacts.iter().rev());
        let mut names = HashSet::new();
        let newest = all()
            .filter(|artifact| names.insert(&artifact.name))
            .map(|artifact| Artifact::of(artifact.name.clone(), artifact.descriptor()));
        Manifest {
            media_type: Cow::Borrowed(MEDIA_TYPE),
            label: self.label.clone(),
            kind: Kind::Files,
            entrypoint: None,
            site: SiteSettings::default(),
            files: newest.collect(),
            source: None,
            blobs: each_once(all().map(PartArtifact::descriptor)),
            children: Vec::new(),
            subject: None,
            aliases: Aliases::default(),
        }
    }
}

fn read(bytes: &[u8]) -> Result<Manifest, ReadError> {
    Ok(Parts::parse(bytes)?.manifest())
}

fn check(bytes: &[u8], limits: Limits) -> Result<(), ManifestError> {
    let parts = Parts::parse(bytes).map_err(|error| ManifestError::Malformed(error.to_string()))?;
    let files = parts.parts.len().max(parts.manifest().files.len());
    if files > limits.files {
        let problem = format!("it has {files} files, and {} is the limit", limits.files);
        return Err(ManifestError::Invalid(vec![problem]));
    }
    let problem = |name: &FileName, checked: Result<(), NameError>| Some(format!("{name:?}: {}", checked.err()?));
    let names = parts.parts.values().flatten().flat_map(|part| {
        let check = if part.is_of_site() { FileName::check_of_site } else { FileName::check };
        part.artifacts.iter().filter_map(move |artifact| problem(&artifact.name, check(&artifact.name)))
    });
    let problems: Vec<_> = names.collect();
    if problems.is_empty() { Ok(()) } else { Err(ManifestError::Invalid(problems)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_artifact_of_a_draft_is_needed_and_the_newest_of_a_name_counts() {
        let blob = |text: &str| Descriptor { digest: Digest::of(text.as_bytes()), size: text.len() as u64 };
        let file = |text: &str| PartArtifact::new("a.zip".parse().unwrap(), blob(text));
        let part = Part { artifacts: vec![file("old"), file("new"), file("old")], ..Part::default() };
        let mut parts = Parts::default();
        parts.parts.insert("a.zip".into(), Some(part));
        parts.parts.insert("b.zip".into(), None);
        let manifest = read(&parts.to_bytes()).unwrap();
        assert_eq!(manifest.blobs, [blob("old"), blob("new")]);
        assert_eq!(manifest.files.len(), 1);
        assert_eq!(manifest.files[0].blob, blob("old"), "the last one that was sent");
        assert!(check(&parts.to_bytes(), Limits { files: 1 }).is_err());
        assert!(check(&parts.to_bytes(), Limits { files: 2 }).is_ok());
        assert!(read(br#"{"parts":{"a":{"artifacts":[{"name":"../a","blob":"x","size":1}]}}}"#).is_err());
    }

    #[test]
    fn members_of_a_newer_larder_survive() {
        let text = r#"{"parts":{"a":{"artifacts":[{"name":"a","blob":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0,"x":1}],"y":2},"b":null},"z":3}"#;
        assert_eq!(String::from_utf8(Parts::parse(text.as_bytes()).unwrap().to_bytes()).unwrap(), text);
    }
}
