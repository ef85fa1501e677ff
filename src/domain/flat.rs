//! The documents of flat layouts, in which a release is a directory of files beside a `version.json` and a `FILE.sha256`
//! for each file: read from their publishers, and made for their readers.
//!
//! Readers of `version.json` compare `sha256` byte by byte, fail on a `build_date` that is not RFC 3339, and some take the
//! first `"version"` in the text. Readers of a `.sha256` take its first field.

use std::collections::{BTreeMap, HashSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::manifest::Descriptor;
use super::{Digest, FileName, Manifest, ManifestError, ManifestName, json};

/// The file that lists the others.
pub const VERSION_FILE: &str = "version.json";
pub use super::sums::SUM_SUFFIX;

/// A `version.json` as a publisher sends it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Listing {
    /// The version text: a tag, or `BRANCH:COMMIT`.
    pub version: String,
    /// The commit that was built.
    #[serde(default)]
    pub commit: Option<String>,
    /// The branch that was built.
    #[serde(default)]
    pub branch: Option<String>,
    /// When it was built (RFC 3339).
    #[serde(default)]
    pub build_date: Option<String>,
    /// The files.
    pub artifacts: Vec<Listed>,
}

/// A file in a `version.json`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// SHA-256 of its bytes, in lower-case hex.
    pub sha256: String,
    /// Their length.
    pub size: u64,
    /// Platform (`linux`), if stated.
    #[serde(default)]
    pub platform: Option<String>,
    /// Architecture (`amd64`), if stated.
    #[serde(default)]
    pub arch: Option<String>,
}

/// A file that is to be released.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleasedFile {
    /// Its bytes.
    pub blob: Descriptor,
    /// Platform, if stated.
    pub platform: Option<String>,
    /// Architecture, if stated.
    pub arch: Option<String>,
}

/// Files to be released, by name: sorted, so that the same files make the same manifest.
pub type ReleasedFiles = BTreeMap<FileName, ReleasedFile>;

impl Listing {
    /// Parses and checks a `version.json`.
    ///
    /// # Errors
    /// A [`ManifestError`] with everything that is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let listing: Self = json::strict(bytes).map_err(|error| ManifestError::Malformed(error.to_string()))?;
        let mut problems = Vec::new();
        if listing.version.is_empty() {
            problems.push("version must not be empty".to_owned());
        }
        if listing.build_date.as_ref().is_some_and(|date| date.parse::<Timestamp>().is_err()) {
            problems.push("build_date must be a time such as 2026-05-27T10:00:00Z: clients refuse all else".to_owned());
        }
        let mut names = HashSet::new();
        for (index, listed) in listing.artifacts.iter().enumerate() {
            let at = |why: String| format!("artifacts[{index}] {why}");
            problems.extend(listed.problem().map(at));
            if !names.insert(&listed.name) {
                problems.push(at("has the name of another one".to_owned()));
            }
        }
        if problems.is_empty() { Ok(listing) } else { Err(ManifestError::Invalid(problems)) }
    }

    /// The files by name, each with its digest and size.
    #[must_use]
    pub fn files(&self) -> ReleasedFiles {
        let file = |listed: &Listed| {
            let blob = Descriptor { digest: Digest::from_hex(&listed.sha256).ok()?, size: listed.size };
            let (platform, arch) = (listed.platform.clone(), listed.arch.clone());
            Some((listed.name.parse().ok()?, ReleasedFile { blob, platform, arch }))
        };
        self.artifacts.iter().filter_map(file).collect()
    }

    /// The manifest of these files, with what the listing says of the release. The same input makes the same bytes.
    #[must_use]
    pub fn manifest(&self, files: &ReleasedFiles) -> Vec<u8> {
        let artifacts = files.iter().map(|(name, file)| ManifestFile {
            name,
            blob: file.blob.digest,
            size: file.blob.size,
            platform: file.platform.as_deref(),
            arch: file.arch.as_deref(),
        });
        let document = ManifestOf {
            version: &self.version,
            commit: self.commit.as_deref(),
            branch: self.branch.as_deref(),
            build_date: self.build_date.as_deref(),
            artifacts: artifacts.collect(),
        };
        serde_json::to_vec(&document).expect("texts and numbers can be serialised")
    }
}

