//! Releases in Larder's own format as OCI clients see them: rendering 1.
//!
//! The rendering is a pure function of the manifest's bytes, so it need not be stored and has the same digest on every
//! server and in every release of Larder; others sign it and refer to it. **Never change what [`render`] returns**: the
//! golden files of the tests hold it. The manifest itself travels along as the configuration, so nothing of it is lost,
//! and no two manifests render alike.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Serialize, Serializer};

use super::{Descriptor, Manifest, oci, release};
use crate::domain::Digest;
use crate::domain::pauses::Pauses as _;

/// `artifactType` of renderings.
pub const ARTIFACT_TYPE: &str = "application/vnd.larder.release.v1";
/// Media type of the configuration of a rendering, which is the release's own manifest.
pub const CONFIG: &str = "application/vnd.larder.manifest.v1+json";
/// Media type of the layer that holds the source snapshot.
pub const SOURCE: &str = "application/vnd.larder.source.v1";
/// Media type of the layer of a file that states none. It is never guessed.
const UNKNOWN: &str = "application/octet-stream";

/// Maximum size of a rendering, in bytes: clients refuse larger manifests.
pub const MAX_RENDERING: usize = 4 << 20;

/// The members in their order, which is part of the format.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rendering<'a> {
    schema_version: u8,
    media_type: &'static str,
    artifact_type: &'static str,
    config: Layer<'a>,
    #[serde(serialize_with = "with_pauses")]
    layers: Vec<Layer<'a>>,
}

fn with_pauses<S: Serializer>(layers: &[Layer<'_>], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(layers.iter().with_pauses())
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Layer<'a> {
    media_type: &'a str,
    digest: Digest,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<BTreeMap<&'static str, &'a str>>,
}

impl<'a> Layer<'a> {
    fn new(media_type: &'a str, blob: Descriptor) -> Self {
        Self { media_type, digest: blob.digest, size: blob.size, annotations: None }
    }
}

/// The image manifest that shows a release to OCI clients, as compact JSON: the release's manifest is its
/// configuration, each file a layer with its name as title, and the source snapshot a last layer without title.
///
/// `None` if the document is not a release in Larder's own format, or if the rendering would be larger than
/// [`MAX_RENDERING`].
#[must_use]
pub fn render(manifest: &[u8]) -> Option<Bytes> {
    if oci::media_type_by_shape(manifest).is_some() {
        return None;
    }
    let own = Descriptor { digest: Digest::of(manifest), size: manifest.len() as u64 };
    of(&release::read(manifest).ok()?, own)
}

/// The same of a release that was read out of the document with this digest and size.
#[must_use]
pub fn of(release: &Manifest, own: Descriptor) -> Option<Bytes> {
    let files = release.files.iter().with_pauses().map(|file| {
        let title = BTreeMap::from([(oci::TITLE, file.name.as_str())]);
        let layer = Layer::new(file.media_type.as_deref().unwrap_or(UNKNOWN), file.blob);
        Layer { annotations: Some(title), ..layer }
    });
    let source = release.source.map(|source| Layer::new(SOURCE, source));
    let rendering = Rendering {
        schema_version: 2,
        media_type: oci::IMAGE,
        artifact_type: ARTIFACT_TYPE,
        config: Layer::new(CONFIG, own),
        layers: files.chain(source).collect(),
    };
    let bytes = serde_json::to_vec(&rendering).ok()?;
    (bytes.len() <= MAX_RENDERING).then(|| bytes.into())
}

/// Digest and size of the release manifest that an image manifest claims to be the rendering of: its configuration, if
/// that has the right type. Whether it is the rendering, [`is_rendering`] tells.
#[must_use]
pub fn claimed(image: &[u8]) -> Option<Descriptor> {
    oci::config_of_type(image, CONFIG)
}

/// Whether an image manifest is the rendering of this release manifest, byte for byte. Then publishing the release
/// manifest in its place loses nothing.
#[must_use]
pub fn is_rendering(image: &[u8], manifest: &[u8]) -> bool {
    render(manifest).is_some_and(|rendering| rendering == image)
}

#[cfg(test)]
mod tests;
