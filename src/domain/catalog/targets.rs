//! The targets of TUF that a catalog has: the files of all its releases, signed by its author like the document.

use std::collections::BTreeMap;

use jiff::Timestamp;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::metadata::{Metadata, NewMetadata};
use super::{Document, Release, Root};
use crate::domain::json::reason;
use crate::domain::manifest::Descriptor;
use crate::domain::{Digest, FileName};

/// Maximum size of the metadata, in bytes; usual clients read at most 5,000,000.
pub const MAX_TARGETS: u64 = 4 << 20;
/// What cannot stand in the path of an address as it is (RFC 3986 section 3.3): clients append paths to addresses without
/// encoding them.
const NOT_IN_PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');
/// The same for a name that may hold slashes without meaning directories.
const NOT_IN_SEGMENT: &AsciiSet = &NOT_IN_PATH.add(b'/');

/// Why bytes are no targets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("these are not the targets of a TUF repository: {0}")]
pub struct TargetsError(String);

/// The targets of a catalog, as they were signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Targets {
    /// Their version: the serial of the document that they were made of.
    pub version: u64,
    /// When they end.
    pub expires: Timestamp,
    /// The files, by their paths.
    pub files: BTreeMap<String, Descriptor>,
    /// What is stated of the files beside that, by their paths.
    pub(super) custom: BTreeMap<String, Value>,
    metadata: Metadata,
}

#[derive(Deserialize)]
struct TargetsJson {
    #[serde(rename = "_type")]
    kind: String,
    version: u64,
    expires: Timestamp,
    targets: BTreeMap<String, TargetJson>,
}

#[derive(Deserialize)]
struct TargetJson {
    length: u64,
    hashes: BTreeMap<String, String>,
    #[serde(default)]
    custom: Value,
}

impl Targets {
    /// Reads targets. Signatures are not checked: see [`Targets::are_signed`]. Files without a SHA-256 are left out.
    ///
    /// # Errors
    /// Why the bytes are no targets.
    pub fn read(bytes: &[u8]) -> Result<Self, TargetsError> {
        let (metadata, value) = Metadata::read(bytes).map_err(TargetsError)?;
        let json: TargetsJson = serde_json::from_value(value).map_err(|error| TargetsError(reason(&error)))?;
        if json.kind != "targets" {
            return Err(TargetsError("their type is another".into()));
        }
        let (mut files, mut custom) = (BTreeMap::new(), BTreeMap::new());
        for (path, target) in json.targets {
            let digest = target.hashes.get("sha256").and_then(|hex| format!("sha256:{hex}").parse().ok());
            if let Some(digest) = digest {
                files.insert(path.clone(), Descriptor { digest, size: target.length });
            }
            custom.insert(path, target.custom);
        }
        Ok(Self { version: json.version, expires: json.expires, files, custom, metadata })
    }

    /// Whether enough keys sign them, by this root.
    #[must_use]
    pub fn are_signed(&self, root: &Root) -> bool {
        root.targets.is_met_by(&root.signers_of(&self.metadata))
    }

    /// The files of a release, by their names; `None` unless all of its items are there.
    #[must_use]
    pub fn release(&self, release: &Release) -> Option<BTreeMap<FileName, Descriptor>> {
        files(release).map(|(_, file)| Some((file.clone(), *self.files.get(&target_path(release, &file))?))).collect()
    }
}

/// The items of a release that are files, with these. The same file may be several items.
pub(super) fn files(release: &Release) -> impl Iterator<Item = (&str, FileName)> {
    release.items.iter().filter_map(|(name, item)| Some((name.as_str(), item.file(name)?)))
}

/// The path of a file among the targets: `RELEASE/FILE`, with what cannot stand in the path of an address
/// percent-encoded.
#[must_use]
pub fn target_path(release: &Release, file: &FileName) -> String {
    let name = utf8_percent_encode(&release.name, NOT_IN_SEGMENT).to_string();
    // These would be resolved by whoever makes an address of it (RFC 3986 section 5.2.4).
    let name = if matches!(name.as_str(), "." | "..") { name.replace('.', "%2E") } else { name };
    format!("{name}/{}", utf8_percent_encode(file.as_str(), NOT_IN_PATH))
}

/// The targets of a document. `stored` says which bytes the file of a release is; what it does not know is left out.
#[must_use]
pub fn new_targets(document: &Document, stored: impl Fn(&Release, &FileName) -> Option<Descriptor>) -> NewMetadata {
    let mut targets: Map<String, Value> = Map::new();
    for release in &document.releases {
        for (item, file) in files(release) {
            let Some(Descriptor { digest, size }) = stored(release, &file) else { continue };
            let entry = targets.entry(target_path(release, &file)).or_insert_with(|| target(release, digest, size));
            if let Some(items) = entry["custom"]["items"].as_array_mut() {
                items.push(item.into());
            }
        }
    }
    NewMetadata::new("targets", document.serial, document.expires, json!({ "targets": targets }))
}

/// A file of a release, with what the author says about that.
fn target(release: &Release, digest: Digest, size: u64) -> Value {
    json!({"length": size, "hashes": {"sha256": digest.hex()}, "custom": custom(release)})
}

/// What the author says about a release; the items that are the file are added to it.
pub(super) fn custom(release: &Release) -> Value {
    let mut custom = json!({"release": release.name, "items": []});
    let said = [("metadata", &release.metadata), ("hazards", &release.hazards)];
    for (member, texts) in said {
        if let Some(texts) = texts.as_ref().filter(|texts| !texts.is_empty()) {
            custom[member] = json!(texts);
        }
    }
    custom
}
