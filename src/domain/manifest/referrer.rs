//! Attachments of versions as OCI clients see them: manifests that describe another one.
//!
//! The manifest is a pure function of what it describes and of what is attached, so it has the same digest on every server
//! and in every release of Larder. **Never change what [`render`] returns**: the golden text of the tests holds it.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Serialize;

use super::{Descriptor, oci};
use crate::domain::Digest;

/// Media type of the configuration, which says nothing (image-spec `manifest.md`).
const EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// The configuration.
pub const CONFIG: &[u8] = b"{}";

/// The members in their order, which is part of the format.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Referrer<'a> {
    schema_version: u8,
    media_type: &'static str,
    artifact_type: &'a str,
    config: Stated<'a>,
    layers: [Stated<'a>; 1],
    subject: Stated<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Stated<'a> {
    media_type: &'a str,
    digest: Digest,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<BTreeMap<&'static str, &'a str>>,
}

impl<'a> Stated<'a> {
    fn new(media_type: &'a str, blob: Descriptor) -> Self {
        Self { media_type, digest: blob.digest, size: blob.size, annotations: None }
    }
}

/// The manifest that shows an attachment of this media type, whose bytes are `blob`, to clients of the manifest `subject`,
/// which has the media type that comes first. Compact JSON. The layer has a title, without which some clients do not save it.
#[must_use]
pub fn render(subject: (&str, Descriptor), media_type: &str, blob: Descriptor) -> Bytes {
    let config = Descriptor { digest: Digest::of(CONFIG), size: CONFIG.len() as u64 };
    let title = BTreeMap::from([(oci::TITLE, title(media_type))]);
    let referrer = Referrer {
        schema_version: 2,
        media_type: oci::IMAGE,
        artifact_type: media_type,
        config: Stated::new(EMPTY, config),
        layers: [Stated { annotations: Some(title), ..Stated::new(media_type, blob) }],
        subject: Stated::new(subject.0, subject.1),
    };
    serde_json::to_vec(&referrer).expect("texts and numbers are JSON").into()
}

/// The name under which clients save it.
fn title(media_type: &str) -> &'static str {
    match media_type {
        "text/x-minisign" => "manifest.json.minisig",
        _ if media_type.ends_with("/json") || media_type.ends_with("+json") => "attachment.json",
        _ => "attachment",
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Aliases, Limits, ManifestError};
    use super::*;

    #[test]
    fn what_shows_an_attachment_never_changes() {
        let of = |bytes: &[u8]| Descriptor { digest: Digest::of(bytes), size: bytes.len() as u64 };
        let shown = render((oci::IMAGE, of(b"subject")), "text/x-minisign", of(b"signature"));
        let golden = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":"text/x-minisign","config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[{"mediaType":"text/x-minisign","digest":"sha256:1a2fc26dc7ea5a2a4748b7cb2b1ef193d96ab2c99f93092f69e63075b28d1278","size":9,"annotations":{"org.opencontainers.image.title":"manifest.json.minisig"}}],"subject":{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:a9491f4c1bf7b0cffbadcba2db8f028e4b3f2867cb59e1f3a0bc1968f3c51242","size":7}}"#;
        assert_eq!(std::str::from_utf8(&shown).unwrap(), golden);
        let titles = ["application/spdx+json", "application/json", "text/markdown"].map(title);
        assert_eq!(titles, ["attachment.json", "attachment.json", "attachment"]);
    }

    #[test]
    fn it_is_a_manifest_that_states_one_thing_about_another() {
        let of = |bytes: &[u8]| Descriptor { digest: Digest::of(bytes), size: bytes.len() as u64 };
        let shown = render((oci::INDEX, of(b"subject")), "application/spdx+json", of(b"sbom"));
        assert_eq!((oci::FORMAT.check)(&shown, Limits::NONE), Ok::<(), ManifestError>(()));
        let read = (oci::FORMAT.read)(&shown, &Aliases::default()).unwrap();
        assert_eq!(read.blobs, [of(CONFIG), of(b"sbom")]);
        let stated = oci::Statement::read(&shown).unwrap();
        assert_eq!((stated.subject, stated.layer), (Digest::of(b"subject"), of(b"sbom")));
        assert_eq!(stated.media_type, "application/spdx+json");
    }
}
