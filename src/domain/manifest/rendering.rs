//! Releases in Larder's own format as OCI clients see them: rendering 1.
//!
//! The rendering is a pure function of the manifest's bytes, so it need not be stored and has the same digest on every
//! server and in every release of Larder; others sign it and refer to it. **Never change what [`render`] returns**: the
//! golden files of the tests hold it. The manifest itself travels along as the configuration, so nothing of it is lost,
//! and no two manifests render alike.

use std::io::{self, BufWriter, Write};

use bytes::Bytes;
use serde::{Serialize, Serializer};

use super::{Artifact, Descriptor, Manifest, oci, release};
use crate::domain::pauses::Pauses as _;
use crate::domain::{Digest, Hasher};

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
    layers: Layers<'a>,
}

/// A layer for each file, and one for the source snapshot.
struct Layers<'a> {
    files: &'a [Artifact],
    source: Option<Descriptor>,
}

impl Serialize for Layers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let files = self.files.iter().with_pauses().map(|file| {
            let layer = Layer::new(file.media_type.as_deref().unwrap_or(UNKNOWN), file.blob);
            Layer { annotations: Some(Title(file.name.as_str())), ..layer }
        });
        serializer.collect_seq(files.chain(self.source.map(|source| Layer::new(SOURCE, source))))
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Layer<'a> {
    media_type: &'a str,
    digest: Digest,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<Title<'a>>,
}

impl<'a> Layer<'a> {
    fn new(media_type: &'a str, blob: Descriptor) -> Self {
        Self { media_type, digest: blob.digest, size: blob.size, annotations: None }
    }
}

/// The annotation with the name of a file.
struct Title<'a>(&'a str);

impl Serialize for Title<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map([(oci::TITLE, self.0)])
    }
}

/// The image manifest that shows a release to OCI clients, as compact JSON: the release's manifest is its
/// configuration, each file a layer with its name as title, and the source snapshot a last layer without title.
///
/// `None` if the document is not a release in Larder's own format, or if the rendering would be larger than
/// [`MAX_RENDERING`].
#[must_use]
pub fn render(manifest: &[u8]) -> Option<Bytes> {
    let (release, own) = read(manifest)?;
    let bytes = serde_json::to_vec(&rendering(&release, own)).ok()?;
    (bytes.len() <= MAX_RENDERING).then(|| bytes.into())
}

/// The digest of what [`render`] returns.
#[must_use]
pub fn digest(manifest: &[u8]) -> Option<Digest> {
    let (release, own) = read(manifest)?;
    digest_of(&release, own)
}

/// The same of a release that was read out of the document with this digest and size. Takes no memory for the rendering.
#[must_use]
pub fn digest_of(release: &Manifest, own: Descriptor) -> Option<Digest> {
    let mut bytes = BufWriter::new(Hashing { hasher: Hasher::new(), left: MAX_RENDERING });
    serde_json::to_writer(&mut bytes, &rendering(release, own)).ok()?;
    Some(bytes.into_inner().ok()?.hasher.finish())
}

fn read(manifest: &[u8]) -> Option<(Manifest, Descriptor)> {
    if oci::media_type_by_shape(manifest).is_some() {
        return None;
    }
    let own = Descriptor { digest: Digest::of(manifest), size: manifest.len() as u64 };
    Some((release::read(manifest).ok()?, own))
}

fn rendering(release: &Manifest, own: Descriptor) -> Rendering<'_> {
    Rendering {
        schema_version: 2,
        media_type: oci::IMAGE,
        artifact_type: ARTIFACT_TYPE,
        config: Layer::new(CONFIG, own),
        layers: Layers { files: &release.files, source: release.source },
    }
}

/// Hashes what is written, up to a number of bytes.
struct Hashing {
    hasher: Hasher,
    left: usize,
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.left = self.left.checked_sub(bytes.len()).ok_or(io::ErrorKind::FileTooLarge)?;
        self.hasher.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
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
