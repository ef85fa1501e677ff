//! A release made of parts: what a part may hold, what two parts may not both say, and the manifest of all of them.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::super::release;
use super::super::{Limits, ManifestError};
use super::{Part, PartArtifact, Parts};
use crate::domain::{FileName, json};

/// Maximum number of parts of one release.
pub const MAX_PARTS: usize = 64;
/// Maximum length of the name of a part, in bytes.
pub const MAX_PART_NAME: usize = 64;
/// Maximum length of the label of a release that is made of parts, in bytes.
pub const MAX_LABEL: usize = 190;

/// Members of a release that a part cannot bring, and why.
const NOT_IN_A_PART: [(&str, &str); 2] = [
    ("version", "the label of the release is stated when it is begun"),
    ("source", "a part has no source snapshot of its own; send it as a file"),
];

/// Why parts do not make a release.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ComposeError {
    /// Parts that were announced have not been sent.
    #[error("the parts {} are missing", .0.join(", "))]
    Missing(Vec<String>),
    /// Two parts have a file of the same name.
    #[error("the file {file} is in both {} and {}", .parts[0], .parts[1])]
    File {
        /// Name of the file.
        file: FileName,
        /// The two parts.
        parts: [String; 2],
    },
    /// Two parts disagree about a member of the manifest, or of its metadata.
    #[error("{} and {} disagree about {member}", .parts[0], .parts[1])]
    Member {
        /// The member: `commit`, or `metadata.branch`.
        member: String,
        /// The two parts.
        parts: [String; 2],
    },
}

/// Whether a text may be the name of a part: letters, digits, `.`, `_`, `-`, beginning with a letter or digit.
#[must_use]
pub fn is_part_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=MAX_PART_NAME).contains(&text.len())
        && text.bytes().all(allowed)
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
}

/// Whether a text may be the label of a release that is made of parts.
#[must_use]
pub fn is_label(text: &str) -> bool {
    (1..=MAX_LABEL).contains(&text.len()) && !text.chars().any(char::is_control)
}

#[derive(Deserialize)]
struct Sent {
    #[serde(default)]
    artifacts: Vec<PartArtifact>,
    #[serde(default)]
    metadata: Map<String, Value>,
    #[serde(flatten)]
    release: Map<String, Value>,
}

#[derive(Serialize)]
struct Document<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    #[serde(flatten)]
    release: BTreeMap<&'a str, &'a Value>,
    artifacts: Vec<&'a PartArtifact>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<&'a str, &'a Value>,
}

impl Part {
    /// Reads a part as a client sends it: a release manifest that holds only some of the files.
    ///
    /// # Errors
    /// A [`ManifestError`] with every problem.
    pub fn read(bytes: &[u8], limits: Limits) -> Result<Self, ManifestError> {
        let malformed = |error: String| ManifestError::Malformed(error);
        let document: Map<String, Value> = json::strict(bytes).map_err(|error| malformed(error.to_string()))?;
        let mut problems = match release::check_part(bytes, limits) {
            Ok(()) => Vec::new(),
            Err(ManifestError::Invalid(problems)) => problems,
            Err(error) => return Err(error),
        };
        for (member, why) in NOT_IN_A_PART {
            if document.get(member).is_some_and(|value| !value.is_null()) {
                problems.push(format!("{member}: {why}"));
            }
        }
        if !problems.is_empty() {
            return Err(ManifestError::Invalid(problems));
        }
        let sent = serde_json::from_value(Value::Object(document)).map_err(|error| malformed(json::reason(&error)))?;
        let Sent { artifacts, metadata, mut release } = sent;
        release.retain(|_, value| !value.is_null());
        Ok(Self { artifacts, metadata, release, ..Self::default() })
    }
}