impl Listed {
    fn problem(&self) -> Option<String> {
        let name = match self.name.parse::<FileName>() {
            Ok(name) => name,
            Err(error) => return Some(format!("has no legal name: {error}")),
        };
        if let Err(error) = name.check() {
            return Some(format!("has no legal name: {error}"));
        }
        if name.as_str().contains('/') || name.as_str() == VERSION_FILE {
            return Some("must be another file, and lie in no directory".to_owned());
        }
        Digest::from_hex(&self.sha256).err().map(|error| format!("has a wrong sha256: {error}"))
    }
}

#[derive(Serialize)]
struct ManifestOf<'a> {
    version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    branch: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    build_date: Option<&'a str>,
    artifacts: Vec<ManifestFile<'a>>,
}

#[derive(Serialize)]
struct ManifestFile<'a> {
    name: &'a FileName,
    blob: Digest,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arch: Option<&'a str>,
}

/// A `version.json` as readers get it. The order of the members is part of what they rely on.
#[derive(Serialize)]
struct Rendered<'a> {
    version: &'a str,
    commit: &'a str,
    branch: &'a str,
    build_date: String,
    artifacts: Vec<RenderedFile<'a>>,
}

#[derive(Serialize)]
struct RenderedFile<'a> {
    name: &'a FileName,
    sha256: String,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arch: Option<&'a str>,
}

/// What a manifest may say besides what [`Manifest`] has of it.
#[derive(Default, Deserialize)]
struct Said {
    #[serde(default)]
    commit: serde_json::Value,
    #[serde(default)]
    branch: serde_json::Value,
    #[serde(default)]
    build_date: serde_json::Value,
}

/// The `version.json` of a version of `name` that was published at `published`, from its manifest alone. What the manifest
/// does not say is taken from the version text `BRANCH:COMMIT`, from the name, and from that time.
#[must_use]
pub fn version_file(name: &ManifestName, bytes: &[u8], manifest: &Manifest, published: Timestamp) -> Vec<u8> {
    let said: Said = serde_json::from_slice(bytes).unwrap_or_default();
    let tag = name.as_str().rsplit('/').next().unwrap_or_default();
    let version = manifest.label.as_deref().filter(|label| !label.is_empty()).unwrap_or(tag);
    let (branch, commit) = version.split_once(':').unwrap_or_default();
    let built = said.build_date.as_str().filter(|date| date.parse::<Timestamp>().is_ok());
    let flat = manifest.files.iter().filter(|file| !file.name.as_str().contains('/'));
    let rendered = Rendered {
        version,
        commit: said.commit.as_str().unwrap_or(commit),
        branch: said.branch.as_str().unwrap_or(branch),
        build_date: built.map_or_else(|| published.to_string(), str::to_owned),
        artifacts: flat
            .map(|file| RenderedFile {
                name: &file.name,
                sha256: file.blob.digest.hex(),
                size: file.blob.size,
                platform: file.platform.as_deref(),
                arch: file.arch.as_deref(),
            })
            .collect(),
    };
    let mut bytes = serde_json::to_vec(&rendered).expect("texts and numbers can be serialised");
    bytes.push(b'\n');
    bytes
}

/// The line of a `.sha256`.
#[must_use]
pub fn sum_line(digest: Digest, name: &str) -> String {
    format!("{}  {name}\n", digest.hex())
}

