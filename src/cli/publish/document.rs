//! The manifest that `publish` generates, with members in a fixed order.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::Description;
use super::local_files::Hashed;
use super::{facts, naming};
use crate::cli::CliError;
use crate::clock::{Clock as _, SystemClock};
use crate::domain::manifest::{Coding, Descriptor, Kind, Limits, release};
use crate::domain::platform::detect;
use crate::domain::{Digest, FileName};

#[derive(Debug, Serialize)]
struct Document<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    build_date: Option<Timestamp>,
    kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    entrypoint: Option<&'a FileName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    site: Option<&'a Value>,
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
    media_type: Option<Cow<'static, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arch: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    libc: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<&'static str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    executable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding: Option<Coding>,
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<&'a FileName>,
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

/// Generates the manifest for these files and validates it with the server's rules. `site` are the settings of a static
/// site. `precise` makes two manifests of the same second differ.
pub(super) fn write(
    description: &Description,
    files: &[Hashed],
    site: Option<&Value>,
    source: Option<Descriptor>,
    precise: bool,
) -> Result<Bytes, CliError> {
    let document = Document {
        version: description.label.as_deref(),
        build_date: Some(build_date(description, precise)?),
        site,
        source: source.map(Blob::from),
        ..describe(description, files)
    };
    let bytes = pretty(&document)?;
    check(&bytes)?;
    Ok(bytes)
}

/// Generates a part of a release. The label is that of the release, and the time of a build is left out unless it is
/// stated: jobs never end at the same moment.
pub(super) fn write_part(description: &Description, files: &[Hashed], site: Option<&Value>) -> Result<Bytes, CliError> {
    let is_stated = description.build_date.is_some() || std::env::var_os("SOURCE_DATE_EPOCH").is_some();
    let build_date = if is_stated { Some(build_date(description, false)?) } else { None };
    pretty(&Document { build_date, site, ..describe(description, files) })
}

fn describe<'a>(description: &'a Description, files: &'a [Hashed]) -> Document<'a> {
    Document {
        version: None,
        commit: description.commit.as_deref(),
        build_date: None,
        kind: description.kind.into(),
        entrypoint: description.entrypoint.as_ref().or_else(|| start_page(description, files)),
        site: None,
        artifacts: files.iter().map(|file| entry(file, description)).collect(),
        source: None,
        metadata: description.meta.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect(),
    }
}

/// The file that a static site starts from, unless it is stated.
fn start_page<'a>(description: &Description, files: &'a [Hashed]) -> Option<&'a FileName> {
    let is_site = Kind::from(description.kind) == Kind::Static;
    files.iter().map(|file| &file.name).find(|name| is_site && name.as_str() == "index.html")
}

fn pretty(document: &Document<'_>) -> Result<Bytes, CliError> {
    let mut bytes = serde_json::to_vec_pretty(document).map_err(anyhow::Error::from)?;
    bytes.push(b'\n');
    Ok(bytes.into())
}

fn check(bytes: &[u8]) -> Result<(), CliError> {
    let invalid = |error| CliError::usage(format!("These arguments make no valid manifest: {error}."));
    release::check(bytes, Limits::NONE).map_err(invalid)
}

fn entry<'a>(Hashed { name, blob, executable, facts: is, .. }: &'a Hashed, description: &Description) -> Entry<'a> {
    // A static page that mentions Windows is not a program for Windows.
    let programs = Kind::from(description.kind) != Kind::Static;
    let detected = Some(detect(name.base())).filter(|_| programs && description.detect);
    let (platform, arch) = match detected {
        Some(detected) => (detected.platform, detected.arch),
        None if programs => (naming::platform(name), naming::architecture(name)),
        None => (None, None),
    };
    let (libc, format) = detected.map(|detected| (detected.libc, detected.format)).unwrap_or_default();
    let media_type = match &is.variant {
        None if !programs => facts::media_type(name, is.is_utf8),
        _ => naming::media_type(name).map(Cow::Borrowed),
    };
    let (of, encoding) = is.variant.as_ref().map(|(of, coding)| (of, *coding)).unzip();
    let (blob, executable) = ((*blob).into(), *executable);
    Entry { name, blob, media_type, platform, arch, libc, format, executable, encoding, of }
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
    use std::sync::Arc;

    use super::super::facts::Facts;
    use super::*;
    use crate::client::{Fingerprint, Upload};

    fn file(name: &str, executable: bool) -> Hashed {
        let blob = Descriptor { digest: Digest::of(b"x"), size: 1 };
        let upload = Upload { path: name.into(), fingerprint: Fingerprint { blob, modified: None, executable } };
        Hashed {
            name: name.parse().unwrap(),
            blob,
            executable,
            content: Arc::new(upload),
            path: None,
            facts: Facts::default(),
        }
    }

    #[test]
    fn the_members_have_one_order() {
        let description = Description {
            label: Some("main:abc".into()),
            build_date: Some("2026-05-27T10:00:00Z".parse().unwrap()),
            meta: vec![("semver".into(), "1.1".into()), ("a".into(), "b".into())],
            ..Description::default()
        };
        let blob = Descriptor { digest: Digest::of(b"x"), size: 1 };
        let files = [file("foo-linux-amd64.tar.gz", false), file("run", true)];
        let text = String::from_utf8(write(&description, &files, None, Some(blob), false).unwrap().to_vec()).unwrap();
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
    }},
    {{
      "name": "run",
      "blob": "{digest}",
      "size": 1,
      "executable": true
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
        assert!(
            write(&description, &[file("a", false)], None, None, false).unwrap_err().to_string().contains("entrypoint")
        );
        assert!(write(&Description::default(), &[], None, None, false).is_err());
    }

    #[test]
    fn the_epoch_is_seconds() {
        assert_eq!(epoch("0").unwrap().to_string(), "1970-01-01T00:00:00Z");
        assert!(epoch("yesterday").is_err());
    }
}
