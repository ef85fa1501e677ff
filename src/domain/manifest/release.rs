//! Larder's own manifest format: a JSON document with `artifacts`, each of which refers to a blob.
//!
//! This file reads what was published, whatever the rules were then; `check` has the rules for publishing today.
//! Unknown members are ignored.

mod check;
mod runtime;

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

pub use check::{check, check_part};
pub use runtime::command_and_port;

use super::{Aliases, Artifact, Descriptor, Format, Kind, Manifest, ReadError, SiteSettings, each_once};
use crate::domain::json::{LongList, Text, reason};
use crate::domain::media_type::MAX_MEDIA_TYPE;
use crate::domain::pauses::{Pauses as _, pause_at};
use crate::domain::{FileName, MediaType};

/// The media type of releases when served. Version rows omit it.
pub const MEDIA_TYPE: &str = "application/json";

/// The release format.
pub const FORMAT: Format = Format { media_types: &[MEDIA_TYPE], read: |bytes, _| read(bytes), check };

/// Maximum length of an unknown kind that rows repeat, in bytes.
const MAX_KIND: usize = 64;

/// A stored release. An earlier version also accepted objects as arrays of their members, so the order of these members
/// is fixed, including those that are not used.
#[derive(Deserialize)]
struct Stored {
    #[serde(default, deserialize_with = "text")]
    version: Option<String>,
    #[serde(default, deserialize_with = "text")]
    kind: Option<String>,
    #[serde(default, deserialize_with = "text")]
    entrypoint: Option<String>,
    artifacts: StoredArtifacts,
    // Strict like the artifacts: the blob it refers to is needed, so in doubt reading must fail rather than lose data.
    #[serde(default)]
    source: Option<StoredBlob>,
    #[serde(default, rename = "command")]
    _command: IgnoredAny,
    #[serde(default, rename = "port")]
    _port: IgnoredAny,
    #[serde(default)]
    site: SiteSettings,
}

/// The artifacts, or what is wrong with the first one that cannot be read. Each is taken over as soon as it is parsed:
/// of tens of thousands, two forms at once would take much memory.
struct StoredArtifacts(Result<Vec<Artifact>, String>);

impl<'de> Deserialize<'de> for StoredArtifacts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(StoredArtifactsVisitor)
    }
}

struct StoredArtifactsVisitor;

impl<'de> Visitor<'de> for StoredArtifactsVisitor {
    type Value = StoredArtifacts;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let (mut read, mut index) = (Ok(LongList::default()), 0);
        while let Some(artifact) = items.next_element::<StoredArtifact<'_>>()? {
            match (&mut read, artifact.read()) {
                (Ok(all), Ok(artifact)) => all.push(artifact),
                (Ok(_), Err(why)) => read = Err(format!("artifacts[{index}]{why}")),
                (Err(_), _) => pause_at(index),
            }
            index += 1;
        }
        Ok(StoredArtifacts(read.map(Vec::from)))
    }
}

#[derive(Deserialize)]
struct StoredArtifact<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    blob: Text<'a>,
    size: u64,
    #[serde(default, deserialize_with = "text")]
    media_type: Option<String>,
    #[serde(default, deserialize_with = "text")]
    platform: Option<String>,
    #[serde(default, deserialize_with = "text")]
    arch: Option<String>,
    #[serde(default)]
    executable: Executable,
    #[serde(default, deserialize_with = "text")]
    libc: Option<String>,
    #[serde(default, deserialize_with = "text")]
    format: Option<String>,
    #[serde(default, deserialize_with = "text")]
    kind: Option<String>,
    #[serde(default, deserialize_with = "text")]
    encoding: Option<String>,
    #[serde(default, deserialize_with = "text")]
    of: Option<String>,
}

/// A boolean; anything else counts as `false`, because earlier releases accepted anything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Executable {
    Yes,
    #[default]
    No,
}

impl<'de> Deserialize<'de> for Executable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let yes = matches!(serde_json::Value::deserialize(deserializer)?, serde_json::Value::Bool(true));
        Ok(if yes { Self::Yes } else { Self::No })
    }
}

