//! What every peer holds before anything is measured.

use larder::domain::Digest;
use serde_json::json;

use super::load::pattern::Digests;

/// The repository of the registries, and the name at Larder.
pub(crate) const NAME: &str = "bench/app";
/// The tag of the registries.
pub(crate) const TAG: &str = "v1";
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

    pub(crate) fn blobs(&mut self, count: usize, length: u64) -> Vec<Blob> {
        (0..count).map(|_| self.blob(length)).collect()
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
    /// Of which ranges are read.
    pub huge: Blob,
    /// Bytes of such a range.
    pub range: u64,
    pub manifest: String,
}

impl Fixtures {
    pub(crate) fn new(maker: &mut Maker, quick: bool) -> Self {
        let small = maker.blobs(if quick { 8 } else { 64 }, 64 << 10);
        let large = maker.blob(if quick { 1 << 20 } else { 100 << 20 });
        let huge = maker.blob(if quick { 8 << 20 } else { 1 << 30 });
        let manifest = manifest(&small[..FILES]);
        Self { large, small, huge, range: if quick { 64 << 10 } else { 1 << 20 }, manifest }
    }

    pub(crate) fn blobs(&self) -> Vec<Blob> {
        self.small.iter().copied().chain([self.large, self.huge]).collect()
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
pub(crate) fn manifest(files: &[Blob]) -> String {
    let artifact = |(at, blob): (usize, &Blob)| {
        json!({
            "name": file(at), "blob": blob.digest.to_string(), "size": blob.length, "media_type": "application/gzip",
            "platform": "linux", "arch": if at % 2 == 0 { "amd64" } else { "arm64" },
        })
    };
    let layer = |blob: &Blob| {
        let media_type = "application/vnd.oci.image.layer.v1.tar+gzip";
        json!({"mediaType": media_type, "digest": blob.digest.to_string(), "size": blob.length})
    };
    let mut config = layer(&files[0]);
    config["mediaType"] = "application/vnd.oci.image.config.v1+json".into();
    let text = json!({
        "version": "main:abc1234", "commit": "abc1234", "build_date": "2026-05-27T10:00:00Z", "kind": "files",
        "artifacts": files.iter().enumerate().map(artifact).collect::<Vec<_>>(),
        "schemaVersion": 2, "mediaType": IMAGE, "config": config,
        "layers": files.iter().map(layer).collect::<Vec<_>>(),
    });
    text.to_string()
}