impl Parts {
    /// A release of which nothing was sent yet.
    #[must_use]
    pub fn announced<'a>(label: &str, parts: impl IntoIterator<Item = &'a String>) -> Self {
        let parts = parts.into_iter().map(|name| (name.clone(), None)).collect();
        Self { label: Some(label.to_owned()), parts, ..Self::default() }
    }

    /// The parts that were sent, or those that were not, by name.
    #[must_use]
    pub fn names(&self, sent: bool) -> Vec<String> {
        self.parts.iter().filter(|(_, part)| part.is_some() == sent).map(|(name, _)| name.clone()).collect()
    }

    /// Whether the parts that were sent fit together.
    ///
    /// # Errors
    /// [`ComposeError::File`] or [`ComposeError::Member`].
    pub fn check_together(&self) -> Result<(), ComposeError> {
        let mut files = HashMap::new();
        for (part, sent) in self.sent() {
            for artifact in &sent.artifacts {
                if let Some(other) = files.insert(&artifact.name, part).filter(|other| *other != part) {
                    let parts = [other.clone(), part.clone()];
                    return Err(ComposeError::File { file: artifact.name.clone(), parts });
                }
            }
        }
        self.merged("", |part| &part.release)?;
        self.merged("metadata.", |part| &part.metadata)?;
        Ok(())
    }

    /// The release manifest of all parts. Its bytes depend on the parts alone, not on the order in which they came.
    ///
    /// # Errors
    /// A [`ComposeError`].
    pub fn compose(&self) -> Result<Vec<u8>, ComposeError> {
        let missing = self.names(false);
        if !missing.is_empty() {
            return Err(ComposeError::Missing(missing));
        }
        self.check_together()?;
        let mut artifacts: Vec<_> = self.sent().flat_map(|(_, part)| &part.artifacts).collect();
        artifacts.sort_by(|one, other| one.name.cmp(&other.name));
        let document = Document {
            version: self.label.as_deref(),
            release: self.merged("", |part| &part.release)?,
            artifacts,
            metadata: self.merged("metadata.", |part| &part.metadata)?,
        };
        let mut bytes = serde_json::to_vec_pretty(&document).expect("names, digests and JSON values can be serialised");
        bytes.push(b'\n');
        Ok(bytes)
    }

    fn sent(&self) -> impl Iterator<Item = (&String, &Part)> {
        self.parts.iter().filter_map(|(name, part)| Some((name, part.as_ref()?)))
    }

    fn merged<'a>(
        &'a self,
        prefix: &str,
        of: impl Fn(&'a Part) -> &'a Map<String, Value>,
    ) -> Result<BTreeMap<&'a str, &'a Value>, ComposeError> {
        let mut merged: BTreeMap<&str, (&Value, &String)> = BTreeMap::new();
        for (name, part) in self.sent() {
            for (member, value) in of(part) {
                match merged.insert(member, (value, name)) {
                    Some((other, by)) if other != value => {
                        let parts = [by.clone(), name.clone()];
                        return Err(ComposeError::Member { member: format!("{prefix}{member}"), parts });
                    }
                    _ => {}
                }
            }
        }
        Ok(merged.into_iter().map(|(member, (value, _))| (member, value)).collect())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::Digest;

    fn part(files: &[&str], members: &Value) -> Part {
        let blob = |name: &str| Digest::of(name.as_bytes()).to_string();
        let artifact = |name: &&str| json!({"name": name, "blob": blob(name), "size": name.len(), "executable": true});
        let mut document = members.clone();
        document["artifacts"] = files.iter().map(artifact).collect();
        Part::read(document.to_string().as_bytes(), Limits::NONE).unwrap()
    }

    fn parts(sent: &[(&str, Option<Part>)]) -> Parts {
        let parts = sent.iter().map(|(name, part)| ((*name).to_owned(), part.clone())).collect();
        Parts { label: Some("v1".into()), parts, ..Parts::default() }
    }

    #[test]
    fn the_release_depends_on_the_parts_alone() {
        let linux = part(&["z", "b"], &json!({"commit": "abc", "metadata": {"x": 1, "os": ["linux"]}}));
        let macos = part(&["a"], &json!({"kind": "files", "commit": "abc", "metadata": {"x": 1}, "port": null}));
        let bytes = parts(&[("linux", Some(linux.clone())), ("macos", Some(macos.clone()))]).compose().unwrap();
        assert_eq!(bytes, parts(&[("macos", Some(macos)), ("linux", Some(linux))]).compose().unwrap());
        release::check(&bytes, Limits::NONE).unwrap();
        let manifest = release::read(&bytes).unwrap();
        assert_eq!(manifest.files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>(), ["a", "b", "z"]);
        assert!(manifest.files.iter().all(|file| file.executable));
        let document: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!((&document["version"], &document["commit"]), (&json!("v1"), &json!("abc")));
        assert_eq!(document["metadata"], json!({"os": ["linux"], "x": 1}));
        assert!(document.get("port").is_none());
    }

    #[test]
    fn parts_that_contradict_each_other_make_no_release() {
        let of = |one: Part, other: Part| parts(&[("x", Some(one)), ("y", Some(other))]).compose().unwrap_err();
        let nothing = json!({});
        let said = of(part(&["a", "b"], &nothing), part(&["b"], &nothing)).to_string();
        assert_eq!(said, "the file b is in both x and y");
        let said = of(part(&["a"], &json!({"commit": "1"})), part(&["b"], &json!({"commit": "2"}))).to_string();
        assert_eq!(said, "x and y disagree about commit");
        let metadata = |value: u8| json!({"metadata": {"m": value}});
        let said = of(part(&["a"], &metadata(1)), part(&["b"], &metadata(2))).to_string();
        assert_eq!(said, "x and y disagree about metadata.m");
        let missing = parts(&[("x", Some(part(&["a"], &nothing))), ("y", None), ("z", None)]).compose();
        assert_eq!(missing, Err(ComposeError::Missing(vec!["y".into(), "z".into()])));
    }

    #[test]
    fn a_part_is_checked_as_a_release_is() {
        let refused = |document: &Value| match Part::read(document.to_string().as_bytes(), Limits { files: 1 }) {
            Err(ManifestError::Invalid(problems)) => problems.join("; "),
            other => panic!("{other:?}"),
        };
        let file = |name: &str| json!({"name": name, "blob": Digest::of(b"").to_string(), "size": 0});
        let problems = refused(&json!({"version": "v1", "source": {}, "artifacts": [file("../x"), file("b")]}));
        for part in ["artifacts[0].name", "limit of this server", "version: ", "source: "] {
            assert!(problems.contains(part), "{part}: {problems}");
        }
        assert!(refused(&json!({})).contains("at least one artifact"));
        assert!(Part::read(b"[]", Limits::NONE).is_err());
    }

    #[test]
    fn names_of_parts_are_plain() {
        for name in ["linux", "x86_64-unknown-linux-musl", "1.2", &"a".repeat(64)] {
            assert!(is_part_name(name), "{name}");
        }
        for name in ["", ".", "-a", "a/b", "a b", "ä", &"a".repeat(65)] {
            assert!(!is_part_name(name), "{name}");
        }
        assert!(is_label("v1.4.0 (final)") && !is_label("") && !is_label("a\nb") && !is_label(&"a".repeat(191)));
    }
}
