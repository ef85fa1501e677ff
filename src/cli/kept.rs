//! The copy of a catalog that a reader keeps: what was verified last, and for offline use.
//!
//! One file, so that it is replaced in one step. Its parts are texts, kept byte for byte.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::cli::CliError;
use crate::client::StoredCatalog;
use crate::domain::Digest;
use crate::domain::catalog::{Anchor, CatalogName, Document, Known, PublicKey};

/// Largest file that is read, in bytes: a document of 4 MiB as JSON text, and everything beside it.
const MAX_FILE: u64 = 64 << 20;

/// A directory with copies.
#[derive(Debug, Clone)]
pub(super) struct KeptDirectory(PathBuf);

/// A copy.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    /// What was stored.
    pub(super) stored: StoredCatalog,
    /// The keys by which it was verified.
    pub(super) anchor: Anchor,
}

#[derive(Serialize, Deserialize)]
struct File {
    document: String,
    signatures: Vec<String>,
    roots: Vec<String>,
    keys: Vec<String>,
    threshold: usize,
}

impl KeptDirectory {
    /// `directory`, or the usual place. `None` if there is none, as for a user without a home.
    pub(super) fn new(directory: Option<&Path>) -> Option<Self> {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let usual = || {
            let state = variable("XDG_STATE_HOME").filter(|path| path.is_absolute());
            Some(state.or_else(|| Some(variable("HOME")?.join(".local/state")))?.join("larder"))
        };
        directory.map(Path::to_owned).or_else(usual).map(Self)
    }

    /// The copy of a catalog, if there is one.
    pub(super) fn load(&self, name: &CatalogName) -> Result<Option<Kept>, CliError> {
        let path = self.path(name);
        let failed = |error: &io::Error| CliError::io(format_args!("read the copy {}", path.display()), error);
        match std::fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(&error)),
            Ok(metadata) if metadata.len() > MAX_FILE => return Err(damaged(&path, "it is too large")),
            Ok(_) => {}
        }
        let bytes = std::fs::read(&path).map_err(|error| failed(&error))?;
        let file: File = serde_json::from_slice(&bytes).map_err(|error| damaged(&path, &error.to_string()))?;
        let keys: Option<_> =
            file.keys.iter().map(|key| Some(PublicKey(hex::decode(key).ok()?.try_into().ok()?))).collect();
        let keys = keys.ok_or_else(|| damaged(&path, "it has a malformed key"))?;
        let bytes = |texts: Vec<String>| texts.into_iter().map(Bytes::from).collect();
        let (signatures, roots) = (bytes(file.signatures), bytes(file.roots));
        let stored = StoredCatalog { document: file.document.into(), signatures, roots, ..StoredCatalog::default() };
        Ok(Some(Kept { stored, anchor: Anchor { keys, threshold: file.threshold } }))
    }

    /// Replaces the copy by one with this serial, unless there is a newer one by now.
    pub(super) fn save(&self, name: &CatalogName, Kept { stored, anchor }: &Kept, serial: u64) -> Result<(), CliError> {
        let path = self.path(name);
        let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        let file = File {
            document: text(&stored.document),
            signatures: stored.signatures.iter().map(text).collect(),
            roots: stored.roots.iter().map(text).collect(),
            keys: anchor.keys.iter().map(|key| hex::encode(key.0)).collect(),
            threshold: anchor.threshold,
        };
        let json = serde_json::to_vec(&file).map_err(anyhow::Error::from)?;
        let failed = |error| CliError::io(format_args!("keep a copy as {}", path.display()), &error);
        // Two commands at once must not lose each other's copies.
        let _lock = lock(&path).map_err(failed)?;
        let newest = self.load(name)?.map_or(0, |kept| serial_of(&kept.stored.document));
        if newest > serial {
            return Ok(());
        }
        replace(&path, &json).map_err(failed)
    }

    /// The copy of a manifest that the catalog lists.
    pub(super) fn manifest(&self, digest: Digest) -> Option<Vec<u8>> {
        std::fs::read(self.manifest_path(digest)).ok().filter(|bytes| Digest::of(bytes) == digest)
    }

    /// Keeps a manifest.
    pub(super) fn save_manifest(&self, bytes: &[u8]) -> Result<(), CliError> {
        let path = self.manifest_path(Digest::of(bytes));
        replace(&path, bytes).map_err(|error| CliError::io(format_args!("keep a copy as {}", path.display()), &error))
    }

    /// The file with the copy of a catalog.
    pub(super) fn path(&self, name: &CatalogName) -> PathBuf {
        // No segment of a catalog's name has an underscore.
        self.0.join("catalogs").join(format!("{}.json", name.as_str().replace('/', "_")))
    }

    fn manifest_path(&self, digest: Digest) -> PathBuf {
        self.0.join("manifests").join(format!("{}.json", digest.hex()))
    }
}

/// The serial of a document that was verified; 0 if it has none.
fn serial_of(document: &[u8]) -> u64 {
    #[derive(Deserialize)]
    struct Serial {
        serial: u64,
    }
    serde_json::from_slice(document).map_or(0, |Serial { serial }| serial)
}

impl Kept {
    /// Whether it is a copy of this.
    pub(super) fn is_of(&self, stored: &StoredCatalog, anchor: &Anchor) -> bool {
        let StoredCatalog { document, signatures, roots, .. } = &self.stored;
        let is_stored = (document, signatures, roots) == (&stored.document, &stored.signatures, &stored.roots);
        is_stored && self.anchor == *anchor
    }

    /// What the reader remembers by this copy that has to be compared with what was read now. Nothing of the document, if
    /// that is the same: reading a large one takes as long as verifying it.
    pub(super) fn known_beside(&self, stored: &StoredCatalog) -> Known {
        if self.stored.document == stored.document {
            return Known { roots: self.roots(), ..Known::default() };
        }
        self.known()
    }

    fn roots(&self) -> Vec<Digest> {
        self.stored.roots.iter().map(|root| Digest::of(root)).collect()
    }

    /// What the reader remembers by this copy.
    pub(super) fn known(&self) -> Known {
        let digest = Digest::of(&self.stored.document);
        Known { document: Document::read(&self.stored.document).ok(), digest: Some(digest), roots: self.roots() }
    }
}

fn damaged(path: &Path, why: &str) -> CliError {
    let path = path.display();
    CliError::usage(format!("The copy {path} cannot be read: {why}. If nobody meddled with it, remove it."))
}

/// Waits for others who write this file. The lock ends with the value.
fn lock(path: &Path) -> io::Result<std::fs::File> {
    std::fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
    let options = &mut std::fs::OpenOptions::new();
    let file = options.create(true).truncate(false).write(true).open(path.with_extension("lock"))?;
    file.lock()?;
    Ok(file)
}

/// Writes a file so that it is the old one or the new one, whatever happens.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(directory)?;
    let part = path.with_extension(format!("{}.part", std::process::id()));
    let written = std::fs::write(&part, bytes).and_then(|()| std::fs::File::open(&part)?.sync_all());
    let result = written.and_then(|()| std::fs::rename(&part, path));
    if result.is_err() {
        // The failure is told; the rest is only tidying up.
        let _ = std::fs::remove_file(&part);
    }
    result
}
