//! What every peer holds before anything is measured.

use larder::domain::Digest;
use serde_json::{Value, json};

use super::load::pattern::Digests;
use super::options::{Set, Sizes};

/// The repository of the registries, and the beginning of names at Larder.
pub(crate) const NAME: &str = "bench/app";
/// The tag of what is read.
pub(crate) const TAG: &str = "v1";
/// The tag of the image that is looked at.
pub(crate) const IMAGE_TAG: &str = "image";
/// The media type of the manifest at the registries.
pub(crate) const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
/// Files of the manifest.
const FILES: usize = 6;

/// A blob that both sides can make.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Blob {
    pub digest: Digest,
    pub length: u64,
    pub seed: u64,
}

/// Makes blobs, each with other bytes than all before.
pub(crate) struct Maker {
    digests: Digests,
    next: u64,
}

impl Maker {
    pub(crate) fn new() -> Self {
        Self { digests: Digests::new(), next: 1 }
    }

    pub(crate) fn blob(&mut self, length: u64) -> Blob {
        let seed = self.next;
        self.next += 1;
        Blob { digest: self.digests.of(length, seed), length, seed }
    }

    pub(crate) fn blobs(&mut self, set: Set) -> Vec<Blob> {
        (0..set.count).map(|_| self.blob(set.size)).collect()
    }

    /// Writes a blob.
    pub(crate) fn write(&self, blob: &Blob, to: &mut impl std::io::Write) {
        self.digests.write(blob.length, blob.seed, to).expect("space on the disk");
    }
}

/// The blobs and the manifest that are read.
pub(crate) struct Fixtures {
    pub large: Blob,
    pub small: Vec<Blob>,
    /// Many different ones, read in turn.
    pub many: Vec<Blob>,
    /// Of which ranges are read.
    pub huge: Blob,
    /// Bytes of such a range.
    pub range: u64,
    pub manifest: String,
    /// An image manifest alone.
    pub image: String,
}

impl Fixtures {
    pub(crate) fn new(maker: &mut Maker, sizes: &Sizes) -> Self {
        let small = maker.blobs(Set { count: sizes.smalls, size: sizes.small });
        let (large, huge) = (maker.blob(sizes.large), maker.blob(sizes.huge));
        let many = maker.blobs(sizes.many);
        let (manifest, image) = (manifest(&small[..FILES]), image(&small[..FILES]).to_string());
        Self { large, small, many, huge, range: sizes.range, manifest, image }
    }

    pub(crate) fn blobs(&self) -> Vec<Blob> {
        self.small.iter().chain(&self.many).copied().chain([self.large, self.huge]).collect()
    }

    /// The name of the first file of the manifest.
    pub(crate) fn file() -> String {
        file(0)
    }
}

fn file(at: usize) -> String {
    format!("tool-1.4.2-{at}.tar.gz")
}

/// One text that is a manifest of Larder's and an image manifest, so that all peers can answer the same bytes.
fn manifest(files: &[Blob]) -> String {
    let artifact = |(at, blob): (usize, &Blob)| {
        json!({
            "name": file(at), "blob": blob.digest.to_string(), "size": blob.length, "media_type": "application/gzip",
            "platform": "linux", "arch": if at % 2 == 0 { "amd64" } else { "arm64" },
        })
    };
    let mut both = image(files);
    both["version"] = "main:abc1234".into();
    both["commit"] = "abc1234".into();
    both["artifacts"] = files.iter().enumerate().map(artifact).collect();
    both.to_string()
}

/// An image manifest whose layers are these files, and whose configuration is the first of them.
pub(crate) fn image(files: &[Blob]) -> Value {
    let describe = |blob: &Blob, kind: &str| {
        let media_type = format!("application/vnd.oci.image.{kind}");
        json!({"mediaType": media_type, "digest": blob.digest.to_string(), "size": blob.length})
    };
    json!({
        "schemaVersion": 2, "mediaType": IMAGE, "config": describe(&files[0], "config.v1+json"),
        "layers": files.iter().map(|file| describe(file, "layer.v1.tar+gzip")).collect::<Vec<_>>(),
    })
}
