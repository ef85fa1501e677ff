//! The same blobs in a store of docker-registry (Debian package `docker-registry`), and its garbage collection.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use larder::domain::Digest;
use larder::domain::manifest::Descriptor;
use serde_json::{Value, json};

use super::plant::{Shelf, files, write};

/// A store of docker-registry with its filesystem driver.
pub(crate) struct Registry {
    root: PathBuf,
    versions: u64,
}

impl Registry {
    /// A store in a new directory.
    pub(crate) fn new(root: &Path) -> Self {
        fs::create_dir_all(root).expect("a directory");
        let root_directory = root.to_str().expect("a path in UTF-8");
        let storage = json!({"filesystem": {"rootdirectory": root_directory}, "delete": {"enabled": true}});
        // JSON is YAML.
        let configuration = json!({"version": 0.1, "log": {"level": "error"}, "storage": storage});
        fs::write(root.join("config.yml"), configuration.to_string()).expect("a configuration");
        Self { root: root.join("docker/registry/v2"), versions: 0 }
    }

    fn link(&self, directory: &str, digest: &Digest) {
        write(&self.root.join(format!("repositories/{directory}/link")), digest.to_string().as_bytes());
    }
}

impl Shelf for Registry {
    fn blob(&mut self, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        let hex = digest.hex();
        write(&self.root.join(format!("blobs/sha256/{}/{hex}/data", &hex[..2])), bytes);
        digest
    }

    fn version(&mut self, name: &str, files: &[Descriptor]) -> Digest {
        let image = image(files);
        let digest = self.blob(&serde_json::to_vec(&image).expect("an image manifest is JSON"));
        for file in files {
            self.link(&format!("{name}/_layers/sha256/{}", file.digest.hex()), &file.digest);
        }
        self.versions += 1;
        let tag = format!("{name}/_manifests/tags/v{}", self.versions);
        self.link(&format!("{name}/_manifests/revisions/sha256/{}", digest.hex()), &digest);
        self.link(&format!("{tag}/current"), &digest);
        self.link(&format!("{tag}/index/sha256/{}", digest.hex()), &digest);
        digest
    }
}

/// An image manifest (schema 2) whose configuration is the first file and whose layers are the others.
fn image(files: &[Descriptor]) -> Value {
    let describe = |file: &Descriptor, kind: &str| {
        let media_type = format!("application/vnd.docker.{kind}");
        json!({"mediaType": media_type, "size": file.size, "digest": file.digest.to_string()})
    };
    let layers: Vec<_> = files[1..].iter().map(|file| describe(file, "image.rootfs.diff.tar.gzip")).collect();
    json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": describe(&files[0], "container.image.v1+json"),
        "layers": layers,
    })
}

/// The garbage collection of the store in `root`.
pub(crate) fn collection(program: &Path, root: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg("garbage-collect").arg(root.join("config.yml"));
    command
}

/// The blobs that have bytes in the store in `root`.
pub(crate) fn stored(root: &Path) -> HashSet<Digest> {
    let mut found = HashSet::new();
    files(&root.join("docker/registry/v2/blobs"), &mut |path| {
        let hex = path.parent().and_then(Path::file_name).and_then(|hex| hex.to_str()).expect("a digest");
        found.insert(Digest::from_hex(hex).expect("a digest"));
    });
    found
}
