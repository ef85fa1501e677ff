//! The manifest that `publish` generates, with members in a fixed order.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;

use super::Description;
use super::naming;
use crate::cli::CliError;
use crate::clock::{Clock as _, SystemClock};
use crate::domain::manifest::{Descriptor, Kind, Limits, release};
use crate::domain::platform::detect;
use crate::domain::{Digest, FileName};

#[derive(Debug, Serialize)]
struct Document<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<&'a str>,
    build_date: Timestamp,
    kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    entrypoint: Option<&'a FileName>,
    artifacts: Vec<Entry<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<Blob>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<&'a str, &'a str>,
}

#[derive(Debug, Serialize)]
struct Entry<'a> {
    name: &'a FileName,
    #[serde(flatten)]
    blob: Blob,
    #[serde(skip_serializing_if = "Option::is_none")]
    media_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arch: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    libc: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct Blob {
    blob: Digest,
    size: u64,
}

impl From<Descriptor> for Blob {
    fn from(Descriptor { digest, size }: Descriptor) -> Self {
        Self { blob: digest, size }
    }
}

/// Generates the manifest for these files and validates it with the server's rules. `precise` makes two manifests of
/// the same second differ.
pub(super) fn write(
    description: &Description,
    files: &[(FileName, Descriptor)],
    source: Option<Descriptor>,
    precise: bool,
) -> Result<Bytes, CliError> {
    let document = Document {
        version: description.label.as_deref(),
        commit: description.commit.as_deref(),
        build_date: build_date(description, precise)?,
        kind: description.kind.into(),
        entrypoint: description.entrypoint.as_ref(),
        artifacts: files.iter().map(|(name, blob)| entry(name, *blob, description)).collect(),
        source: source.map(Blob::from),
        metadata: description.meta.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect(),
    };
    let mut bytes = serde_json::to_vec_pretty(&document).map_err(anyhow::Error::from)?;
    bytes.push(b'\n');
    release::check(&bytes, Limits::NONE)
        .map_err(|error| CliError::usage(format!("These arguments make no valid manifest: {error}.")))?;
    Ok(bytes.into())
}

fn entry<'a>(name: &'a FileName, blob: Descriptor, description: &Description) -> Entry<'a> {
    // A static page that mentions Windows is not a program for Windows.
    let programs = Kind::from(description.kind) != Kind::Static;
    let detected = Some(detect(name.base())).filter(|_| programs && description.detect);
    let (platform, arch) = match detected {
        Some(detected) => (detected.platform, detected.arch),
        None if programs => (naming::platform(name), naming::architecture(name)),
        None => (None, None),
    };
    let (libc, format) = detected.map(|detected| (detected.libc, detected.format)).unwrap_or_default();
    Entry { name, blob: blob.into(), media_type: naming::media_type(name), platform, arch, libc, format }
}

/// `--build-date`, else `SOURCE_DATE_EPOCH` (reproducible builds), else the current time.
fn build_date(description: &Description, precise: bool) -> Result<Timestamp, CliError> {
    if let Some(date) = description.build_date {
        return Ok(date);
    }
    match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) if !text.is_empty() => epoch(&text),
        _ if precise => Ok(SystemClock.now()),
        // Whole seconds: fractions are of no use here.
        _ => Timestamp::from_second(SystemClock.now().as_second()).map_err(|error| anyhow::Error::from(error).into()),
    }
}

fn epoch(text: &str) -> Result<Timestamp, CliError> {
    let seconds = text.parse().ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    seconds.ok_or_else(|| CliError::usage(format!("SOURCE_DATE_EPOCH is {text:?}; it must be seconds since 1970.")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_members_have_one_order() {
        let description = Description {
            label: Some("main:abc".into()),
            build_date: Some("2026-05-27T10:00:00Z".parse().unwrap()),
            meta: vec![("semver".into(), "1.1".into()), ("a".into(), "b".into())],
            ..Description::default()
        };
        let blob = Descriptor { digest: Digest::of(b"x"), size: 1 };
        let files = [("foo-linux-amd64.tar.gz".parse().unwrap(), blob)];
        let text = String::from_utf8(write(&description, &files, Some(blob), false).unwrap().to_vec()).unwrap();
        let digest = blob.digest;
        assert_eq!(
            text,
            format!(
                r#"{{
  "version": "main:abc",
  "build_date": "2026-05-27T10:00:00Z",
  "kind": "files",
  "artifacts": [
    {{
      "name": "foo-linux-amd64.tar.gz",
      "blob": "{digest}",
      "size": 1,
      "media_type": "application/gzip",
      "platform": "linux",
      "arch": "amd64"
    }}
  ],
  "source": {{
    "blob": "{digest}",
    "size": 1
  }},
  "metadata": {{
    "a": "b",
    "semver": "1.1"
  }}
}}
"#
            )
        );
    }

    #[test]
    fn what_the_server_would_refuse_is_refused_here() {
        let description = Description { kind: super::super::KindArg::Static, ..Description::default() };
        let files = [("a".parse().unwrap(), Descriptor { digest: Digest::of(b"x"), size: 1 })];
        assert!(write(&description, &files, None, false).unwrap_err().to_string().contains("entrypoint"));
        assert!(write(&Description::default(), &[], None, false).is_err());
    }

    #[test]
    fn the_epoch_is_seconds() {
        assert_eq!(epoch("0").unwrap().to_string(), "1970-01-01T00:00:00Z");
        assert!(epoch("yesterday").is_err());
    }
}