#[derive(Deserialize)]
struct StoredBlob {
    blob: String,
    size: u64,
}

/// Reads a published release. An optional member that cannot be interpreted counts as absent. Of artifacts with the
/// same name only the first one is served, but the blobs of all are needed.
///
/// # Errors
/// [`ReadError::Malformed`] if the needed blobs cannot be determined, or if a file name is unsafe as a path.
pub fn read(bytes: &[u8]) -> Result<Manifest, ReadError> {
    let stored: Stored = serde_json::from_slice(bytes).map_err(|error| ReadError::Malformed(reason(&error)))?;
    let artifacts = stored.artifacts.0.map_err(ReadError::Malformed)?;
    let source = stored.source.map(|source| descriptor(&source.blob, source.size)).transpose();
    let source = source.map_err(|why| ReadError::Malformed(format!("source{why}")))?;
    let blobs = each_once(artifacts.iter().with_pauses().map(|artifact| artifact.blob).chain(source));
    let kind = stored.kind.filter(|kind| kind.len() <= MAX_KIND).map(|kind| Kind::from(&*kind)).unwrap_or_default();
    let only = artifacts.first().filter(|_| artifacts.len() == 1 && kind == Kind::Dynamic);
    let entrypoint =
        stored.entrypoint.and_then(|name| name.parse().ok()).or_else(|| only.map(|file| file.name.clone()));
    let site = if kind == Kind::Static { stored.site } else { SiteSettings::default() };
    Ok(Manifest {
        media_type: Cow::Borrowed(MEDIA_TYPE),
        label: stored.version,
        kind,
        entrypoint,
        site,
        files: first_of_each_name(artifacts),
        source,
        blobs,
        children: Vec::new(),
        subject: None,
        aliases: Aliases::default(),
    })
}

impl StoredArtifact<'_> {
    /// Returns the artifact, or a description of what is wrong and where.
    fn read(self) -> Result<Artifact, String> {
        let name = self.name.as_str().parse::<FileName>().map_err(|error| format!(".name: {error}"))?;
        let blob = descriptor(self.blob.as_str(), self.size)?;
        // It may be sent in a header field, so it must be valid there.
        let media_type = self.media_type.filter(|text| is_media_type(text));
        let Self { platform, arch, libc, format, kind, .. } = self;
        let executable = self.executable == Executable::Yes;
        let of = self.of.and_then(|name| name.parse().ok());
        let encoding = self.encoding.and_then(|coding| coding.parse().ok());
        Ok(Artifact { name, blob, media_type, platform, arch, libc, format, kind, executable, encoding, of })
    }
}

fn descriptor(digest: &str, size: u64) -> Result<Descriptor, String> {
    let digest = digest.parse().map_err(|error| format!(".blob: {error}"))?;
    Ok(Descriptor { digest, size })
}

fn first_of_each_name(mut artifacts: Vec<Artifact>) -> Vec<Artifact> {
    let mut seen = HashSet::with_capacity(artifacts.len());
    let unique: Vec<bool> =
        artifacts.iter().with_pauses().map(|artifact| seen.insert(artifact.name.as_str())).collect();
    if unique.contains(&false) {
        let mut unique = unique.into_iter();
        artifacts.retain(|_| unique.next().unwrap_or(true));
    }
    artifacts
}

/// `type/subtype` with optional parameters (RFC 9110 section 8.3.1), limited to characters that a header may carry.
pub(super) fn is_media_type(text: &str) -> bool {
    let printable = text.bytes().all(|b| (b' '..=b'~').contains(&b));
    printable && text.len() <= MAX_MEDIA_TYPE && MediaType::essence_of(text).is_ok()
}

/// Deserialises a string; anything else counts as absent.
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    deserializer.deserialize_any(OptionalText)
}

struct OptionalText;

impl<'de> Visitor<'de> for OptionalText {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Self::Value, E> {
        Ok(Some(text))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

#[cfg(test)]
mod tests;
