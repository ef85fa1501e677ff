//! Large stores, made in no time: the files that a store would have written, without its syncs.
//!
//! Half of the blobs of a store are referred to by versions, their manifests among them, the other half by nothing.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use larder::domain::head::{Action, Change, Head, Judgement, Operation, Outcome};
use larder::domain::manifest::{Descriptor, release};
use larder::domain::{Digest, Expect, ManifestName, Subject, Summary};
use larder::layout::{LayoutKey, marker};
use larder::store::FsStore;
use serde_json::json;

/// Files of a version.
const FILES: usize = 24;
/// Blobs of which one is a manifest, `FILES` are its files, and the rest is referred to by nothing.
const PER_VERSION: u64 = 2 * (FILES as u64 + 1);
/// Versions of a name.
const PER_NAME: u64 = 10;
/// Age of everything that is planted, so that no minimum age protects it.
const AGE: Duration = Duration::from_secs(2 * 24 * 60 * 60);

/// What is in a store.
pub(crate) struct Planted {
    /// All blobs.
    pub blobs: u64,
    /// Those that versions refer to.
    pub kept: HashSet<Digest>,
}

/// Something that keeps blobs and versions in a directory.
pub(crate) trait Shelf {
    /// Stores a blob.
    fn blob(&mut self, bytes: &[u8]) -> Digest;

    /// Stores the next version of a name, and returns the digest of its manifest.
    fn version(&mut self, name: &str, files: &[Descriptor]) -> Digest;
}

/// Fills a store with about so many blobs: as many as fit whole names. The same noise makes the same blobs.
pub(crate) fn plant(shelf: &mut impl Shelf, blobs: u64, mut noise: Noise) -> Planted {
    let names = (blobs / (PER_NAME * PER_VERSION)).max(1);
    let mut kept = HashSet::new();
    // One version of each name after the other, as time would have it.
    for _ in 0..PER_NAME {
        for name in 0..names {
            let mut file = || {
                let bytes = noise.blob();
                Descriptor { digest: shelf.blob(&bytes), size: bytes.len() as u64 }
            };
            let files: Vec<Descriptor> = (0..FILES).map(|_| file()).collect();
            kept.extend(files.iter().map(|file| file.digest));
            kept.insert(shelf.version(&format!("bench/{name:06}"), &files));
            litter(shelf, FILES as u64 + 1, &mut noise);
        }
    }
    Planted { blobs: names * PER_NAME * PER_VERSION, kept }
}

/// Adds blobs that nothing refers to.
pub(crate) fn litter(shelf: &mut impl Shelf, blobs: u64, noise: &mut Noise) {
    for _ in 0..blobs {
        shelf.blob(&noise.blob());
    }
}

/// Pseudo-random blobs of one size.
#[derive(Debug, Clone)]
pub(crate) struct Noise {
    state: u64,
    words: u64,
}

impl Noise {
    /// Other blobs for each seed.
    pub(crate) fn new(seed: u64, size: u64) -> Self {
        Self { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1, words: size / 8 }
    }

    /// The next blob.
    pub(crate) fn blob(&mut self) -> Vec<u8> {
        let word = |_| {
            self.state ^= self.state << 13;
            self.state ^= self.state >> 7;
            self.state ^= self.state << 17;
            self.state.to_le_bytes()
        };
        (0..self.words).flat_map(word).collect()
    }
}

/// Writes a file and the directories above it, and makes the file old.
pub(crate) fn write(path: &Path, bytes: &[u8]) {
    let mut file = match fs::File::create_new(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(path.parent().expect("a path below the store")).expect("directories");
            fs::File::create_new(path)
        }
        created => created,
    }
    .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    file.write_all(bytes).expect("space on the disk");
    file.set_modified(SystemTime::now() - AGE).expect("a time in the past");
}

/// A store of Larder's.
pub(crate) struct Larder {
    objects: PathBuf,
    heads: HashMap<String, Head>,
    time: Timestamp,
}