/// The digest in a `.sha256`: its first field. What follows is some name, which publishers spell as they like.
#[must_use]
pub fn parse_sum(bytes: &[u8]) -> Option<Digest> {
    let text = std::str::from_utf8(bytes).ok()?;
    Digest::from_hex(&text.split_ascii_whitespace().next()?.to_ascii_lowercase()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::manifest::release;

    fn listing(text: &str) -> Result<Listing, ManifestError> {
        Listing::parse(text.as_bytes())
    }

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn what_is_rendered_is_what_was_listed() {
        let text = format!(
            "{{\"version\":\"main:abc1234\",\"commit\":\"abc1234def\",\"branch\":\"main\",\
             \"build_date\":\"2026-05-27T10:00:00Z\",\"artifacts\":[{{\"name\":\"a.zip\",\"sha256\":\"{HEX}\",\"size\":0,\
             \"platform\":\"linux\",\"arch\":\"amd64\"}},{{\"name\":\"b.yml\",\"sha256\":\"{HEX}\",\"size\":0}}]}}"
        );
        let listing = listing(&text).unwrap();
        let bytes = listing.manifest(&listing.files());
        release::check(&bytes, crate::domain::manifest::Limits::NONE).unwrap();
        let manifest = release::read(&bytes).unwrap();
        let rendered = version_file(&"miren/main".parse().unwrap(), &bytes, &manifest, Timestamp::UNIX_EPOCH);
        assert_eq!(String::from_utf8(rendered).unwrap(), text + "\n");
    }

    #[test]
    fn what_a_manifest_does_not_say_is_made_up_so_that_clients_can_read_it() {
        let render = |name: &str, text: &str| {
            let manifest = release::read(text.as_bytes()).unwrap();
            let bytes = version_file(&name.parse().unwrap(), text.as_bytes(), &manifest, Timestamp::UNIX_EPOCH);
            String::from_utf8(bytes).unwrap()
        };
        let expected = |version: &str, commit: &str, branch: &str| {
            let said = format!("\"version\":\"{version}\",\"commit\":\"{commit}\",\"branch\":\"{branch}\"");
            format!("{{{said},\"build_date\":\"1970-01-01T00:00:00Z\",\"artifacts\":[]}}\n")
        };
        assert_eq!(render("miren/v1.2.3", r#"{"artifacts":[]}"#), expected("v1.2.3", "", ""));
        let text = r#"{"artifacts":[],"version":"main:abc","build_date":"yesterday","commit":7}"#;
        assert_eq!(render("miren/latest", text), expected("main:abc", "abc", "main"));
    }

    #[test]
    fn a_listing_names_everything_that_is_wrong_with_it() {
        let artifact = |name: &str, hex: &str| format!("{{\"name\":\"{name}\",\"sha256\":\"{hex}\",\"size\":1}}");
        for (name, hex) in [("../a", HEX), ("a/b", HEX), ("version.json", HEX), ("", HEX), ("a", "E3B0"), ("~a", HEX)] {
            let text = format!("{{\"version\":\"v1\",\"artifacts\":[{}]}}", artifact(name, hex));
            assert!(matches!(listing(&text), Err(ManifestError::Invalid(_))), "{text}");
        }
        let twice = format!("{0},{0}", artifact("a", HEX));
        let text = format!("{{\"version\":\"\",\"build_date\":\"1.1.2026\",\"artifacts\":[{twice}]}}");
        let Err(ManifestError::Invalid(problems)) = listing(&text) else { panic!("{text}") };
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(matches!(listing("{\"version\":\"v1\"}"), Err(ManifestError::Malformed(_))));
    }

    #[test]
    fn the_first_field_of_a_sum_counts() {
        let digest = Digest::of(b"");
        for text in [
            sum_line(digest, "a"),
            HEX.to_owned(),
            format!("{HEX} *other\r\n"),
            HEX.to_uppercase(),
            format!("\n{HEX}\tx"),
        ] {
            assert_eq!(parse_sum(text.as_bytes()), Some(digest), "{text:?}");
        }
        for bad in ["", "\n", "abc  a", "sha256:abc", &HEX[1..], &format!("x{HEX}")] {
            assert_eq!(parse_sum(bad.as_bytes()), None, "{bad:?}");
        }
    }
}
