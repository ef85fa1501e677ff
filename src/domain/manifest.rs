//! The manifest: a JSON document that lists a release's files and the blobs that hold their bytes.
//!
//! A manifest is stored and served as the exact bytes that were published; this module reads what Larder needs
//! from them and leaves every other member alone.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::{Digest, FileName};

/// Largest integer that every JSON reader keeps exactly (RFC 8259 section 6), so the largest size we accept.
pub const MAX_SIZE: u64 = (1 << 53) - 1;
/// Deepest nesting. Unknown members are skipped without recursion here, but whoever reads the manifest after us may
/// not be as careful.
const MAX_DEPTH: usize = 64;
/// At most this many problems are listed; the rest are counted.
const MAX_PROBLEMS: usize = 50;

/// Where bytes are and how many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Descriptor {
    /// Digest of the bytes.
    pub digest: Digest,
    /// Their length in bytes.
    pub size: u64,
}

/// How a release is meant to be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Files to download.
    #[default]
    Files,
    /// A static site, served from its entrypoint.
    Static,
    /// A packaged server; needs `command` and `port`.
    Dynamic,
    /// An OCI image.
    Oci,
}

/// One file of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// Its name, unique within the manifest.
    pub name: FileName,
    /// Where its bytes are.
    pub blob: Descriptor,
    /// Its media type, if the manifest states one.
    pub media_type: Option<String>,
    /// Its platform (`linux`), if stated.
    pub platform: Option<String>,
    /// Its architecture (`amd64`), if stated.
    pub arch: Option<String>,
}

/// What Larder reads from a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The client's own version text (`main:abc1234`), not Larder's number.
    pub version: Option<String>,
    /// Kind of release.
    pub kind: Kind,
    /// The file that a static site starts from.
    pub entrypoint: Option<FileName>,
    /// The files, in the manifest's order.
    pub artifacts: Vec<Artifact>,
    /// The source snapshot, if any.
    pub source: Option<Descriptor>,
}

/// Why bytes are not a manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Not JSON, or not of the shape of a manifest at all.
    #[error("the manifest cannot be read: {0}")]
    Malformed(String),
    /// A manifest, but with these problems (all of them, up to a bound).
    #[error("the manifest is not valid: {}", .0.join("; "))]
    Invalid(Vec<String>),
}

#[derive(Deserialize)]
struct RawManifest {
    version: Option<String>,
    #[serde(default)]
    kind: Option<Kind>,
    entrypoint: Option<String>,
    artifacts: Vec<RawArtifact>,
    source: Option<RawSource>,
    command: Option<serde_json::Value>,
    port: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct RawArtifact {
    name: String,
    blob: String,
    size: u64,
    media_type: Option<String>,
    platform: Option<String>,
    arch: Option<String>,
}

#[derive(Deserialize)]
struct RawSource {
    blob: String,
    size: u64,
}

impl Manifest {
    /// Reads a manifest and checks all its rules, with at most `max_artifacts` artifacts.
    ///
    /// # Errors
    /// [`ManifestError::Malformed`] when it cannot be read, else [`ManifestError::Invalid`] with every problem.
    pub fn parse(bytes: &[u8], max_artifacts: usize) -> Result<Self, ManifestError> {
        if depth(bytes) > MAX_DEPTH {
            return Err(ManifestError::Malformed(format!("it is nested more than {MAX_DEPTH} levels deep")));
        }
        let raw: RawManifest =
            serde_json::from_slice(bytes).map_err(|error| ManifestError::Malformed(error.to_string()))?;
        if raw.artifacts.len() > max_artifacts {
            let count = raw.artifacts.len();
            return Err(ManifestError::Invalid(vec![format!(
                "it has {count} artifacts, the limit of this server is {max_artifacts}"
            )]));
        }
        let mut problems = Problems::default();
        let manifest = raw.check(&mut problems);
        problems.into_result(manifest)
    }

    /// The artifact of this name.
    #[must_use]
    pub fn artifact(&self, name: &FileName) -> Option<&Artifact> {
        self.artifacts.iter().find(|artifact| artifact.name == *name)
    }

    /// Every blob that the manifest refers to, the source's among them, each once.
    #[must_use]
    pub fn blobs(&self) -> Vec<Descriptor> {
        let mut seen = HashSet::with_capacity(self.artifacts.len() + 1);
        self.artifacts
            .iter()
            .map(|artifact| artifact.blob)
            .chain(self.source)
            .filter(|blob| seen.insert(blob.digest))
            .collect()
    }

    /// Bytes of all artifacts together.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.artifacts.iter().fold(0, |sum, artifact| sum.saturating_add(artifact.blob.size))
    }
}

