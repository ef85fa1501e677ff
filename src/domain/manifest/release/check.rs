//! The rules for publishing a release.

mod site;

use std::collections::{HashMap, HashSet};
use std::fmt::Display;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::super::problems::{Problems, quote};
use super::super::{Kind, Limits, MAX_SIZE, ManifestError};
use super::is_media_type;
use crate::domain::json::{self, AnyText, Text};
use crate::domain::pauses::Pauses as _;
use crate::domain::{Digest, FileName};

#[derive(Default, Deserialize)]
struct Document<'a> {
    #[serde(rename = "version")]
    _version: Option<String>,
    kind: Option<String>,
    entrypoint: Option<String>,
    #[serde(borrow, deserialize_with = "json::long_list")]
    artifacts: Vec<Artifact<'a>>,
    source: Option<Blob>,
    command: Option<IgnoredAny>,
    port: Option<IgnoredAny>,
    // Checked by hand, so that everything wrong with it is listed. Of no meaning in releases of other kinds.
    site: Option<Value>,
}

#[derive(Deserialize)]
struct Artifact<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    blob: Text<'a>,
    size: u64,
    #[serde(borrow)]
    media_type: Option<Text<'a>>,
    #[serde(rename = "platform")]
    _platform: Option<AnyText>,
    #[serde(rename = "arch")]
    _arch: Option<AnyText>,
    #[serde(rename = "executable")]
    _executable: Option<bool>,
    #[serde(rename = "libc")]
    _libc: Option<AnyText>,
    #[serde(rename = "format")]
    _format: Option<AnyText>,
    #[serde(rename = "kind")]
    _kind: Option<AnyText>,
    #[serde(borrow)]
    encoding: Option<Text<'a>>,
    #[serde(borrow)]
    of: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Blob {
    blob: String,
    size: u64,
}

/// Checks a release before it is published.
///
/// # Errors
/// [`ManifestError::Malformed`] if it does not have the structure of a release, else [`ManifestError::Invalid`] with
/// every problem.
pub fn check(bytes: &[u8], limits: Limits) -> Result<(), ManifestError> {
    let document: Document<'_> = json::strict(bytes).map_err(|error| ManifestError::Malformed(error.to_string()))?;
    let mut problems = Problems::default();
    document.check(limits, &mut problems);
    problems.into_result()
}

/// The members of a part of a release that are checked before the release is whole.
#[derive(Deserialize)]
struct Part<'a> {
    kind: Option<String>,
    #[serde(borrow, default, deserialize_with = "json::long_list")]
    artifacts: Vec<Artifact<'a>>,
}

/// Checks the files of a part of a release. What a release needs as a whole is checked when it is whole.
///
/// # Errors
/// As [`check`].
pub fn check_part(bytes: &[u8], limits: Limits) -> Result<(), ManifestError> {
    let part: Part<'_> = json::strict(bytes).map_err(|error| ManifestError::Malformed(error.to_string()))?;
    let mut problems = Problems::default();
    let document = Document { kind: part.kind, artifacts: part.artifacts, ..Document::default() };
    let (kind, names) = document.check_artifacts(limits, &mut problems);
    document.check_site(&kind, &names, &mut problems);
    problems.into_result()
}

