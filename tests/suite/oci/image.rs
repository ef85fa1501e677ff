//! Images and artifacts, made here: no test needs a network.

use std::fs;
use std::path::Path;

use larder::domain::{Digest, Sha512};
use serde_json::{Map, Value, json};

pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// An artifact without a config of its own has this one, `{}`.
pub const EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// A type of artifacts that only these tests have.
pub const EXAMPLE: &str = "application/vnd.example.notes.v1";

/// A descriptor of these bytes.
pub fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": Digest::of(bytes), "size": bytes.len()})
}

/// A manifest or an index with everything that it names.
#[derive(Debug, Clone)]
pub struct Image {
    pub media_type: String,
    pub manifest: Vec<u8>,
    /// Configs and layers.
    pub blobs: Vec<Vec<u8>>,
    /// Of an index.
    pub children: Vec<Self>,
}

impl Image {
    /// An image for linux/amd64 of one layer, which has a file `hello.txt` of this text.
    pub fn of(text: &str) -> Self {
        Self::layered("amd64", &[text])
    }

    /// An image for Linux on this architecture, with a layer for each of the texts.
    pub fn layered(architecture: &str, texts: &[&str]) -> Self {
        let layers: Vec<Vec<u8>> = texts.iter().map(|text| tar(&[("hello.txt", text.as_bytes())])).collect();
        let ids: Vec<String> = layers.iter().map(|layer| Digest::of(layer).to_string()).collect();
        let history: Vec<Value> = texts.iter().map(|_| json!({"created_by": "test"})).collect();
        let config = json!({
            "architecture": architecture, "os": "linux", "config": {},
            "rootfs": {"type": "layers", "diff_ids": ids}, "history": history,
        });
        let config = config.to_string().into_bytes();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor(CONFIG, &config),
            "layers": layers.iter().map(|layer| descriptor(LAYER, layer)).collect::<Vec<_>>(),
        });
        let blobs = [vec![config], layers].concat();
        Self {
            media_type: MANIFEST.to_owned(),
            manifest: manifest.to_string().into_bytes(),
            blobs,
            children: Vec::new(),
        }
    }

    /// An artifact of one blob, with an empty config, and further members of the manifest.
    pub fn artifact(bytes: &[u8], members: &Value) -> Self {
        let mut manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": EXAMPLE,
            "config": descriptor(EMPTY, b"{}"),
            "layers": [descriptor("text/plain", bytes)],
        });
        extend(&mut manifest, members);
        let blobs = vec![b"{}".to_vec(), bytes.to_vec()];
        Self {
            media_type: MANIFEST.to_owned(),
            manifest: manifest.to_string().into_bytes(),
            blobs,
            children: Vec::new(),
        }
    }

    /// An index of these, for amd64, arm64 and so on, with further members.
    pub fn index(children: Vec<Self>, members: &Value) -> Self {
        let platforms = ["amd64", "arm64", "riscv64", "s390x"].into_iter().cycle();
        let manifests: Vec<Value> = children
            .iter()
            .zip(platforms)
            .map(|(child, architecture)| {
                let mut entry = child.descriptor();
                entry["platform"] = json!({"os": "linux", "architecture": architecture});
                entry
            })
            .collect();
        let mut index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests});
        extend(&mut index, members);
        Self { media_type: INDEX.to_owned(), manifest: index.to_string().into_bytes(), blobs: Vec::new(), children }
    }

    /// The same with further members of the manifest.
    pub fn with(mut self, members: &Value) -> Self {
        let mut manifest: Value = serde_json::from_slice(&self.manifest).unwrap();
        extend(&mut manifest, members);
        self.manifest = manifest.to_string().into_bytes();
        self
    }

    /// The same with all that it names named by SHA-512, and so on below it.
    pub fn in_sha512(&self) -> Self {
        let children: Vec<Self> = self.children.iter().map(Self::in_sha512).collect();
        let below =
            self.children.iter().zip(&children).map(|(old, new)| (old.manifest.as_slice(), new.manifest.as_slice()));
        let blobs = self.blobs.iter().map(|blob| (blob.as_slice(), blob.as_slice()));
        let mut names: Vec<(String, Value)> = Vec::new();
        for (old, new) in below.chain(blobs) {
            let descriptor = json!({"digest": Sha512::of(new), "size": new.len()});
            names.push((Digest::of(old).to_string(), descriptor));
        }
        let rename = |entry: &mut Value| {
            if let Some((_, named)) = names.iter().find(|(old, _)| entry["digest"] == old.as_str()) {
                extend(entry, named);
            }
        };
        let mut manifest: Value = serde_json::from_slice(&self.manifest).unwrap();
        for (member, value) in manifest.as_object_mut().unwrap() {
            match value {
                Value::Array(entries) if ["layers", "manifests"].contains(&member.as_str()) => {
                    entries.iter_mut().for_each(rename);
                }
                config if member == "config" => rename(config),
                _ => {}
            }
        }
        Self { manifest: manifest.to_string().into_bytes(), children, ..self.clone() }
    }

    pub fn sha512(&self) -> Sha512 {
        Sha512::of(&self.manifest)
    }

    pub fn digest(&self) -> Digest {
        Digest::of(&self.manifest)
    }

    pub fn descriptor(&self) -> Value {
        descriptor(&self.media_type, &self.manifest)
    }

    /// The digest of the config, by which container engines know an image.
    pub fn id(&self) -> String {
        let manifest: Value = serde_json::from_slice(&self.manifest).unwrap();
        manifest["config"]["digest"].as_str().unwrap().to_owned()
    }

    /// This and all that is below it, children first.
    pub fn all(&self) -> Vec<&Self> {
        self.children.iter().flat_map(Self::all).chain([self]).collect()
    }

    /// Writes it as a directory in the OCI layout, where it is called `it`.
    pub fn write_layout(&self, directory: &Path) {
        for (path, bytes) in self.layout() {
            let path = directory.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
    }

    /// The OCI layout as an archive.
    pub fn layout_archive(&self) -> Vec<u8> {
        let files = self.layout();
        tar(&files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())).collect::<Vec<_>>())
    }

    fn layout(&self) -> Vec<(String, Vec<u8>)> {
        let mut entry = self.descriptor();
        entry["annotations"] = json!({"org.opencontainers.image.ref.name": "it"});
        let index = json!({"schemaVersion": 2, "manifests": [entry]}).to_string().into_bytes();
        let mut files = vec![
            ("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
            ("index.json".to_owned(), index),
        ];
        for one in self.all() {
            for bytes in one.blobs.iter().chain([&one.manifest]) {
                let path = format!("blobs/{}", Digest::of(bytes).to_string().replace(':', "/"));
                files.push((path, bytes.clone()));
            }
        }
        files
    }
}

fn extend(document: &mut Value, members: &Value) {
    let more: Map<String, Value> = members.as_object().cloned().unwrap_or_default();
    document.as_object_mut().unwrap().extend(more);
}

/// An archive in the format that POSIX calls ustar.
pub fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (name, bytes) in files {
        let mut head = [0_u8; 512];
        let mut put = |at: usize, text: &str| head[at..at + text.len()].copy_from_slice(text.as_bytes());
        put(0, name);
        put(100, "0000644\0");
        put(108, "0000000\0");
        put(116, "0000000\0");
        put(124, &format!("{:011o}\0", bytes.len()));
        put(136, "00000000000\0");
        // The checksum counts itself as spaces.
        put(148, "        ");
        put(156, "0");
        put(257, "ustar\x0000");
        let sum: u32 = head.iter().map(|byte| u32::from(*byte)).sum();
        head[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        archive.extend_from_slice(&head);
        archive.extend_from_slice(bytes);
        archive.resize(archive.len().next_multiple_of(512), 0);
    }
    archive.resize(archive.len() + 1024, 0);
    archive
}