/// How deep arrays and objects are nested, whether or not the text is JSON.
fn depth(bytes: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[derive(Default)]
struct Problems {
    listed: Vec<String>,
    more: usize,
}

impl Problems {
    fn add(&mut self, problem: String) {
        if self.listed.len() < MAX_PROBLEMS {
            self.listed.push(problem);
        } else {
            self.more += 1;
        }
    }

    fn into_result<T>(mut self, value: T) -> Result<T, ManifestError> {
        if self.listed.is_empty() {
            return Ok(value);
        }
        if self.more > 0 {
            self.listed.push(format!("and {} more problems", self.more));
        }
        Err(ManifestError::Invalid(self.listed))
    }
}

impl RawManifest {
    fn check(self, problems: &mut Problems) -> Manifest {
        let kind = self.kind.unwrap_or_default();
        if self.artifacts.is_empty() {
            problems.add("artifacts: a manifest needs at least one artifact".into());
        }
        let mut artifacts = Vec::with_capacity(self.artifacts.len());
        for (index, raw) in self.artifacts.into_iter().enumerate() {
            artifacts.extend(raw.check(index, problems));
        }
        let source = self.source.and_then(|raw| check_blob(&raw.blob, raw.size, "source", problems));
        check_unique(&artifacts, source, problems);
        let entrypoint = check_entrypoint(self.entrypoint, kind, &artifacts, problems);
        if kind == Kind::Dynamic && (self.command.is_none() || self.port.is_none()) {
            problems.add("kind: a dynamic release needs `command` and `port`".into());
        }
        Manifest { version: self.version, kind, entrypoint, artifacts, source }
    }
}

impl RawArtifact {
    fn check(self, index: usize, problems: &mut Problems) -> Option<Artifact> {
        let place = format!("artifacts[{index}]");
        let name = self.name.parse::<FileName>().map_err(|error| problems.add(format!("{place}.name: {error}"))).ok();
        let media_type = self.media_type.filter(|text| {
            let legal = is_media_type(text);
            if !legal {
                problems.add(format!("{place}.media_type: {text:?} is not a media type such as application/gzip"));
            }
            legal
        });
        let blob = check_blob(&self.blob, self.size, &place, problems);
        Some(Artifact { name: name?, blob: blob?, media_type, platform: self.platform, arch: self.arch })
    }
}

fn check_blob(digest: &str, size: u64, place: &str, problems: &mut Problems) -> Option<Descriptor> {
    if size > MAX_SIZE {
        problems.add(format!("{place}.size: {size} is larger than {MAX_SIZE} (2^53 - 1)"));
    }
    match digest.parse() {
        Ok(digest) => Some(Descriptor { digest, size }),
        Err(error) => {
            problems.add(format!("{place}.blob: {error}"));
            None
        }
    }
}

/// `type/subtype` with optional parameters (RFC 9110 section 8.3.1), as far as a header may carry it.
fn is_media_type(text: &str) -> bool {
    let token =
        |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
    let essence = text.split(';').next().unwrap_or_default().trim_end();
    let printable = text.bytes().all(|b| (b' '..=b'~').contains(&b));
    printable
        && text.len() <= 255
        && essence.split_once('/').is_some_and(|(kind, subtype)| token(kind) && token(subtype))
}

fn check_unique(artifacts: &[Artifact], source: Option<Descriptor>, problems: &mut Problems) {
    let mut names = HashSet::with_capacity(artifacts.len());
    let mut sizes = std::collections::HashMap::with_capacity(artifacts.len());
    for artifact in artifacts {
        if !names.insert(artifact.name.as_str()) {
            problems.add(format!("artifacts: the name {} is used more than once", artifact.name));
        }
    }
    for blob in artifacts.iter().map(|artifact| artifact.blob).chain(source) {
        if *sizes.entry(blob.digest).or_insert(blob.size) != blob.size {
            problems.add(format!("artifacts: {} is stated with two different sizes", blob.digest));
        }
    }
    for name in &names {
        let parents = name.match_indices('/').map(|(at, _)| &name[..at]);
        if let Some(parent) = parents.into_iter().find(|parent| names.contains(parent)) {
            problems.add(format!("artifacts: {parent:?} is both a file and the directory of {name:?}"));
        }
    }
}

fn check_entrypoint(
    entrypoint: Option<String>,
    kind: Kind,
    artifacts: &[Artifact],
    problems: &mut Problems,
) -> Option<FileName> {
    let Some(text) = entrypoint else {
        if kind == Kind::Static {
            problems.add("entrypoint: a static release names the file it starts from".into());
        }
        return None;
    };
    let name = text.parse::<FileName>().ok();
    if !name.as_ref().is_some_and(|name| artifacts.iter().any(|artifact| artifact.name == *name)) {
        problems.add(format!("entrypoint: {text:?} is not among the artifacts"));
    }
    name
}

#[cfg(test)]
mod tests;