impl Document<'_> {
    fn check(&self, limits: Limits, problems: &mut Problems) {
        let (kind, names) = self.check_artifacts(limits, problems);
        self.check_entrypoint(&kind, &names, problems);
        self.check_site(&kind, &names, problems);
        if kind == Kind::Dynamic && (self.command.is_none() || self.port.is_none()) {
            problems.add("kind: a dynamic release needs `command` and `port`".into());
        }
    }

    /// Checks the kind and the files. Returns the kind, and the names that are valid.
    fn check_artifacts(&self, limits: Limits, problems: &mut Problems) -> (Kind, Vec<&str>) {
        let count = self.artifacts.len();
        if count == 0 {
            problems.add("artifacts: a manifest needs at least one artifact".into());
        }
        if count > limits.files {
            problems.add(format!("it has {count} artifacts, the limit of this server is {}", limits.files));
        }
        let kind = self.kind.as_deref().map(Kind::from).unwrap_or_default();
        if !kind.is_known() {
            let known = Kind::KNOWN.map(|kind| kind.to_string()).join(", ");
            problems.add(format!("kind: {:?} is not one of {known}", quote(kind.as_str())));
        }
        let mut names = Vec::with_capacity(count);
        for (index, artifact) in self.artifacts.iter().with_pauses().enumerate() {
            names.extend(artifact.check(&kind, &format_args!("artifacts[{index}]"), problems));
        }
        if let Some(source) = &self.source {
            check_blob(&source.blob, source.size, &"source", problems);
        }
        check_names(&names, problems);
        self.check_sizes(problems);
        (kind, names)
    }

    fn check_sizes(&self, problems: &mut Problems) {
        let mut sizes = HashMap::with_capacity(self.artifacts.len());
        let artifacts = self.artifacts.iter().with_pauses().map(|artifact| (artifact.blob.as_str(), artifact.size));
        for (blob, size) in artifacts.chain(self.source.iter().map(|source| (&*source.blob, source.size))) {
            if *sizes.entry(blob).or_insert(size) != size {
                problems.add(format!("artifacts: {} is stated with two different sizes", quote(blob)));
            }
        }
    }

    fn check_entrypoint(&self, kind: &Kind, names: &[&str], problems: &mut Problems) {
        let Some(entrypoint) = &self.entrypoint else {
            if *kind == Kind::Static {
                problems.add("entrypoint: a static release names the file it starts from".into());
            }
            return;
        };
        if !names.contains(&entrypoint.as_str()) {
            problems.add(format!("entrypoint: {:?} is not among the artifacts", quote(entrypoint)));
        }
    }
}

impl Document<'_> {
    fn check_site(&self, kind: &Kind, names: &[&str], problems: &mut Problems) {
        let variants = self.artifacts.iter().with_pauses().enumerate().filter_map(|(index, artifact)| {
            let (encoding, of) = (artifact.encoding.as_ref().map(Text::as_str), artifact.of.as_ref().map(Text::as_str));
            let is_variant = encoding.is_some() || of.is_some();
            is_variant.then_some(site::Variant { index, name: artifact.name.as_str(), encoding, of })
        });
        let files = site::check_variants(&variants.collect::<Vec<_>>(), names, problems);
        if *kind != Kind::Static {
            return;
        }
        site::check_composed(names, problems);
        if let Some(entrypoint) =
            self.entrypoint.as_deref().filter(|name| names.contains(name) && !files.contains(name))
        {
            problems.add(format!("entrypoint: {:?} is a variant of another file", quote(entrypoint)));
        }
        if let Some(settings) = &self.site {
            site::check_settings(settings, &files, problems);
        }
    }
}

impl Artifact<'_> {
    /// Checks the artifact, and returns its name if that is valid.
    fn check(&self, kind: &Kind, place: &impl Display, problems: &mut Problems) -> Option<&str> {
        let check = if *kind == Kind::Static { FileName::check_of_site } else { FileName::check };
        let name = self.name.as_str().parse().and_then(|name: FileName| check(&name));
        if let Err(error) = &name {
            problems.add(format!("{place}.name: {error}"));
        }
        if let Some(text) = self.media_type.as_ref().map(Text::as_str).filter(|text| !is_media_type(text)) {
            let text = quote(text);
            problems.add(format!("{place}.media_type: {text:?} is not a media type such as application/gzip"));
        }
        check_blob(self.blob.as_str(), self.size, place, problems);
        name.is_ok().then_some(self.name.as_str())
    }
}

fn check_names(names: &[&str], problems: &mut Problems) {
    let mut seen = HashSet::with_capacity(names.len());
    for name in names.iter().with_pauses() {
        if !seen.insert(*name) {
            problems.add(format!("artifacts: the name {name} is used more than once"));
        }
    }
    let mut good = None;
    for name in names.iter().with_pauses() {
        let directory = name.rfind('/').map(|end| &name[..end]);
        // Most files are in the directory of the one before.
        if directory == good {
            continue;
        }
        let parents = name.match_indices('/').map(|(at, _)| &name[..at]);
        match parents.into_iter().find(|parent| seen.contains(parent)) {
            Some(parent) => problems.add(format!("artifacts: {parent:?} is both a file and the directory of {name:?}")),
            None => good = directory,
        }
    }
}

fn check_blob(digest: &str, size: u64, place: &impl Display, problems: &mut Problems) {
    if size > MAX_SIZE {
        problems.add(format!("{place}.size: {size} is larger than {MAX_SIZE} (2^53 - 1)"));
    }
    if let Err(error) = digest.parse::<Digest>() {
        problems.add(format!("{place}.blob: {error}"));
    }
}