impl Larder {
    /// A store in an empty directory.
    pub(crate) fn new(data: &Path) -> Self {
        let store = FsStore::open(data).expect("a new store");
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(marker::open(&store)).expect("a layout marker");
        let time = Timestamp::try_from(SystemTime::now() - AGE).expect("a time of this century");
        Self { objects: data.join("objects"), heads: HashMap::new(), time }
    }

    fn put(&self, key: &LayoutKey, bytes: &[u8]) {
        write(&self.objects.join(key.key().as_str()), bytes);
    }

    fn change(&mut self, name: &ManifestName, change: &Change) -> u64 {
        let current = self.heads.get(name.as_str());
        let row = match change {
            Change::Commit { number, .. } => current.and_then(|head| head.inline(*number)).cloned(),
            _ => None,
        };
        let (id, by) = (format!("{:032x}", self.heads.len()), Subject::admin());
        let action: Action = change.action();
        let judgement = Judgement { row, ..Judgement::new(Operation::new(id, action, by), self.time) };
        let next = Head::next(current, name, change, judgement).expect("a legal change");
        let Outcome::Next { head, row, spill, .. } = next else { panic!("every change changes something") };
        assert!(spill.is_empty(), "all rows fit the head");
        if current.is_none() {
            self.put(&LayoutKey::Name(name.clone().into()), b"");
        }
        let bytes = serde_json::to_vec(&head).expect("a head is JSON");
        self.put(&LayoutKey::Head(name.clone().into(), head.generation), &bytes);
        self.heads.insert(name.to_string(), *head);
        row.expect("the change was about a version").number
    }
}

impl Shelf for Larder {
    fn blob(&mut self, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        self.put(&LayoutKey::Blob(digest, 0), bytes);
        digest
    }

    fn version(&mut self, name: &str, files: &[Descriptor]) -> Digest {
        let name: ManifestName = name.parse().expect("a legal name");
        let bytes = manifest(files);
        let digest = self.blob(&bytes);
        let manifest = release::read(&bytes).expect("a legal manifest");
        let summary = Summary::of(&manifest, Descriptor { digest, size: bytes.len() as u64 });
        let number =
            self.change(&name, &Change::Prepare { summary, from: None, annex: None, expect: Expect::Anything });
        self.change(&name, &Change::Commit { number, activate: true, expect: Expect::Anything });
        digest
    }
}

/// A manifest of these files.
pub(crate) fn manifest(files: &[Descriptor]) -> Vec<u8> {
    let artifact = |(at, file): (usize, &Descriptor)| json!({"name": format!("file-{at}.bin"), "blob": file.digest.to_string(), "size": file.size});
    let artifacts: Vec<_> = files.iter().enumerate().map(artifact).collect();
    serde_json::to_vec(&json!({"artifacts": artifacts})).expect("a manifest is JSON")
}

/// The blobs that have bytes in a store of Larder's.
pub(crate) fn stored(data: &Path) -> HashSet<Digest> {
    let objects = data.join("objects");
    let mut found = HashSet::new();
    files(&objects.join("blobs"), &mut |path| {
        let key = path.strip_prefix(&objects).expect("a path below the store").to_str().expect("keys are UTF-8");
        match LayoutKey::parse(&key.parse().expect("a legal key")) {
            Some(LayoutKey::Blob(digest, _)) => drop(found.insert(digest)),
            Some(LayoutKey::Condemned(..)) => {}
            other => panic!("{key}: {other:?}"),
        }
    });
    found
}

/// Every file below a directory.
pub(crate) fn files(directory: &Path, visit: &mut impl FnMut(&Path)) {
    for entry in fs::read_dir(directory).expect("a directory of the store") {
        let entry = entry.expect("an entry");
        if entry.file_type().expect("its type").is_dir() {
            files(&entry.path(), visit);
        } else {
            visit(&entry.path());
        }
    }
}
